//! Fields of a block of HDF5, in order; reading beyond its end is an error, never a panic.

use crate::sighting::Stop;

/// What is left of a block.
pub(super) struct Fields<'f> {
    rest: &'f [u8],
    at: u64,
    offset_bytes: usize,
    length_bytes: usize,
}

impl<'f> Fields<'f> {
    pub(super) fn new(rest: &'f [u8], at: u64, offset_bytes: usize, length_bytes: usize) -> Self {
        Self { rest, at, offset_bytes, length_bytes }
    }

    /// Offset in the file of the next byte.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn rest(&self) -> &'f [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'f [u8], Stop> {
        let split = self.rest.split_at_checked(n);
        let (taken, rest) = split.ok_or(Stop::broken(self.at, "a field leaves its block"))?;
        self.rest = rest;
        self.at = self.at.saturating_add(n as u64);
        Ok(taken)
    }

    /// The next `n` bytes, and the padding up to a multiple of eight.
    pub(super) fn padded(&mut self, n: usize) -> Result<&'f [u8], Stop> {
        let taken = self.take(n)?;
        let padding = n.next_multiple_of(8).saturating_sub(n);
        self.take(padding)?;
        Ok(taken)
    }

    pub(super) fn skip(&mut self, n: usize) -> Result<(), Stop> {
        self.take(n).map(|_| ())
    }

    /// Leaves out the last `n` bytes.
    pub(super) fn cut(&mut self, n: usize) -> Result<(), Stop> {
        let len = self.rest.len().checked_sub(n);
        let kept = len.and_then(|len| self.rest.get(..len));
        self.rest = kept.ok_or(Stop::broken(self.at, "a block is too short"))?;
        Ok(())
    }

    /// A number of `n` bytes, at most eight.
    pub(super) fn uint(&mut self, n: usize) -> Result<u64, Stop> {
        let mut value = 0_u64;
        for byte in self.take(n)?.iter().rev() {
            value = value << 8 | u64::from(*byte);
        }
        Ok(value)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Stop> {
        Ok(self.take(1)?.first().copied().unwrap_or(0))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Stop> {
        Ok(u16::try_from(self.uint(2)?).unwrap_or(0))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Stop> {
        Ok(u32::try_from(self.uint(4)?).unwrap_or(0))
    }

    pub(super) fn length(&mut self) -> Result<u64, Stop> {
        self.uint(self.length_bytes)
    }

    /// An address; `None` for the undefined one, all ones.
    pub(super) fn offset(&mut self) -> Result<Option<u64>, Stop> {
        let bytes = self.take(self.offset_bytes)?;
        if bytes.iter().all(|byte| *byte == 0xff) {
            return Ok(None);
        }
        Ok(Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))))
    }
}
