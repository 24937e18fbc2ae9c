//! What is changed in a genuine pickle so that a loader would import something else has another
//! verdict; what is changed in a hostile one is still not cleared.
//!
//! The places are found by a reader of opcodes of its own, which shares nothing with the machine
//! under test: it knows how long operands are, and which texts `STACK_GLOBAL` takes.

#![expect(
    clippy::unwrap_used,
    reason = "a slice of eight is eight long; a test without its files says nothing"
)]

use std::path::Path;

use bartizan_core::{Clock, ClockSource, Stamp};
use bartizan_scan::{Allow, Alone, Budget, Hash, Options, Verdict, scan};
use proptest::prelude::*;

struct Still;

impl Clock for Still {
    fn now(&self) -> Stamp {
        let source = ClockSource::Simulated;
        Stamp { wall_ns: 0, raw_ns: 0, mono_ns: 0, source, error_ns: 0 }
    }
}

fn verdict(bytes: &[u8]) -> Verdict {
    let (allow, budget) = (Allow::new(), Budget::default());
    let options =
        Options { allow: &allow, budget, clock: &Still, siblings: &Alone, hash: Hash::Skip };
    scan("", &bytes.to_vec(), &options).verdict
}

/// An opcode, where it begins, and where its operand does and ends.
#[derive(Clone, Copy, Debug)]
struct Op {
    code: u8,
    at: usize,
    from: usize,
    end: usize,
}

/// All opcodes of one pickle that fills `bytes`, or `None`.
fn ops(bytes: &[u8]) -> Option<Vec<Op>> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let code = *bytes.get(at)?;
        let from = at + 1;
        let line =
            |from: usize| Some(from + bytes.get(from..)?.iter().position(|b| *b == b'\n')? + 1);
        let sized = |width: usize| {
            let head = bytes.get(from..from + width)?;
            let n = head.iter().rev().fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
            Some((from + width, (from + width).checked_add(usize::try_from(n).ok()?)?))
        };
        let (from, end) = match code {
            b'I' | b'L' | b'F' | b'S' | b'V' | b'P' | b'g' | b'p' => (from, line(from)?),
            b'c' | b'i' => (from, line(line(from)?)?),
            b'K' | b'q' | b'h' | 0x80 | 0x82 => (from, from + 1),
            b'M' | 0x83 => (from, from + 2),
            b'J' | b'j' | b'r' | 0x84 => (from, from + 4),
            b'G' | 0x95 => (from, from + 8),
            b'U' | b'C' | 0x8c | 0x8a => sized(1)?,
            b'X' | b'B' | b'T' | 0x8b => sized(4)?,
            0x8d | 0x8e | 0x96 => sized(8)?,
            b'('
            | b')'
            | b']'
            | b'}'
            | b'N'
            | b'0'..=b'2'
            | b'.'
            | b'R'
            | b'b'
            | b't'
            | b'a'
            | b'e'
            | b'l'
            | b'd'
            | b's'
            | b'u'
            | b'o'
            | b'Q'
            | 0x81
            | 0x85..=0x89
            | 0x8f..=0x94
            | 0x97
            | 0x98 => (from, from),
            _ => return None,
        };
        if bytes.len() < end {
            return None;
        }
        found.push(Op { code, at, from, end });
        if code == b'.' {
            return (end == bytes.len()).then_some(found);
        }
        at = end;
    }
}

/// An import: where its module's and its name's bytes are, or the fetch of the memo that gives one.
#[derive(Clone, Debug)]
struct Import {
    module: (usize, usize),
    name: (usize, usize),
    fetches: Vec<usize>,
}

fn imports(bytes: &[u8], ops: &[Op]) -> Vec<Import> {
    let mut found = Vec::new();
    let mut memo: Vec<Option<(usize, usize)>> = Vec::new();
    // The last texts, each with the fetch that gave it.
    let mut texts: Vec<((usize, usize), Option<usize>)> = Vec::new();
    for (n, op) in ops.iter().enumerate() {
        let index = || match op.code {
            b'h' | b'q' => usize::from(bytes[op.from]),
            _ => u32::from_le_bytes(bytes[op.from..op.end].try_into().unwrap()) as usize,
        };
        match op.code {
            b'c' => {
                let line = bytes[op.from..].iter().position(|byte| *byte == b'\n').unwrap();
                let module = (op.from, op.from + line);
                let name = (op.from + line + 1, op.end - 1);
                found.push(Import { module, name, fetches: Vec::new() });
            }
            0x8c | b'X' => texts.push(((op.from, op.end), None)),
            0x94 | b'q' | b'r' => {
                let at = if op.code == 0x94 { memo.len() } else { index() };
                if memo.len() <= at {
                    memo.resize(at + 1, None);
                }
                let is_text = n > 0 && matches!(ops[n - 1].code, 0x8c | b'X');
                memo[at] = is_text.then(|| (ops[n - 1].from, ops[n - 1].end));
            }
            b'h' | b'j' => {
                if let Some(text) = memo.get(index()).copied().flatten() {
                    texts.push((text, Some(op.from)));
                }
            }
            0x93 => {
                let [.., module, name] = texts.as_slice() else { continue };
                let fetches = [module.1, name.1].into_iter().flatten().collect();
                found.push(Import { module: module.0, name: name.0, fetches });
            }
            _ => {}
        }
    }
    found
}

/// A genuine file that is one pickle and nothing else.
struct Genuine {
    name: String,
    bytes: Vec<u8>,
    ops: Vec<Op>,
    imports: Vec<Import>,
}

fn genuine() -> &'static [Genuine] {
    static FILES: std::sync::OnceLock<Vec<Genuine>> = std::sync::OnceLock::new();
    FILES.get_or_init(|| {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/benign");
        let mut found = Vec::new();
        for group in ["python", "numpy", "pandas", "scipy", "sklearn", "boost", "joblib"] {
            for entry in std::fs::read_dir(top.join(group)).unwrap() {
                let path = entry.unwrap().path();
                let bytes = std::fs::read(&path).unwrap();
                let Some(ops) = ops(&bytes) else { continue };
                let imports = imports(&bytes, &ops);
                if !imports.is_empty() && bytes.len() < 60_000 {
                    let name = path.display().to_string();
                    found.push(Genuine { name, bytes, ops, imports });
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    })
}

/// `bytes` with `old` replaced by `new`, and the frame around it made to fit again.
fn spliced(file: &Genuine, old: (usize, usize), new: &[u8]) -> Vec<u8> {
    let mut bytes = [&file.bytes[..old.0], new, &file.bytes[old.1..]].concat();
    for op in file.ops.iter().filter(|op| op.code == 0x95 && op.at < old.0) {
        let len = u64::from_le_bytes(file.bytes[op.from..op.end].try_into().unwrap());
        if old.0 < op.end + len as usize {
            let len = len + new.len() as u64 - (old.1 - old.0) as u64;
            bytes[op.from..op.end].copy_from_slice(&len.to_le_bytes());
        }
    }
    bytes
}

fn is_listed(bytes: &[u8], import: &Import) -> bool {
    let text =
        |(from, end): (usize, usize)| String::from_utf8_lossy(&bytes[from..end]).into_owned();
    Allow::new().find(&text(import.module), &text(import.name)).is_some()
}

#[test]
fn the_reader_of_opcodes_finds_what_genuine_files_import() {
    let files = genuine();
    let n: usize = files.iter().map(|file| file.imports.len()).sum();
    assert!(files.len() > 40 && n > 200, "{n} imports in {} files", files.len());
    for file in files {
        assert_eq!(verdict(&file.bytes), Verdict::Cleared, "{}", file.name);
        // A change of nothing changes nothing: the splices below are whole.
        let import = &file.imports[0];
        let (from, end) = import.name;
        assert_eq!(spliced(file, (from, end), &file.bytes[from..end]), file.bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A letter of a module or a name, wherever it comes from: directly, by `GLOBAL`, by the memo.
    #[test]
    fn another_letter_in_an_import_is_another_verdict(
        file in any::<prop::sample::Index>(), import in any::<prop::sample::Index>(),
        is_module in any::<bool>(), letter in any::<prop::sample::Index>(),
        to in prop::sample::select(b"abcxyzABZ_019.\n\0 \xff".to_vec()),
    ) {
        let file = file.get(genuine());
        let import = import.get(&file.imports);
        let (from, end) = if is_module { import.module } else { import.name };
        let at = from + letter.index(end - from);
        let mut bytes = file.bytes.clone();
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        prop_assume!(!is_listed(&bytes, import));
        prop_assert_ne!(verdict(&bytes), Verdict::Cleared, "{} byte {}", file.name, at);
    }

    /// The memo: a fetch of another entry gives another name, or none.
    #[test]
    fn another_entry_of_the_memo_is_another_verdict(
        file in any::<prop::sample::Index>(), import in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        let file = file.get(genuine());
        let with: Vec<&Import> = file.imports.iter().filter(|it| !it.fetches.is_empty()).collect();
        prop_assume!(!with.is_empty());
        let at = import.get(&with).fetches[0];
        let mut bytes = file.bytes.clone();
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        // What is fetched now may be a listed name, too: then nothing harmful is imported.
        let Some(changed) = ops(&bytes).map(|ops| imports(&bytes, &ops)) else { return Ok(()) };
        prop_assume!(changed.len() != file.imports.len()
            || changed.iter().any(|it| !is_listed(&bytes, it)));
        prop_assert_ne!(verdict(&bytes), Verdict::Cleared, "{} byte {}", file.name, at);
    }

    /// A frame of another length: the C reader would take operands from elsewhere.
    #[test]
    fn another_frame_is_another_verdict(
        file in any::<prop::sample::Index>(), frame in any::<prop::sample::Index>(),
        by in 1_u64..5_000, shrinks in any::<bool>(),
    ) {
        let file = file.get(genuine());
        let frames: Vec<&Op> = file.ops.iter().filter(|op| op.code == 0x95).collect();
        prop_assume!(!frames.is_empty());
        let op = frame.get(&frames);
        let old = u64::from_le_bytes(file.bytes[op.from..op.end].try_into().unwrap());
        let new = if shrinks { old.saturating_sub(by) } else { old + by };
        // An edge between two opcodes changes nothing that a reader reads.
        let edge = op.end as u64 + new;
        let between = file.ops.iter().any(|op| op.at as u64 == edge) || new == 0;
        prop_assume!(!between && edge != file.bytes.len() as u64);
        let mut bytes = file.bytes.clone();
        bytes[op.from..op.end].copy_from_slice(&new.to_le_bytes());
        prop_assert_ne!(verdict(&bytes), Verdict::Cleared, "{} frame {} -> {}", file.name, old, new);
    }

    /// An import in the place of another, whole and well framed, is hostile.
    #[test]
    fn a_hostile_import_in_the_place_of_a_listed_one_is_hostile(
        file in any::<prop::sample::Index>(), import in any::<prop::sample::Index>(),
        gadget in prop::sample::select(vec![("os", "system"), ("builtins", "eval"), ("pip", "main"), ("runpy", "run_path")]),
    ) {
        let file = file.get(genuine());
        let import = import.get(&file.imports);
        // By `GLOBAL` the two lines; by texts an import of one's own where the pickle ends.
        let is_global = import.module.1 + 1 == import.name.0 && file.bytes[import.module.1] == b'\n';
        let bytes = if is_global {
            let lines = format!("{}\n{}", gadget.0, gadget.1);
            spliced(file, (import.module.0, import.name.1), lines.as_bytes())
        } else {
            let name = import.name.0 - 1;
            prop_assume!(file.bytes[name] as usize == import.name.1 - import.name.0);
            let text = [&[gadget.1.len() as u8], gadget.1.as_bytes()].concat();
            spliced(file, (name, import.name.1), &text)
        };
        prop_assert_ne!(verdict(&bytes), Verdict::Cleared, "{}", file.name);
        if is_global {
            prop_assert_eq!(verdict(&bytes), Verdict::Hostile, "{}", file.name);
        }
    }

    /// An import, or a call, that is put in between any two opcodes is hostile.
    #[test]
    fn an_import_between_any_two_opcodes_is_hostile(
        file in any::<prop::sample::Index>(), op in any::<prop::sample::Index>(),
        payload in prop::sample::select(vec![&b"cos\nsystem\n0"[..], b"cos\nsystem\n(S'id'\ntR0"]),
    ) {
        let file = file.get(genuine());
        let at = op.get(&file.ops).at;
        let bytes = spliced(file, (at, at), payload);
        prop_assert_eq!(verdict(&bytes), Verdict::Hostile, "{} before byte {}", file.name, at);
    }

    /// Any byte of any file: if what is imported is then not listed, it is not cleared.
    #[test]
    fn any_byte_that_changes_an_import_changes_the_verdict(
        file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        let file = file.get(genuine());
        let at = at.index(file.bytes.len());
        let mut bytes = file.bytes.clone();
        bytes[at] = to;
        let result = verdict(&bytes);
        let Some(changed) = ops(&bytes).map(|ops| imports(&bytes, &ops)) else {
            prop_assert_ne!(result, Verdict::Cleared, "{}: no pickle any more, byte {}", file.name, at);
            return Ok(());
        };
        if changed.iter().any(|it| !is_listed(&bytes, it)) && file.imports.iter().all(|it| is_listed(&file.bytes, it)) {
            prop_assert_ne!(result, Verdict::Cleared, "{} byte {}", file.name, at);
        }
    }
}

/// Hostile pickles: no change of one byte clears one, but where it takes the import itself away.
#[test]
fn no_byte_of_a_hostile_pickle_clears_it() {
    let vectors: [&[u8]; 6] = [
        b"cos\nsystem\n(S'id'\ntR.",
        b"\x80\x02cos\nsystem\nU\x02id\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
        b"\x80\x04\x95\x16\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x93\x8c\x02id\x85R.",
        b"(cos\nsystem\nS'id'\no.",
        b"\x80\x04\x8c\x02os\x940\x8c\x01x0h\0\x8c\x06system\x93\x8c\x02id\x85R.",
    ];
    for vector in vectors {
        assert_eq!(verdict(vector), Verdict::Hostile);
        for at in 0..vector.len() {
            for to in 0..=255 {
                let mut bytes = vector.to_vec();
                bytes[at] = to;
                if verdict(&bytes) == Verdict::Cleared {
                    let left = ops(&bytes).map(|ops| imports(&bytes, &ops));
                    let harmless = left.is_some_and(|it| it.iter().all(|it| is_listed(&bytes, it)));
                    assert!(harmless, "{vector:?} byte {at} -> {to}");
                }
            }
        }
    }
}
