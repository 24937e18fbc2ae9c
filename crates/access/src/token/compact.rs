//! The compact form of a signed token (RFC 7515, 7.1): three parts of base64url, each bounded
//! before it is decoded.
//!
//! Invariants
//! - C1: base64url is read strictly (RFC 4648, 5): no padding, no other alphabet, no white space,
//!   no bits that mean nothing; so one token has one text, and a cache or a revocation that goes
//!   by the text cannot be walked around.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

/// Longest token, in bytes. A token of Microsoft Entra with its most groups (200) has about 11 KiB.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest header of a token, in bytes of base64url.
const HEADER_BYTES_MAX: usize = 2 * 1024;
/// Longest signature, in bytes of base64url: RSA with 4,096 bits has 683.
const SIGNATURE_BYTES_MAX: usize = 1_024;

/// A token taken apart; nothing in it is believed yet.
#[derive(Debug)]
pub(crate) struct Compact<'a> {
    /// What is signed: header and payload as they were sent, with the point between them.
    pub(crate) signed: &'a [u8],
    /// The header's JSON.
    pub(crate) header: Vec<u8>,
    /// The payload's JSON.
    pub(crate) payload: Vec<u8>,
    /// The signature's bytes.
    pub(crate) signature: Vec<u8>,
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompactError {
    /// It is longer than [`TOKEN_BYTES_MAX`], or a part is longer than it can be.
    TooLong,
    /// It has not three parts of base64url.
    Malformed,
}

impl<'a> Compact<'a> {
    /// Takes `text` apart. Linear; allocates three quarters of its length.
    ///
    /// # Errors
    /// [`CompactError`]; of a text that is too long nothing is looked at.
    pub(crate) fn parse(text: &'a str) -> Result<Self, CompactError> {
        if TOKEN_BYTES_MAX < text.len() {
            return Err(CompactError::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(CompactError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(CompactError::Malformed)?;
        if HEADER_BYTES_MAX < header.len() || SIGNATURE_BYTES_MAX < signature.len() {
            return Err(CompactError::TooLong);
        }
        let part = |text: &str| decode(text).ok_or(CompactError::Malformed);
        Ok(Self {
            signed: signed.as_bytes(),
            header: part(header)?,
            payload: part(payload)?,
            signature: part(signature)?,
        })
    }
}

/// Value of a digit of base64url, or 64.
const fn digit(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => byte.wrapping_sub(b'A'),
        b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
        b'-' => 62,
        b'_' => 63,
        _ => 64,
    }
}

/// Bytes of strict base64url; see C1.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len().div_ceil(4).saturating_mul(3));
    for group in text.as_bytes().chunks(4) {
        let (mut bits, mut is_bad) = (0_u32, false);
        for byte in group {
            let value = digit(*byte);
            is_bad |= value == 64;
            bits = bits << 6 | u32::from(value);
        }
        if is_bad {
            return None;
        }
        let [_, first, second, third] = match group.len() {
            4 => bits.to_be_bytes(),
            3 if bits & 0b11 == 0 => (bits << 6).to_be_bytes(),
            2 if bits & 0b1111 == 0 => (bits << 12).to_be_bytes(),
            _ => return None,
        };
        out.push(first);
        if 2 < group.len() {
            out.push(second);
        }
        if 3 < group.len() {
            out.push(third);
        }
    }
    Some(out)
}

#[cfg(test)]
pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0_u32;
        for n in 0..3 {
            bits = bits << 8 | u32::from(group.get(n).copied().unwrap_or(0));
        }
        for n in 0..=group.len() {
            let at = (bits >> (18_usize.wrapping_sub(n.wrapping_mul(6)))) & 63;
            out.push(char::from(*DIGITS.get(at as usize).unwrap()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 4648, 10, and C1: every near miss of a canonical text is refused.
    #[test]
    fn base64url_has_one_form() {
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")]
        {
            assert_eq!(decode(text).unwrap(), bytes.as_bytes(), "{text}");
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        assert_eq!(decode("-_8").unwrap(), [0xfb, 0xff]);
        for text in ["Z", "Zh", "Zm9", "Zg==", "Zg=", "+/8", "Zm9v\n", " Zm9v", "Zm9vY", "é"] {
            assert!(decode(text).is_none(), "took {text:?}");
        }
    }

    #[test]
    fn a_token_has_three_parts_each_within_its_bound() {
        assert!(Compact::parse("e30.e30.AA").is_ok());
        for text in ["", ".", "e30.e30", "e30.e30.AA.AA", "e30.e30.A", "e30.e=.AA"] {
            assert_eq!(Compact::parse(text).unwrap_err(), CompactError::Malformed, "{text:?}");
        }
        let payload = |len: usize| format!("e30.{}.AA", "A".repeat(len));
        let longest = TOKEN_BYTES_MAX - "e30..AA".len();
        assert!(Compact::parse(&payload(longest / 4 * 4)).is_ok());
        assert_eq!(Compact::parse(&payload(longest + 1)).unwrap_err(), CompactError::TooLong);
        for (header, signature) in [(HEADER_BYTES_MAX + 1, 4), (4, SIGNATURE_BYTES_MAX + 1)] {
            let text = format!("{}.e30.{}", "A".repeat(header), "A".repeat(signature));
            assert_eq!(Compact::parse(&text).unwrap_err(), CompactError::TooLong);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
        }

        /// C1: a text that decodes is the one text of its bytes.
        #[test]
        fn a_text_that_decodes_is_canonical(text in "[A-Za-z0-9_=+/-]{0,24}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
