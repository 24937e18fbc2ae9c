//! Reading CBOR: maps with integer keys whose unknown entries are skipped.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use minicbor::Decoder;

/// Most entries of one map: later releases may add some.
const ENTRIES_MAX: u64 = 256;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("there are no bytes")]
    Empty,
    /// A version of another release.
    #[error("version {found}, this release reads version 1")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// Longer than it may be.
    #[error("{len} bytes, the limit is {len_max} bytes")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        len_max: usize,
    },
    /// Not CBOR, or not of the right type, near this byte.
    #[error("malformed near byte {at}")]
    Malformed {
        /// Where, counted from the first byte.
        at: usize,
    },
    /// A field that is never absent is.
    #[error("field `{field}` is absent")]
    Absent {
        /// Its name.
        field: &'static str,
    },
    /// A field's value is none that this release knows.
    #[error("field `{field}` has a value that this release does not know")]
    Value {
        /// Its name.
        field: &'static str,
    },
}

/// Places bytes in an error where the decoder knows the place.
impl From<minicbor::decode::Error> for DecodeError {
    fn from(error: minicbor::decode::Error) -> Self {
        Self::Malformed { at: error.position().unwrap_or(0) }
    }
}

/// Calls `entry` for each entry of a map. Where it returns false, the value is skipped.
pub(crate) fn each_entry<'b>(
    d: &mut Decoder<'b>,
    mut entry: impl FnMut(&mut Decoder<'b>, u64) -> Result<bool, DecodeError>,
) -> Result<(), DecodeError> {
    let at = d.position();
    let n_entries = d.map()?.filter(|n| *n <= ENTRIES_MAX).ok_or(DecodeError::Malformed { at })?;
    for _ in 0..n_entries {
        let key = d.u64()?;
        if !entry(d, key)? {
            d.skip()?;
        }
    }
    Ok(())
}

/// Exactly `N` bytes.
pub(crate) fn fixed<const N: usize>(
    d: &mut Decoder<'_>,
    field: &'static str,
) -> Result<[u8; N], DecodeError> {
    d.bytes()?.try_into().map_err(|_| DecodeError::Value { field })
}

/// Length of an array of at most `len_max` elements.
pub(crate) fn array_len(d: &mut Decoder<'_>, len_max: u64) -> Result<u64, DecodeError> {
    let at = d.position();
    d.array()?.filter(|n| *n <= len_max).ok_or(DecodeError::Malformed { at })
}
