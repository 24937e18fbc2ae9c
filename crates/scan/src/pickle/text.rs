//! Operands that are text: what Python's readers make of them, and where these disagree.

/// A number, or a form of it that the three readers of Python take differently or refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read<T> {
    /// All readers agree.
    Same(T),
    /// At least one reader takes it, but they differ.
    Differs,
}

/// Operand of `INT`: canonical decimals, and the two forms of booleans.
pub(crate) fn int(line: &[u8]) -> Read<Option<i64>> {
    match line {
        b"00" => return Read::Same(Some(0)),
        b"01" => return Read::Same(Some(1)),
        _ => {}
    }
    if !canonical(line) {
        return Read::Differs;
    }
    Read::Same(std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()))
}

/// Operand of `LONG`: a canonical decimal and `L`.
pub(crate) fn long(line: &[u8]) -> Read<Option<i64>> {
    match line.strip_suffix(b"L") {
        Some(digits) if canonical(digits) => {
            Read::Same(std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()))
        }
        _ => Read::Differs,
    }
}

/// Operand of `FLOAT`: what `repr` writes.
pub(crate) fn float(line: &[u8]) -> Read<()> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    let plain = digits.first().is_some_and(u8::is_ascii_digit)
        && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'+' | b'-'))
        && std::str::from_utf8(digits).is_ok_and(|text| text.parse::<f64>().is_ok());
    if plain || matches!(digits, b"inf" | b"nan") { Read::Same(()) } else { Read::Differs }
}

/// Operand of `GET`, `PUT`: a canonical index.
pub(crate) fn index(line: &[u8]) -> Read<Option<u32>> {
    if line.first() == Some(&b'-') || !canonical(line) {
        return Read::Differs;
    }
    Read::Same(std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()))
}

/// Whether it is a decimal integer as Python prints it.
fn canonical(line: &[u8]) -> bool {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    let leading_zero = digits.first() == Some(&b'0') && (digits.len() > 1 || line.len() > 1);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && !leading_zero
}

/// Operand of `STRING`: the bytes between its quotes, escapes resolved as by
/// `codecs.escape_decode`. `None`: all readers refuse it.
pub(crate) fn string(line: &[u8]) -> Option<Read<Vec<u8>>> {
    let quote = *line.first().filter(|quote| matches!(quote, b'\'' | b'"'))?;
    let inner = line.get(1..)?.strip_suffix(&[quote])?;
    let mut out = Vec::with_capacity(inner.len());
    let mut same = !inner.contains(&b'\r');
    let mut rest = inner.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match rest.next()? {
            b'\n' => {}
            byte @ (b'\\' | b'\'' | b'"') => out.push(byte),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b't' => out.push(b'\t'),
            b'n' => out.push(b'\n'),
            b'v' => out.push(11),
            b'f' => out.push(12),
            b'r' => out.push(b'\r'),
            b'x' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                out.push(u8::try_from(high.checked_mul(16)?.checked_add(low)?).ok()?);
            }
            first @ b'0'..=b'7' => {
                let mut value = u32::from(first.wrapping_sub(b'0'));
                for _ in 0..2 {
                    let Some(digit) = rest.clone().next().filter(|b| (b'0'..=b'7').contains(b))
                    else {
                        break;
                    };
                    rest.next();
                    value = value.wrapping_mul(8).wrapping_add(u32::from(digit.wrapping_sub(b'0')));
                }
                same &= value < 256;
                out.push(value.to_le_bytes()[0]);
            }
            other => {
                same = false; // an unknown escape: kept by some versions, refused by others
                out.extend([b'\\', other]);
            }
        }
    }
    Some(if same { Read::Same(out) } else { Read::Differs })
}

/// Operand of `UNICODE`: Python's raw-unicode-escape. `None`: all readers refuse it.
pub(crate) fn unicode(line: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = match (byte, after.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            (b'\\', Some(b'\\')) => {
                // A backslash that is itself escaped does not start an escape; both stay.
                out.push_str("\\\\");
                rest = after.get(1..)?;
                continue;
            }
            _ => {
                out.push(char::from(byte));
                continue;
            }
        };
        let mut value = 0_u32;
        for &digit in after.get(1..)?.get(..digits)? {
            value = value.checked_mul(16)?.checked_add(char::from(digit).to_digit(16)?)?;
        }
        // A lone surrogate cannot be shown, nor be part of a name.
        out.push(char::from_u32(value).unwrap_or('\u{fffd}'));
        rest = after.get(1..)?.get(digits..)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forms that `int(x, 0)`, `strtol` and `int(x)` take alike are the canonical ones only.
    #[test]
    fn only_canonical_numbers_are_the_same_to_all_readers() {
        assert_eq!(int(b"-17"), Read::Same(Some(-17)));
        assert_eq!(int(b"01"), Read::Same(Some(1)));
        assert_eq!(int(b"99999999999999999999"), Read::Same(None));
        for odd in [&b"0x10"[..], b"0o7", b"1_0", b" 1", b"1 ", b"+1", b"", b"-", b"007", b"-0"] {
            assert_eq!(int(odd), Read::Differs, "{odd:?}");
        }
        assert_eq!(long(b"5L"), Read::Same(Some(5)));
        for odd in [&b"5"[..], b"L", b"0x5L", b"5LL"] {
            assert_eq!(long(odd), Read::Differs, "{odd:?}");
        }
        for same in [&b"1.5"[..], b"-1e-07", b"inf", b"-nan", b"0.0"] {
            assert_eq!(float(same), Read::Same(()), "{same:?}");
        }
        for odd in [&b"1_0.0"[..], b" 1.0", b"0x1p3", b"infinity", b"", b"."] {
            assert_eq!(float(odd), Read::Differs, "{odd:?}");
        }
        assert_eq!(index(b"-1"), Read::Differs);
        assert_eq!(index(b"7"), Read::Same(Some(7)));
    }

    /// A name written with escapes is the name that Python sees.
    #[test]
    fn escapes_do_not_hide_a_name() {
        assert_eq!(string(br"'o\x73'"), Some(Read::Same(b"os".to_vec())));
        assert_eq!(string(br#""\163ystem""#), Some(Read::Same(b"system".to_vec())));
        assert_eq!(string(br"'a\q'"), Some(Read::Differs));
        for bad in [&b"'"[..], b"", b"'a", b"a'", br"'\x7'", br"'\'"] {
            assert_eq!(string(bad), None, "{bad:?}");
        }
        assert_eq!(unicode(br"\u006fs").unwrap(), "os");
        assert_eq!(unicode(br"\\u006f").unwrap(), r"\\u006f");
        assert_eq!(unicode(b"\xe9").unwrap(), "é");
        assert_eq!(unicode(br"\u00"), None);
    }
}
