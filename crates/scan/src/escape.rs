//! Text of an attacker's choosing, made harmless to print.
//!
//! Invariant
//! - E1: what leaves here is printable ASCII without backslash sequences other than those made
//!   here, at most [`TEXT_CHARS_MAX`] characters and an ellipsis long: it cannot move a
//!   terminal's cursor, break a line, or end a quoted string.

/// Longest excerpt of foreign text in a finding, in characters of the original.
pub const TEXT_CHARS_MAX: usize = 160;

/// `text`, escaped and cut (E1).
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(TEXT_CHARS_MAX));
    for (n, c) in text.chars().enumerate() {
        if n == TEXT_CHARS_MAX {
            out.push_str("...");
            break;
        }
        match c {
            '\\' => out.push_str("\\\\"),
            '`' => out.push_str("\\x60"),
            ' '..='~' => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// `bytes` as text, escaped and cut (E1); bytes that are no UTF-8 show as `\u{fffd}`.
pub fn bytes(bytes: &[u8]) -> String {
    // Four bytes a character at most, so that cutting here never shortens what is shown.
    let cut = bytes.get(..TEXT_CHARS_MAX.saturating_mul(4)).unwrap_or(bytes);
    text(&String::from_utf8_lossy(cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E1: newlines, escapes, bidirectional marks and quotes do not survive; long text is cut.
    #[test]
    fn attacker_text_cannot_steer_a_terminal() {
        let hostile = "a\nb\u{1b}[2J\u{202e}`\\\u{7f}\u{85}é";
        let shown = text(hostile);
        assert!(shown.bytes().all(|b| (b' '..=b'~').contains(&b)), "{shown}");
        assert_eq!(shown, "a\\nb\\u{1b}[2J\\u{202e}\\x60\\\\\\u{7f}\\u{85}\\u{e9}");
        assert_eq!(text(&"x".repeat(TEXT_CHARS_MAX)).len(), TEXT_CHARS_MAX);
        assert_eq!(text(&"x".repeat(TEXT_CHARS_MAX + 1)).len(), TEXT_CHARS_MAX + 3);
        assert_eq!(bytes(b"ok\xff"), "ok\\u{fffd}");
    }
}
