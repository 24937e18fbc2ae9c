//! Tiles of 256 hashes and bundles of 256 entries: their names and their bytes (`tlog-tiles`).

use std::fmt;

use super::decimal;

/// Hashes of a full tile, entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Longest entry of a bundle, in bytes: its length is 16 bits wide.
pub const BUNDLE_ENTRY_BYTES_MAX: usize = 65_535;
/// Highest level of a tile that a tree with a 64-bit size can have.
const LEVEL_MAX: u8 = 7;
/// Longest name of a resource, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What a log of this format serves, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// The newest checkpoint: `checkpoint`.
    Checkpoint,
    /// Hashes of one level: `tile/<level>/<index>[.p/<width>]`.
    Tile {
        /// 0 for leaf hashes, one more for every 256-fold.
        level: u8,
        /// Position in its level.
        index: u64,
        /// Hashes in it, 1 to 256; 256 is a full tile.
        width: u16,
    },
    /// Entries: `tile/entries/<index>[.p/<width>]`.
    Entries {
        /// Position.
        index: u64,
        /// Entries in it, 1 to 256.
        width: u16,
    },
}

impl Resource {
    /// The resource of that name; `None` where a log has none of that name, or the name is not
    /// in its one spelling.
    pub fn parse(name: &str) -> Option<Self> {
        if NAME_BYTES_MAX < name.len() {
            return None;
        }
        if name == "checkpoint" {
            return Some(Self::Checkpoint);
        }
        let (kind, rest) = name.strip_prefix("tile/")?.split_once('/')?;
        let (path, width) = match rest.split_once(".p/") {
            Some((path, width)) => (path, width_of(width)?),
            None => (rest, 256),
        };
        let index = index_of(path)?;
        let found = match kind {
            "entries" => Self::Entries { index, width },
            level => {
                let level = decimal(level).and_then(|level| u8::try_from(level).ok())?;
                if LEVEL_MAX < level {
                    return None;
                }
                Self::Tile { level, index, width }
            }
        };
        // One resource, one name.
        (found.to_string() == name).then_some(found)
    }

    /// Its folder and the end of its name.
    pub fn folder(name: &str) -> &str {
        name.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

fn width_of(text: &str) -> Option<u16> {
    let width = decimal(text)?;
    if 0 < width && width < TILE_WIDTH { u16::try_from(width).ok() } else { None }
}

fn index_of(path: &str) -> Option<u64> {
    let mut index = 0_u64;
    for part in path.split('/') {
        let digits = part.strip_prefix('x').unwrap_or(part);
        let plain = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = if plain { digits.parse().ok()? } else { return None };
        index = index.checked_mul(1_000)?.checked_add(number)?;
    }
    Some(index)
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Self::Checkpoint => return f.write_str("checkpoint"),
            Self::Tile { level, index, width } => {
                write!(f, "tile/{level}/")?;
                (*index, *width)
            }
            Self::Entries { index, width } => {
                f.write_str("tile/entries/")?;
                (*index, *width)
            }
        };
        let mut parts = Vec::new();
        let mut rest = index;
        loop {
            let part = rest.checked_rem(1_000).unwrap_or(0);
            rest = rest.checked_div(1_000).unwrap_or(0);
            parts.push(part);
            if rest == 0 {
                break;
            }
        }
        for (part, left) in parts.iter().rev().zip((0..parts.len()).rev()) {
            if left == 0 { write!(f, "{part:03}")? } else { write!(f, "x{part:03}/")? }
        }
        if u64::from(width) < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

/// Tiles of all levels that a tree of `size` entries has beyond one of `old_size`: those that
/// became full, and the partial ones of the new size. With `size` entries in all, about one in
/// 255 of them.
pub fn tiles_of(old_size: u64, size: u64) -> Vec<Resource> {
    let mut tiles = Vec::new();
    for level in 0..=LEVEL_MAX {
        let shift = u32::from(level).saturating_mul(8);
        let hashes = |entries: u64| entries.checked_shr(shift).unwrap_or(0);
        let (old, new) = (hashes(old_size), hashes(size));
        if new == 0 {
            break;
        }
        let full = new.checked_div(TILE_WIDTH).unwrap_or(0);
        for index in old.checked_div(TILE_WIDTH).unwrap_or(0)..full {
            tiles.push(Resource::Tile { level, index, width: 256 });
        }
        let rest = new.checked_rem(TILE_WIDTH).unwrap_or(0);
        if let (Ok(width @ 1..), true) = (u16::try_from(rest), old < new) {
            tiles.push(Resource::Tile { level, index: full, width });
        }
    }
    tiles
}

/// Why bytes are no bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It ends inside an entry.
    #[error("the bundle ends inside entry {entry_idx}")]
    Cut {
        /// Which, from 0.
        entry_idx: usize,
    },
    /// It has more or fewer entries than its name says.
    #[error("the bundle has {found} entries, its name says {expected}")]
    Count {
        /// How many it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
}

/// Appends an entry to a bundle's bytes: its 16-bit big-endian length, then it. False, and
/// nothing is appended, where it is longer than [`BUNDLE_ENTRY_BYTES_MAX`].
#[must_use]
pub fn push_bundle_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> bool {
    let Ok(len) = u16::try_from(entry.len()) else { return false };
    bundle.extend_from_slice(&len.to_be_bytes());
    bundle.extend_from_slice(entry);
    true
}

/// The `width` entries of a bundle, in order.
///
/// # Errors
/// [`BundleError`].
pub fn bundle_entries(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    let expected = usize::from(width);
    let (mut entries, mut rest) = (Vec::with_capacity(expected), bundle);
    while let Some((len, behind)) = rest.split_first_chunk::<2>() {
        let cut = BundleError::Cut { entry_idx: entries.len() };
        let len = usize::from(u16::from_be_bytes(*len));
        let (entry, behind) = behind.split_at_checked(len).ok_or(cut)?;
        if entries.len() == expected {
            return Err(BundleError::Count { found: expected.saturating_add(1), expected });
        }
        entries.push(entry);
        rest = behind;
    }
    if !rest.is_empty() {
        return Err(BundleError::Cut { entry_idx: entries.len() });
    }
    let found = entries.len();
    if found == expected { Ok(entries) } else { Err(BundleError::Count { found, expected }) }
}
