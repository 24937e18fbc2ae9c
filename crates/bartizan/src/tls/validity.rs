//! From when until when a certificate is valid: the one field of X.509 that rustls does not show.

#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use bartizan_core::clock::{NS_PER_S, parse_rfc3339};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;

/// Begin and end in seconds since the Unix epoch of the certificate `der` (RFC 5280, 4.1);
/// `None` where it is no such certificate.
pub(super) fn validity(der: &[u8]) -> Option<(u64, u64)> {
    let (certificate, _) = take(der, SEQUENCE)?;
    let (fields, _) = take(certificate, SEQUENCE)?;
    let rest = take(fields, EXPLICIT_0).map_or(fields, |(_, rest)| rest);
    let (_serial, rest) = take(rest, INTEGER)?;
    let (_algorithm, rest) = take(rest, SEQUENCE)?;
    let (_issuer, rest) = take(rest, SEQUENCE)?;
    let (validity, _) = take(rest, SEQUENCE)?;
    let (begin, rest) = take_time(validity)?;
    let (end, _) = take_time(rest)?;
    Some((begin, end))
}

/// Content of the element of type `tag` that `der` begins with, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (len, rest) = match first {
        0..0x80 => (usize::from(first), rest),
        0x81..0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            // At most 3 digits: below 2^24.
            (digits.iter().fold(0, |len: usize, digit| len << 8 | usize::from(*digit)), rest)
        }
        0x80 | 0x84.. => return None,
    };
    rest.split_at_checked(len)
}

fn take_time(der: &[u8]) -> Option<(u64, &[u8])> {
    let (text, century, rest) = match take(der, UTC_TIME) {
        Some((text, rest)) => {
            // RFC 5280, 4.1.2.5.1: 50 to 99 are of the last century.
            let century = if text.first()? < &b'5' { "20" } else { "19" };
            (text, century, rest)
        }
        None => {
            let (text, rest) = take(der, GENERALIZED_TIME)?;
            (text, "", rest)
        }
    };
    let digits = format!("{century}{}", std::str::from_utf8(text).ok()?);
    let part = |range: std::ops::Range<usize>| digits.get(range);
    let stamp = format!(
        "{}-{}-{}T{}:{}:{}",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(8..10)?,
        part(10..12)?,
        digits.get(12..)?
    );
    let wall_ns = parse_rfc3339(&stamp)?;
    Some((wall_ns.checked_div(NS_PER_S)?, rest))
}
