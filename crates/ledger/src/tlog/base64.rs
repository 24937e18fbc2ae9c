//! Base 64 as RFC 4648, section 4, has it, in one spelling only.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The four characters of one to three bytes.
pub(crate) fn group(group: &[u8]) -> [u8; 4] {
    let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    let digit = |at: usize, shift: u32| {
        let place = usize::try_from(bits >> shift & 63).unwrap_or(0);
        if group.len() < at { b'=' } else { ALPHABET.get(place).copied().unwrap_or(b'=') }
    };
    [digit(0, 18), digit(1, 12), digit(2, 6), digit(3, 0)]
}

/// Text of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    bytes.chunks(3).flat_map(group).map(char::from).collect()
}

/// Bytes of `text`; `None` where it is not base 64, or not its one spelling.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let (quads, rest) = text.as_bytes().as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(quads.len().saturating_mul(3));
    let last = quads.len().saturating_sub(1);
    for (quad, at) in quads.iter().zip(0_usize..) {
        let n_padding = quad.iter().rev().take_while(|digit| **digit == b'=').count();
        if 2 < n_padding || (n_padding != 0 && at != last) {
            return None;
        }
        let mut bits = 0_u32;
        for digit in quad {
            let value = match digit {
                b'=' => 0,
                known => ALPHABET.iter().position(|other| other == known)?,
            };
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        let [_, a, b, c] = bits.to_be_bytes();
        let part = [a, b, c];
        let part = part.get(..3_usize.saturating_sub(n_padding))?;
        // Also refuses padding inside a group, and spare bits that are not zero.
        if group(part) != *quad {
            return None;
        }
        bytes.extend_from_slice(part);
    }
    Some(bytes)
}

/// Exactly `N` bytes.
pub fn decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N.div_ceil(3).saturating_mul(4) {
        return None;
    }
    decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10, and every other spelling of the same bytes.
    #[test]
    fn base_64_has_one_spelling() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()), "{text}");
        }
        for text in ["Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "=g==", "Z=g=", "Zm9v\n", "Zm-v"] {
            assert_eq!(decode(text), None, "accepted {text:?}");
        }
        assert_eq!(decode_exact::<1>("Zg=="), Some([b'f']));
        assert_eq!(decode_exact::<2>("Zg=="), None);
    }
}
