//! Rust source with its comments and texts blanked out: enough of a lexer to count lines, find
//! functions and look for words without being fooled by a comment.
//!
//! It reads our own sources only, formatted by rustfmt. A syntax tree would be exact, but it
//! does not see inside macros, where half of our tests stand.
//!
//! Invariants
//! - M1: a mask has as many bytes as its source and its line ends at the same places, so that a
//!   position in one is a position in the other.

use std::ops::Range;

/// What each byte of a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Text,
}

/// The views of one source; see the module invariants.
#[derive(Clone, Debug)]
pub struct Masked {
    /// Code alone: comments and the insides of text literals are blanks.
    pub code: String,
    /// Comments alone.
    pub comments: String,
    /// Text literals alone, without their quotes.
    pub texts: String,
}

impl Masked {
    /// The views of `source`.
    pub fn new(source: &str) -> Self {
        let kinds = classify(source.as_bytes());
        let view = |wanted: Kind| {
            let bytes: Vec<u8> = source
                .bytes()
                .zip(&kinds)
                .map(|(byte, kind)| match byte {
                    b'\n' => b'\n',
                    _ if *kind == wanted => byte,
                    _ => b' ',
                })
                .collect();
            // A literal or comment is taken whole, so no character is cut in two.
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Self { code: view(Kind::Code), comments: view(Kind::Comment), texts: view(Kind::Text) }
    }
}

/// The kind of each byte.
fn classify(source: &[u8]) -> Vec<Kind> {
    let mut kinds = vec![Kind::Code; source.len()];
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        let (kind, range) = if rest.starts_with(b"//") {
            (Kind::Comment, at..at + line_len(rest))
        } else if rest.starts_with(b"/*") {
            (Kind::Comment, at..at + block_len(rest))
        } else if let Some(inside) = raw_text(source, at) {
            (Kind::Text, inside)
        } else if rest[0] == b'"' {
            (Kind::Text, at + 1..at + 1 + quoted_len(&rest[1..], b'"'))
        } else if rest[0] == b'\'' && is_char_literal(rest) {
            (Kind::Text, at + 1..at + 1 + quoted_len(&rest[1..], b'\''))
        } else {
            at += 1;
            continue;
        };
        kinds[range.clone()].fill(kind);
        at = range.end + usize::from(kind == Kind::Text);
    }
    kinds
}

fn line_len(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

/// Length of the block comment that `rest` begins with; they nest.
fn block_len(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if rest[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Inside of the raw text literal (`r"…"`, `br#"…"#`) whose `r` stands at `at`.
fn raw_text(source: &[u8], at: usize) -> Option<Range<usize>> {
    if source[at] != b'r' {
        return None;
    }
    let before = at.checked_sub(1).map_or(b' ', |before| source[before]);
    let is_prefix = !is_word(before) || matches!(before, b'b' | b'c');
    let hashes = source[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let start = at + 1 + hashes + 1;
    if !is_prefix || source.get(start - 1) != Some(&b'"') {
        return None;
    }
    let mut end = start;
    while end < source.len() {
        let tail = source[end + 1..].iter().take(hashes);
        if source[end] == b'"'
            && tail.clone().count() == hashes
            && tail.eq([b'#'].iter().cycle().take(hashes))
        {
            break;
        }
        end += 1;
    }
    Some(start..end)
}

/// Bytes up to the closing `quote`; a backslash takes the next byte with it.
fn quoted_len(rest: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != quote {
        at += 1 + usize::from(rest[at] == b'\\');
    }
    at.min(rest.len())
}

/// Whether the quote begins a character rather than a lifetime.
fn is_char_literal(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(first) if is_word(*first) && first.is_ascii() => rest.get(2) == Some(&b'\''),
        Some(_) => true,
        None => false,
    }
}

/// Whether a byte may be part of a word.
pub fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// Where `word` stands in `text` as a whole word.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
        let after = bytes.get(at + word.len()).copied().unwrap_or(b' ');
        !is_word(before) && !is_word(after)
    })
}

/// Position just after the bracket that closes the one at `open`, in masked code.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Line number of a position, from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

/// Where the code that only tests see stands: each item after a `#[cfg(test)]`.
pub fn test_ranges(code: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (at, mark) in code.match_indices("#[cfg(test)]") {
        if ranges.last().is_some_and(|last| at < last.end) {
            continue;
        }
        let item = at + mark.len();
        let stop = code[item..].find([';', '{']).map_or(code.len(), |offset| item + offset);
        let end = if code.as_bytes().get(stop) == Some(&b'{') { closing(code, stop) } else { stop };
        ranges.push(at..end);
    }
    ranges
}

/// `text` with the given ranges blanked, line ends kept.
pub fn blank(text: &str, ranges: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in ranges {
        for byte in &mut bytes[range.clone()] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// M1, and each kind of literal and comment that can hide a quote or a brace.
    #[test]
    fn comments_and_texts_are_told_from_code() {
        let source = concat!(
            "let a = \"x{\\\"y\"; // unwrap {\n",
            "let b = r#\"q\"}\"#; /* a /* b */ { */ let c = 'x';\n",
            "fn f<'a>(x: &'a str) { let d = b'\\''; let e = '{'; let r = 1; br\"}\"; 'é' }\n",
        );
        let masked = Masked::new(source);
        for view in [&masked.code, &masked.comments, &masked.texts] {
            assert_eq!(view.len(), source.len());
            assert_eq!(view.matches('\n').count(), 3);
        }
        assert_eq!(masked.code.matches('{').count(), 1, "{}", masked.code);
        assert_eq!(masked.code.matches('}').count(), 1, "{}", masked.code);
        assert!(masked.code.contains("fn f<'a>(x: &'a str)"), "{}", masked.code);
        assert!(masked.comments.contains("// unwrap {"), "{}", masked.comments);
        assert!(masked.texts.contains("q\"}"), "{}", masked.texts);
    }

    #[test]
    fn words_are_whole() {
        let found: Vec<_> = words("unsafe unsafe_code a.unsafe", "unsafe").collect();
        assert_eq!(found, [0, 21]);
    }

    #[test]
    fn code_that_only_tests_see_is_found() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { } }\nfn c() {}\n";
        let left = blank(code, &test_ranges(code));
        assert!(left.contains("fn a") && left.contains("fn c") && !left.contains("fn b"), "{left}");
        assert_eq!(test_ranges("#[cfg(test)]\nmod tests;\n").len(), 1);
    }
}
