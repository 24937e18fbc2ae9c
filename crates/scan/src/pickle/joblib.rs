//! Arrays whose bytes lie between opcodes, as joblib writes them.
//!
//! `joblib.numpy_pickle.NumpyUnpickler.load_build` reads, after the state of a
//! `NumpyArrayWrapper`, an optional padding (one byte that says how much) and then as many bytes
//! as shape and dtype make, or a plain pickle where elements are objects. Plain `pickle.load`
//! would run those bytes as opcodes: both readings are judged.

use super::machine::Machine;
use super::value::{DType, Dict, Node, Value};
use crate::budget::{Budget, Meter};
use crate::rules;
use crate::scope::{Alone, Scope};
use crate::sighting::Stop;
use crate::source::Stream;

/// Most dimensions of an array (numpy 2: `NPY_MAXDIMS`).
const DIMS_MAX: usize = 64;
/// Most opcodes that are followed into the bytes of an array.
const PLAIN_OPCODES_MAX: u64 = 1_000_000;

/// The dtype that a NumPy type code such as `f8`, `<i4`, `U10`, `O8` or `V16` stands for.
pub(crate) fn dtype_of(code: &str) -> Option<DType> {
    let code = code.trim_start_matches(['<', '>', '=', '|']);
    let mut chars = code.chars();
    let kind = u8::try_from(chars.next()?).ok()?;
    let digits = chars.as_str();
    let digits = digits.split('[').next().unwrap_or(digits);
    let n = if digits.is_empty() { None } else { Some(digits.parse::<u64>().ok()?) };
    let item_bytes = match kind {
        b'U' => n.unwrap_or(0).checked_mul(4)?,
        b'S' | b'a' | b'V' => n.unwrap_or(0),
        b'b' | b'i' | b'u' | b'f' | b'c' => n.filter(|n| *n <= 32)?,
        b'M' | b'm' => 8,
        b'O' => 8,
        b'?' if n.is_none() => 1,
        _ => return None,
    };
    // Fields of a structured type come with its state.
    Some(DType { kind, item_bytes, has_object: Some(kind == b'O') })
}

/// The dtype after `BUILD` with `(version, order, subdtype, names, fields, size, alignment, flags)`
/// (`arraydescr_setstate`).
pub(super) fn with_state(machine: &Machine, dtype: DType, state: Value) -> DType {
    let heap = &machine.heap;
    let unknown = DType { kind: b'?', item_bytes: u64::MAX, has_object: None };
    let Some(items) = heap.items(state) else { return unknown };
    let mut dtype = dtype;
    let size = items.get(5).and_then(|&size| heap.integer(size));
    if matches!(dtype.kind, b'V' | b'S' | b'U' | b'a')
        && let Some(size) = size.and_then(|size| u64::try_from(size).ok())
    {
        dtype.item_bytes = size;
    }
    if items.get(2).is_some_and(|sub| *sub != Value::None) {
        dtype.has_object = None; // a subarray: not followed
    }
    if items.get(3).is_some_and(|names| *names != Value::None) {
        let fields = items.get(4).and_then(|&fields| heap.pairs(fields));
        dtype.has_object = fields.and_then(|fields| fields_have_object(machine, fields));
    }
    dtype
}

fn fields_have_object(machine: &Machine, fields: &Dict) -> Option<bool> {
    if fields.n_more > 0 {
        return None;
    }
    let mut any = false;
    for &(_, field) in &fields.pairs {
        let &Value::Node(at) = machine.heap.items(field)?.first()? else { return None };
        let Node::DType(_, dtype) = machine.heap.known(at)?;
        any |= dtype.has_object?;
    }
    Some(any)
}

impl Machine {
    /// Reads the array that the wrapper on top of the stack stands for.
    pub(super) fn raw_array(
        &mut self,
        state: Value,
        scope: &mut Scope<'_>,
        stream: &mut Stream<'_>,
    ) -> Result<(), Stop> {
        let Some((dtype, count, aligned)) = self.wrapper(state) else {
            return Err(Stop::Unjudged("an array of joblib's whose size cannot be told"));
        };
        self.end_frame(scope, stream.offset());
        self.read_as_plain_pickle(scope, stream);
        if dtype.has_object == Some(true) {
            let mut inner = Self::new();
            std::mem::swap(&mut inner.names, &mut self.names);
            inner.is_plain = true;
            let done = inner.run(scope, stream);
            std::mem::swap(&mut inner.names, &mut self.names);
            return done.map(|_| ());
        }
        if aligned {
            let [padding] = stream.array()?;
            stream.skip(u64::from(padding))?;
        }
        let bytes = count
            .checked_mul(dtype.item_bytes)
            .ok_or(Stop::broken(self.at, "an array larger than any memory"))?;
        stream.skip(bytes)
    }

    /// Element type, number of elements, and whether there is padding.
    fn wrapper(&self, state: Value) -> Option<(DType, u64, bool)> {
        let fields = self.heap.pairs(state)?;
        let field = |name: &str| {
            // The last pair of a key is the one that stays.
            let mut pairs = fields.pairs.iter().rev();
            pairs.find(|(key, _)| self.names.text(*key) == name).map(|&(_, value)| value)
        };
        let Value::Node(at) = field("dtype")? else { return None };
        let Node::DType(_, dtype) = self.heap.known(at)?;
        dtype.has_object?;
        let dims = self.heap.items(field("shape")?)?;
        if DIMS_MAX < dims.len() || fields.n_more > 0 {
            return None;
        }
        let mut count = 1_u64;
        for &dim in dims {
            count = count.checked_mul(u64::try_from(self.heap.integer(dim)?).ok()?)?;
        }
        if dtype.item_bytes == u64::MAX {
            return None;
        }
        // Files of joblib before 1.2 have no such attribute, and no padding.
        let aligned = match field("numpy_array_alignment_bytes") {
            None | Some(Value::None) => false,
            Some(Value::Int(_)) => true,
            Some(_) => return None,
        };
        Some((dtype, count, aligned))
    }

    /// What `pickle.load`, which knows nothing of joblib, would run next. Only what it imports or
    /// calls counts: that it breaks is normal.
    fn read_as_plain_pickle(&mut self, scope: &mut Scope<'_>, stream: &mut Stream<'_>) {
        if self.forked {
            return; // it leaves joblib's reading at the first array
        }
        self.forked = true;
        let offset = stream.offset();
        let Some(rest) = stream.left().and_then(|left| stream.view(offset, left)) else { return };
        let clock = Still;
        let budget = Budget { opcodes_max: PLAIN_OPCODES_MAX, ..*scope.meter.budget() };
        let meter = Meter::new(budget, &clock);
        let mut aside = Scope::new(scope.allow, &meter, &Alone);
        let _ = self.fork().go_on(&mut aside, &mut rest.stream());
        let (_, sightings, _) = aside.finish();
        for seen in sightings {
            let runs = [&rules::PICKLE_CALL, &rules::PICKLE_IMPORT, &rules::PICKLE_UNLISTED];
            let is_odd = seen.what.contains('\\') || seen.what.len() < 12;
            if runs.contains(&seen.rule) && !is_odd {
                let what = format!("read by plain pickle, array data {}", seen.what);
                scope.report_known(
                    seen.rule,
                    offset.saturating_add(seen.offset),
                    what,
                    seen.advisories,
                );
            }
        }
    }
}

/// A clock that stands still: the opcode budget bounds what runs under it.
pub(crate) struct Still;

impl bartizan_core::Clock for Still {
    fn now(&self) -> bartizan_core::Stamp {
        let source = bartizan_core::ClockSource::Simulated;
        bartizan_core::Stamp { wall_ns: 0, raw_ns: 0, mono_ns: 0, source, error_ns: 0 }
    }
}

#[cfg(test)]
mod tests {
    use crate::Verdict;
    use crate::testing::{has, scan};

    const ARRAY: &[u8] = include_bytes!("../../corpus/benign/numpy/floats.joblib");
    const OBJECTS: &[u8] = include_bytes!("../../corpus/benign/numpy/objects.joblib");
    const PAYLOAD: &[u8] = b"cos\nsystem\n(S'id'\ntR.";

    /// Where the raw bytes of the array begin: 15 numbers of 8 bytes, and `STOP`.
    fn raw_at() -> usize {
        ARRAY.len() - 15 * 8 - 1
    }

    /// Array bytes that plain `pickle.load` would run as opcodes are judged as such.
    #[test]
    fn bypass_opcodes_in_the_bytes_of_an_array() {
        assert_eq!(scan(ARRAY).verdict, Verdict::Cleared, "{:?}", scan(ARRAY).sightings);
        // The padding is part of what plain pickle runs: the byte that counts it comes first.
        let padding = ARRAY[..raw_at()].iter().rev().take_while(|byte| **byte == 0xff).count();
        let start = raw_at() - padding - 1;
        let mut changed = ARRAY.to_vec();
        assert_eq!(usize::from(changed[start]), padding, "where the padding is counted");
        changed[start] = b'0';
        changed[start + 1..=start + PAYLOAD.len()].copy_from_slice(PAYLOAD);
        let report = scan(&changed);
        assert_eq!(report.verdict, Verdict::Hostile, "{:?}", report.sightings);
        assert!(report.sightings.iter().any(|seen| seen.what.starts_with("read by plain pickle")));
    }

    /// An array of objects is a pickle between opcodes, judged like any.
    #[test]
    fn bypass_payload_in_an_array_of_objects() {
        assert_eq!(scan(OBJECTS).verdict, Verdict::Cleared, "{:?}", scan(OBJECTS).sightings);
        let at = OBJECTS.windows(3).rposition(|part| part == b"\x80\x04\x95").unwrap();
        let changed = [&OBJECTS[..at], PAYLOAD, &OBJECTS[OBJECTS.len() - 1..]].concat();
        let report = scan(&changed);
        assert_eq!(report.verdict, Verdict::Hostile, "{:?}", report.sightings);
        assert!(has(&report, "scan.pickle.call"));
    }

    /// A shape that overflows or is larger than the file is not cleared, and allocates nothing.
    #[test]
    fn an_array_that_claims_too_much_is_not_cleared() {
        let at = ARRAY.windows(4).position(|part| part == b"K\x05K\x03").unwrap();
        let mut changed = ARRAY.to_vec();
        changed[at + 1] = 0xff;
        assert_eq!(scan(&changed).verdict, Verdict::NotCleared);
    }
}
