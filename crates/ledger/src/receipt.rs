//! What a caller holds as proof that its decision was recorded.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Longest receipt text, in bytes: an origin of 255 and what stands around it.
const RECEIPT_BYTES_MAX: usize = 512;

/// Hash of a leaf: SHA-256 of a zero byte and the leaf (RFC 6962, section 2.1).
pub fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update([0x00]);
    hasher.update(leaf);
    hasher.finalize().into()
}

/// Where in which log a record stands, and what it is.
///
/// Its text is the value of the header `bartizan-receipt`, a structured field (RFC 8941):
/// `"<origin>";index=<n>;leaf=:<base64>:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Name of the log.
    pub origin: Arc<str>,
    /// Position of the record in it, counted from 0 without gaps.
    pub index: u64,
    /// Its leaf hash.
    pub leaf_hash: [u8; 32],
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut leaf = [0; 44];
        for (group, digits) in self.leaf_hash.chunks(3).zip(leaf.as_chunks_mut::<4>().0) {
            *digits = base64_group(group);
        }
        let leaf = std::str::from_utf8(&leaf).map_err(|_| fmt::Error)?;
        write!(f, "\"{}\";index={};leaf=:{leaf}:", self.origin, self.index)
    }
}

/// Text that is no receipt.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a receipt is `\"<origin>\";index=<number>;leaf=:<44 base64 characters>:`")]
pub struct ReceiptError;

impl FromStr for Receipt {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if RECEIPT_BYTES_MAX < text.len() {
            return Err(ReceiptError);
        }
        let rest = text.strip_prefix('"').ok_or(ReceiptError)?;
        let (origin, rest) = rest.split_once("\";index=").ok_or(ReceiptError)?;
        let (index, rest) = rest.split_once(";leaf=:").ok_or(ReceiptError)?;
        let leaf = rest.strip_suffix(':').ok_or(ReceiptError)?;
        let receipt = Self {
            origin: origin.into(),
            index: index.parse().map_err(|_| ReceiptError)?,
            leaf_hash: unbase64(leaf).ok_or(ReceiptError)?,
        };
        // Only the canonical spelling: one receipt, one text.
        if receipt.to_string() == text { Ok(receipt) } else { Err(ReceiptError) }
    }
}

/// The four characters of one to three bytes (RFC 4648, section 4).
fn base64_group(group: &[u8]) -> [u8; 4] {
    let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    let digit = |at: usize| {
        if group.len() < at { b'=' } else { ALPHABET[(bits >> (18 - 6 * at) & 63) as usize] }
    };
    [digit(0), digit(1), digit(2), digit(3)]
}

/// The 32 bytes of 44 characters; padding is checked by the caller's comparison.
fn unbase64(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_suffix('=')?;
    if digits.len() != 43 {
        return None;
    }
    let mut bytes = [0; 33];
    let (mut bits, mut n_bits, mut at) = (0_u32, 0, 0);
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        bits = bits << 6 | value as u32;
        n_bits += 6;
        if 8 <= n_bits {
            n_bits -= 8;
            bytes[at] = (bits >> n_bits) as u8;
            at += 1;
        }
    }
    bytes[..32].try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_reads_back_what_it_prints_and_nothing_else() {
        let leaf_hash = leaf_hash(b"a leaf");
        let receipt = Receipt { origin: "log.example/a/0".into(), index: 17, leaf_hash };
        let text = receipt.to_string();
        assert!(text.starts_with("\"log.example/a/0\";index=17;leaf=:"), "{text}");
        assert_eq!(text.parse::<Receipt>().unwrap(), receipt);
        let cut = &text[..text.len() - 3];
        for bad in ["", "\"a\"", cut, &text.replace("17", "017"), &text.replace("17", "-1")] {
            assert!(bad.parse::<Receipt>().is_err(), "accepted {bad:?}");
        }
        // The last digit carries 4 bits; another with the same 4 bits is another spelling.
        let last = text.len() - 3;
        let spelled = ALPHABET.iter().position(|d| *d == text.as_bytes()[last]).unwrap();
        let mut other = text.clone().into_bytes();
        other[last] = ALPHABET[spelled ^ 1];
        assert!(String::from_utf8(other).unwrap().parse::<Receipt>().is_err());
    }

    /// RFC 4648, section 10, and RFC 6962's hash of the empty leaf.
    #[test]
    fn base64_and_leaf_hash_are_the_standards() {
        assert_eq!(&base64_group(b"f"), b"Zg==");
        assert_eq!(&base64_group(b"fo"), b"Zm8=");
        assert_eq!(&base64_group(b"foo"), b"Zm9v");
        let empty = bartizan_core::digest::hex(&leaf_hash(b""));
        assert_eq!(empty, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }
}
