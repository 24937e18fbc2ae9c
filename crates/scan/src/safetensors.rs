//! safetensors: a JSON header that names ranges, and the ranges. Nothing in it can run.
//!
//! Layout: 8 bytes length of the header (little endian), the header, the data. Strict: ranges in
//! order of offsets must neither overlap nor leave gaps, and must end where the file ends; sizes
//! must be those of shape and type; no key twice (safetensors 0.8, `Metadata::validate`).

use crate::escape;
use crate::json::{Event, Parser, text};
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Head, Reader};
use crate::source::Stream;

/// Longest header, in bytes; the format's own limit is 100 MB.
const HEADER_BYTES_MAX: u64 = 12 * 1024 * 1024;
/// Most tensors.
const TENSORS_MAX: usize = 400_000;

pub(crate) const FORMAT: Format =
    Format { name: "safetensors", claims, reader: Reader::Forward(read) };

fn claims(head: &Head<'_>) -> bool {
    let Some((len, rest)) = head.bytes.split_first_chunk() else { return false };
    let len = u64::from_le_bytes(*len);
    let fits = head.len.is_none_or(|size| len <= size.saturating_sub(8));
    // The next byte after the brace tells it from eight arbitrary bytes before a brace.
    fits && 2 <= len
        && len < 1 << 32
        && matches!(rest, [b'{', b'"' | b' ' | b'}' | b'\n' | b'\t', ..])
}

/// A tensor's range, and a digest of its name to find duplicates without keeping names.
struct Range {
    begin: u64,
    end: u64,
    name: Box<str>,
}

fn read(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    let len = u64::from_le_bytes(stream.array()?);
    if HEADER_BYTES_MAX < len {
        return Err(Stop::Budget("header bytes"));
    }
    let mut header = Vec::new();
    let mut left = len;
    while left > 0 {
        let n = usize::try_from(left.min(64 * 1024)).unwrap_or(0);
        header.extend_from_slice(stream.take(n)?);
        left = left.saturating_sub(n as u64);
    }
    let mut ranges = ranges(scope, &header)?;
    let data_at = stream.offset();
    let data_len = match stream.left() {
        Some(left) => left,
        None => count(stream)?,
    };
    ranges.sort_by_key(|range| (range.begin, range.end));
    let mut at = 0;
    for range in &ranges {
        if range.begin != at {
            let how = if range.begin < at { "overlaps another" } else { "leaves a gap before it" };
            let what = format!("tensor `{}` {how}", escape::text(&range.name));
            scope.report(&rules::SAFETENSORS_LAYOUT, data_at.saturating_add(range.begin), what);
        }
        at = at.max(range.end);
    }
    if at != data_len {
        let what = format!("the tensors take {at} bytes, the file has {data_len}");
        scope.report(&rules::SAFETENSORS_LAYOUT, data_at.saturating_add(at.min(data_len)), what);
    }
    ranges.sort_by(|a, b| a.name.cmp(&b.name));
    for pair in ranges.windows(2) {
        if let [first, second] = pair
            && first.name == second.name
        {
            let what = format!("tensor `{}` is there twice", escape::text(&first.name));
            scope.report(&rules::SAFETENSORS_LAYOUT, 8, what);
        }
    }
    Ok(())
}

fn count(stream: &mut Stream<'_>) -> Result<u64, Stop> {
    let mut n = 0_u64;
    loop {
        let got = stream.peek(4096)?.len() as u64;
        if got == 0 {
            return Ok(n);
        }
        stream.skip(got)?;
        n = n.saturating_add(got);
    }
}

/// Reads the header: `{"name": {"dtype": .., "shape": [..], "data_offsets": [b, e]}, ..}` and
/// `"__metadata__"`, a flat object of texts.
fn ranges(scope: &mut Scope<'_>, header: &[u8]) -> Result<Vec<Range>, Stop> {
    let text = text(header)?;
    let mut parser = Parser::new(text);
    let mut ranges = Vec::new();
    let mut has_metadata = false;
    expect(&mut parser, Event::Object)?;
    loop {
        match next(&mut parser)? {
            Event::Close => break,
            Event::Key(name) if name == "__metadata__" => {
                if has_metadata {
                    scope.report(&rules::SAFETENSORS_LAYOUT, 8, "metadata is there twice");
                }
                has_metadata = true;
                metadata(&mut parser)?;
            }
            Event::Key(name) => {
                scope.meter.steps(1)?;
                if TENSORS_MAX <= ranges.len() {
                    return Err(Stop::Budget("tensors"));
                }
                ranges.push(tensor(scope, &mut parser, &name)?);
            }
            Event::Object
            | Event::List
            | Event::Text(_)
            | Event::Number(_)
            | Event::Bool(_)
            | Event::Null => {
                return Err(Stop::broken(parser.offset(), "the header is malformed"));
            }
        }
    }
    match parser.event()? {
        None => Ok(ranges),
        Some(_) => Err(Stop::broken(parser.offset(), "something follows the header")),
    }
}

fn next<'a>(parser: &mut Parser<'a>) -> Result<Event<'a>, Stop> {
    let at = parser.offset();
    parser.event()?.ok_or(Stop::broken(at, "the header is cut off"))
}

fn expect(parser: &mut Parser<'_>, event: Event<'_>) -> Result<(), Stop> {
    let at = parser.offset();
    if next(parser)? == event { Ok(()) } else { Err(Stop::broken(at, "the header is malformed")) }
}

fn metadata(parser: &mut Parser<'_>) -> Result<(), Stop> {
    expect(parser, Event::Object)?;
    loop {
        match next(parser)? {
            Event::Close => return Ok(()),
            Event::Key(_) | Event::Text(_) => {}
            Event::Object | Event::List | Event::Number(_) | Event::Bool(_) | Event::Null => {
                return Err(Stop::broken(parser.offset(), "metadata is not flat text"));
            }
        }
    }
}

fn numbers(parser: &mut Parser<'_>) -> Result<Vec<u64>, Stop> {
    expect(parser, Event::List)?;
    let mut numbers = Vec::new();
    loop {
        let at = parser.offset();
        match next(parser)? {
            Event::Close => return Ok(numbers),
            Event::Number(number) if numbers.len() < 64 => numbers
                .push(number.parse().map_err(|_| Stop::broken(at, "a size is no natural number"))?),
            Event::Object
            | Event::List
            | Event::Key(_)
            | Event::Text(_)
            | Event::Number(_)
            | Event::Bool(_)
            | Event::Null => return Err(Stop::broken(at, "the header is malformed")),
        }
    }
}

fn tensor(scope: &mut Scope<'_>, parser: &mut Parser<'_>, name: &str) -> Result<Range, Stop> {
    expect(parser, Event::Object)?;
    let at = parser.offset();
    let (mut bits, mut shape, mut offsets) = (None, None, None);
    loop {
        match next(parser)? {
            Event::Close => break,
            Event::Key(key) if key == "dtype" && bits.is_none() => {
                let Event::Text(name) = next(parser)? else {
                    return Err(Stop::broken(at, "a type is no text"));
                };
                bits = item_bits(&name);
            }
            Event::Key(key) if key == "shape" && shape.is_none() => shape = Some(numbers(parser)?),
            Event::Key(key) if key == "data_offsets" && offsets.is_none() => {
                offsets = Some(numbers(parser)?);
            }
            Event::Object
            | Event::List
            | Event::Key(_)
            | Event::Text(_)
            | Event::Number(_)
            | Event::Bool(_)
            | Event::Null => {
                return Err(Stop::broken(at, "a tensor has an unknown or repeated field"));
            }
        }
    }
    let (Some(bits), Some(shape), Some(offsets)) = (bits, shape, offsets) else {
        return Err(Stop::broken(at, "a tensor lacks a known type, shape or range"));
    };
    let &[begin, end] = offsets.as_slice() else {
        return Err(Stop::broken(at, "a range has not two ends"));
    };
    let size = shape
        .iter()
        .try_fold(bits, |bits, &dim| bits.checked_mul(dim))
        .filter(|bits| bits.is_multiple_of(8))
        .map(|bits| bits / 8);
    if size.is_none() || end.checked_sub(begin) != size {
        let what = format!("tensor `{}` has a range that its shape does not", escape::text(name));
        scope.report(&rules::SAFETENSORS_LAYOUT, 8_u64.saturating_add(at), what);
    }
    Ok(Range { begin, end, name: name.into() })
}

/// Bits of an element (safetensors 0.8, `Dtype::bitsize`).
fn item_bits(name: &str) -> Option<u64> {
    Some(match name {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ"
        | "F8_E5M2FNUZ" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        "C128" => 128,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::Verdict;
    use crate::testing::{has, scan};

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend(std::iter::repeat_n(7, data));
        bytes
    }

    /// A file whose ranges tile its data is cleared; each way not to is found.
    #[test]
    fn ranges_must_tile_the_data() {
        let two = |a: &str, b: &str| {
            format!(
                r#"{{"__metadata__":{{"format":"pt"}},"a":{{"dtype":"F32","shape":[2],"data_offsets":{a}}},"b":{{"dtype":"U8","shape":[4],"data_offsets":{b}}}}}"#
            )
        };
        let good = file(&two("[0,8]", "[8,12]"), 12);
        assert_eq!(scan(&good).verdict, Verdict::Cleared, "{:?}", scan(&good).sightings);
        for (bad, why) in [
            (file(&two("[0,8]", "[8,12]"), 13), "tail"),
            (file(&two("[0,8]", "[9,13]"), 13), "gap"),
            (file(&two("[0,8]", "[7,11]"), 11), "overlap"),
            (file(&two("[0,9]", "[9,13]"), 13), "size"),
            (file(&two("[0,8]", "[8,12]").replace("\"b\"", "\"a\""), 12), "duplicate"),
        ] {
            let report = scan(&bad);
            assert_eq!(report.verdict, Verdict::NotCleared, "{why}");
            assert!(has(&report, "scan.safetensors.layout"), "{why}: {:?}", report.sightings);
        }
        crate::testing::cuts_are_never_cleared(&good);
    }
}
