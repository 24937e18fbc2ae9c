//! Content codings of HTTP (RFC 9110, 8.4.1): `gzip`, and `deflate`, which is zlib's format.
//!
//! Invariants
//! - Z1: undoing a coding takes memory for what came out so far, never beyond the limit for the
//!   body, and stops as soon as the ratio is a bomb's.

use std::io::{self, BufRead, Read, Write};

use bartizan_core::RefusalCode;
use flate2::Compression;
use flate2::bufread::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::error::WireError;

/// Most bytes that may come out for each byte that went in, beyond [`RATIO_FREE_BYTES`]. Tensors
/// of real data stay far below 50; the most that the format can do is about 1,030.
pub const RATIO_MAX: usize = 200;
/// Bytes that may come out whatever went in: a small tensor of zeroes is no bomb.
pub const RATIO_FREE_BYTES: usize = 1024 * 1024;
/// How much is decoded between two looks at the limits, in bytes.
const STEP_BYTES: usize = 32 * 1024;

/// How bytes are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, which HTTP calls deflate.
    Deflate,
}

impl Coding {
    /// HTTP's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// The coding that `Content-Encoding: text` names; `Ok(None)` for none at all.
    ///
    /// # Errors
    /// [`RefusalCode::Unsupported`] for any other, and for more than one.
    pub fn of_content(text: &str) -> Result<Option<Self>, WireError> {
        let is = |word: &str| text.trim().eq_ignore_ascii_case(word);
        if is("") || is("identity") {
            Ok(None)
        } else if is("gzip") || is("x-gzip") {
            Ok(Some(Self::Gzip))
        } else if is("deflate") {
            Ok(Some(Self::Deflate))
        } else {
            let message = "the content coding is not supported; send `gzip`, `deflate` or none";
            Err(WireError { code: RefusalCode::Unsupported, message: message.into() })
        }
    }

    /// The coding that `Accept-Encoding: text` prefers of ours; of equals gzip.
    pub fn wanted(text: &str) -> Option<Self> {
        let mut best = (0_u16, None);
        let mut any = 0;
        for item in text.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let word = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, millis);
            let coding = match word {
                "gzip" | "x-gzip" => Self::Gzip,
                "deflate" => Self::Deflate,
                "*" => {
                    any = weight;
                    continue;
                }
                _ => continue,
            };
            if best.0 < weight || best.0 == weight && 0 < weight && coding == Self::Gzip {
                best = (weight, Some(coding));
            }
        }
        let names_gzip = text.contains("gzip");
        best.1.or_else(|| (0 < any && !names_gzip).then_some(Self::Gzip))
    }
}

/// A quality of `Accept-Encoding` in thousandths; 0 where it is none.
fn millis(text: &str) -> u16 {
    let weight = text.parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    let millis = (weight * 1000.0) as u16;
    millis
}

/// Undoes `coding` of `bytes`.
///
/// # Errors
/// [`RefusalCode::TooLarge`] beyond `bytes_max` or the ratio of a bomb, else
/// [`RefusalCode::Malformed`].
pub fn decode(coding: Coding, bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, WireError> {
    let ratio_max = bytes.len().saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
    let limit = bytes_max.min(ratio_max);
    let mut rest = bytes;
    let outcome = match coding {
        Coding::Gzip => read_all(GzDecoder::new(&mut rest), limit),
        Coding::Deflate => read_all(ZlibDecoder::new(&mut rest), limit),
    };
    let malformed = |message: &str| {
        let message = format!("the body is not whole {}: {message}", coding.as_str());
        WireError { code: RefusalCode::Malformed, message }
    };
    match outcome {
        Ok(Some(_)) if !rest.fill_buf().unwrap_or_default().is_empty() => {
            Err(malformed("there are bytes behind its end; send one stream"))
        }
        Ok(Some(out)) => Ok(out),
        Ok(None) if bytes_max <= ratio_max => {
            let message = format!(
                "the body is larger than {bytes_max} bytes once its coding is undone; send fewer \
                 rows at a time"
            );
            Err(WireError { code: RefusalCode::TooLarge, message })
        }
        Ok(None) => {
            let message = format!(
                "the body grows to more than {RATIO_MAX} times its size; send it without a \
                 content coding"
            );
            Err(WireError { code: RefusalCode::TooLarge, message })
        }
        Err(_) => Err(malformed("it is cut short or damaged; send it again")),
    }
}

/// All that `decoder` gives; `None` where that is more than `limit`.
fn read_all(mut decoder: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    loop {
        let room = limit.saturating_sub(out.len()).saturating_add(1).min(STEP_BYTES);
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        if decoder.by_ref().take(room).read_to_end(&mut out)? == 0 {
            return Ok(Some(out));
        }
        if limit < out.len() {
            return Ok(None);
        }
    }
}

/// `bytes` in `coding`, as fast as it goes.
#[expect(clippy::expect_used, reason = "writing to memory does not fail")]
pub fn encode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let room = Vec::with_capacity(bytes.len().div_euclid(2));
    let written = match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(room, Compression::fast());
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(room, Compression::fast());
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
    };
    written.expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Coding; 2] = [Coding::Gzip, Coding::Deflate];

    #[test]
    fn what_is_coded_is_decoded_up_to_the_limit() {
        let body: Vec<u8> = (0..100_000_u32).flat_map(|n| (n * 31).to_le_bytes()).collect();
        for coding in BOTH {
            let coded = encode(coding, &body);
            assert_eq!(decode(coding, &coded, body.len()).unwrap(), body);
            let error = decode(coding, &coded, body.len() - 1).unwrap_err();
            assert_eq!(error.code, RefusalCode::TooLarge, "{error}");
            assert!(error.message.contains("399999"), "{error}");
            assert_eq!(decode(coding, &encode(coding, b""), 0).unwrap(), b"");
        }
    }

    /// Z1: zeroes up to the free bytes are no bomb, one byte more at the same ratio is.
    #[test]
    fn a_bomb_is_told_by_its_ratio() {
        for coding in BOTH {
            let zeroes = |n: usize| encode(coding, &vec![0; n]);
            assert!(decode(coding, &zeroes(RATIO_FREE_BYTES), usize::MAX).is_ok());
            let error = decode(coding, &zeroes(RATIO_FREE_BYTES + 1), usize::MAX).unwrap_err();
            assert_eq!(error.code, RefusalCode::TooLarge);
            assert!(error.message.contains("200 times"), "{error}");
        }
    }

    #[test]
    fn what_is_cut_damaged_or_followed_is_refused() {
        for coding in BOTH {
            let whole = encode(coding, b"an answer that is long enough to be cut anywhere");
            for cut in 0..whole.len() {
                let error = decode(coding, &whole[..cut], 1_000).unwrap_err();
                assert_eq!(error.code, RefusalCode::Malformed, "cut at {cut}");
            }
            let followed = [whole.as_slice(), b"x"].concat();
            assert!(decode(coding, &followed, 1_000).is_err());
            let mut damaged = whole.clone();
            let last = damaged.len() - 1;
            damaged[last] ^= 1;
            assert!(decode(coding, &damaged, 1_000).is_err());
        }
    }

    #[test]
    fn codings_are_known_by_their_words() {
        for (text, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("GZip", Some(Coding::Gzip)),
            ("deflate", Some(Coding::Deflate)),
            ("identity", None),
            ("", None),
        ] {
            assert_eq!(Coding::of_content(text).unwrap(), coding, "{text}");
        }
        for text in ["br", "gzip, gzip", "gzip,deflate", "zstd"] {
            let error = Coding::of_content(text).unwrap_err();
            assert_eq!(error.code, RefusalCode::Unsupported, "{text}");
        }
        for (text, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("deflate, gzip", Some(Coding::Gzip)),
            ("gzip;q=0.5, deflate", Some(Coding::Deflate)),
            ("deflate", Some(Coding::Deflate)),
            ("gzip;q=0", None),
            ("*", Some(Coding::Gzip)),
            ("*, gzip;q=0", None),
            ("br", None),
            ("identity", None),
            ("", None),
        ] {
            assert_eq!(Coding::wanted(text), coding, "{text}");
        }
    }
}
