//! Addresses and ranges, exactly: no rounding, no clipping, no wrapping.
//!
//! A range keeps what was written, host bits included, because a rule asks for them. IPv4 and
//! IPv6 never overlap each other.
//!
//! Invariants
//! - AD1: arithmetic is exact from `0.0.0.0/0` to `/32`: two ranges overlap if and only if some
//!   address lies in both.

#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

mod set;
#[cfg(test)]
mod tests;

pub use set::RangeSet;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest text of an address or a range that is looked at, in bytes; the longest valid one has
/// 49.
const TEXT_BYTES_MAX: usize = 64;

/// Why a text is no address or no range. The message says what to write instead where that is
/// known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    /// Neither an IPv4 nor an IPv6 address.
    #[error("`{text}` is no address: four numbers from 0 to 255 with dots, as in 10.1.0.0")]
    NotAnAddress {
        /// What was written, cut at 64 bytes.
        text: String,
    },
    /// One of the four numbers is above 255.
    #[error("`{octet}` in `{text}` is above 255")]
    Octet {
        /// The number.
        octet: String,
        /// What was written.
        text: String,
    },
    /// The prefix length is no number or too long.
    #[error("`/{prefix}` in `{text}` is no prefix length: a number from 0 to {prefix_max}")]
    Prefix {
        /// What stands after the slash.
        prefix: String,
        /// What was written.
        text: String,
        /// 32 or 128.
        prefix_max: u8,
    },
    /// A range without a prefix length.
    #[error("`{text}` has no prefix length: write `{text}/24`, or whatever its size is")]
    NoPrefix {
        /// What was written.
        text: String,
    },
    /// IPv6 where only IPv4 works.
    #[error("`{text}` is IPv6: AKS takes IPv4 here")]
    Ipv6 {
        /// What was written.
        text: String,
    },
    /// A range where one address is needed.
    #[error("`{text}` is a range: one address is needed, without `/`")]
    Range {
        /// What was written.
        text: String,
    },
}

/// A range of addresses as written: a base address and a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net {
    base: u128,
    prefix: u8,
    is_v6: bool,
}

impl Net {
    /// The IPv4 range `a.b.c.d/prefix`; a prefix above 32 counts as 32.
    pub const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Self {
        let base = u32::from_be_bytes([a, b, c, d]) as u128;
        Self { base, prefix: if 32 < prefix { 32 } else { prefix }, is_v6: false }
    }

    /// The IPv4 range at `base` with `prefix` (0 to 32, more counts as 32).
    pub fn at(base: u32, prefix: u8) -> Self {
        Self { base: u128::from(base), prefix: prefix.min(32), is_v6: false }
    }

    /// Reads `10.0.0.0/16`, or an address alone as a range of one where `bare` allows it.
    ///
    /// # Errors
    /// [`AddrError`].
    pub fn parse(text: &str, bare: Bare) -> Result<Self, AddrError> {
        let Some((address, prefix)) = text.split_once('/') else {
            let address = parse_address(text, text)?;
            return match bare {
                Bare::Allowed => Ok(Self::single(address)),
                Bare::Refused => Err(AddrError::NoPrefix { text: text.to_owned() }),
            };
        };
        let net = Self::single(parse_address(address, text)?);
        let plain = prefix.bytes().all(|byte| byte.is_ascii_digit())
            && (prefix.len() == 1 || !prefix.starts_with('0'));
        match prefix.parse::<u8>() {
            Ok(prefix) if plain && prefix <= net.prefix => Ok(Self { prefix, ..net }),
            _ => Err(AddrError::Prefix {
                prefix: cut(prefix),
                text: cut(text),
                prefix_max: net.prefix,
            }),
        }
    }

    /// As [`Net::parse`], but IPv6 is an error.
    ///
    /// # Errors
    /// [`AddrError`].
    pub fn parse_v4(text: &str, bare: Bare) -> Result<Self, AddrError> {
        let net = Self::parse(text, bare)?;
        if net.is_v6 { Err(AddrError::Ipv6 { text: cut(text) }) } else { Ok(net) }
    }

    fn single(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => {
                Self { base: u128::from(address.to_bits()), prefix: 32, is_v6: false }
            }
            IpAddr::V6(address) => Self { base: address.to_bits(), prefix: 128, is_v6: true },
        }
    }

    /// Prefix length.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether it is IPv6.
    pub fn is_v6(&self) -> bool {
        self.is_v6
    }

    /// Ones where host bits are.
    fn host_mask(&self) -> u128 {
        let host_bits = u32::from(self.width().saturating_sub(self.prefix));
        u128::MAX.checked_shr(128_u32.saturating_sub(host_bits)).unwrap_or(0)
    }

    fn width(&self) -> u8 {
        if self.is_v6 { 128 } else { 32 }
    }

    /// First address of the range, host bits cleared.
    pub fn first(&self) -> u128 {
        self.base & !self.host_mask()
    }

    /// Last address of the range.
    pub fn last(&self) -> u128 {
        self.base | self.host_mask()
    }

    /// How many addresses it has; `u128::MAX` for `::/0`, which has one more.
    pub fn size(&self) -> u128 {
        self.host_mask().saturating_add(1)
    }

    /// Whether the base address is the first address of the range.
    pub fn is_network(&self) -> bool {
        self.base == self.first()
    }

    /// The same range without host bits.
    #[must_use]
    pub fn network(&self) -> Self {
        Self { base: self.first(), ..*self }
    }

    /// Whether some address lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.is_v6 == other.is_v6 && self.first() <= other.last() && other.first() <= self.last()
    }

    /// Whether every address of `other` lies in this one.
    pub fn contains(&self, other: &Self) -> bool {
        self.is_v6 == other.is_v6 && self.first() <= other.first() && other.last() <= self.last()
    }

    /// Whether the IPv4 address lies in this range.
    pub fn contains_address(&self, address: u32) -> bool {
        self.contains(&Self::at(address, 32))
    }

    /// How many addresses lie in both.
    pub fn n_common(&self, other: &Self) -> u128 {
        if !self.overlaps(other) {
            return 0;
        }
        let (first, last) = (self.first().max(other.first()), self.last().min(other.last()));
        last.saturating_sub(first).saturating_add(1)
    }

    /// The IPv4 address `index` places after the first; `None` where it lies outside, or the
    /// range is IPv6.
    pub fn host(&self, index: u32) -> Option<u32> {
        if self.is_v6 {
            return None;
        }
        let address = self.first().checked_add(u128::from(index))?;
        if self.last() < address { None } else { u32::try_from(address).ok() }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.base) {
            Ok(base) if !self.is_v6 => write!(f, "{}/{}", Ipv4Addr::from(base), self.prefix),
            _ => write!(f, "{}/{}", Ipv6Addr::from(self.base), self.prefix),
        }
    }
}

/// Whether a range may be written as one address without a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// It may: it then has one address.
    Allowed,
    /// It may not.
    Refused,
}

/// Reads one IPv4 address.
///
/// # Errors
/// [`AddrError`].
pub fn parse_v4(text: &str) -> Result<u32, AddrError> {
    if text.contains('/') {
        return Err(AddrError::Range { text: cut(text) });
    }
    match parse_address(text, text)? {
        IpAddr::V4(address) => Ok(address.to_bits()),
        IpAddr::V6(_) => Err(AddrError::Ipv6 { text: cut(text) }),
    }
}

/// An IPv4 address as text.
pub fn show_v4(address: u32) -> String {
    Ipv4Addr::from(address).to_string()
}

fn parse_address(address: &str, whole: &str) -> Result<IpAddr, AddrError> {
    if TEXT_BYTES_MAX < whole.len() {
        return Err(AddrError::NotAnAddress { text: cut(whole) });
    }
    address.parse().map_err(|_| {
        let mut parts = address.split('.');
        let numeric = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let too_large = |part: &&str| numeric(part) && part.parse::<u8>().is_err();
        let octet = (address.split('.').count() == 4).then(|| parts.find(too_large)).flatten();
        match octet {
            Some(octet) => AddrError::Octet { octet: octet.to_owned(), text: cut(whole) },
            None => AddrError::NotAnAddress { text: cut(whole) },
        }
    })
}

/// The first bytes of a foreign text, for a message.
fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_BYTES_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
