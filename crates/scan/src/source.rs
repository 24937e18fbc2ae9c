//! Where bytes come from: at random ([`View`]) or only forward ([`Stream`]).
//!
//! Nothing here allocates by a length that a file claims: a claim is first held against the bytes
//! that exist, then against the window.

use std::io::{self, Read};

use crate::sighting::Stop;

/// Bytes that a [`Stream`] reads at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Longest part of a forward stream that can be looked at whole, in bytes.
pub(crate) const TAKE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes at random: the port through which a scan reads a file or memory.
pub trait Source: Sync {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// Fills `into` from `offset` as far as there are bytes, and says how many that were; fewer
    /// than asked only at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
}

impl Source for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or(&[]);
        let n = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }
}

impl<T: Source + ?Sized> Source for &T {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, into)
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.as_slice().read_at(offset, into)
    }
}

/// Part of a [`Source`].
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    source: &'a dyn Source,
    start: u64,
    len: u64,
}

impl<'a> View<'a> {
    pub(crate) fn whole(source: &'a dyn Source) -> Self {
        Self { source, start: 0, len: source.size() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The `len` bytes from `at` on.
    pub(crate) fn slice(&self, at: u64, len: u64) -> Result<Self, Stop> {
        let end = at.checked_add(len).filter(|&end| end <= self.len);
        match (end, self.start.checked_add(at)) {
            (Some(_), Some(start)) => Ok(Self { source: self.source, start, len }),
            _ => Err(Stop::broken(at, "a part lies outside the file")),
        }
    }

    /// Fills all of `into` from `at`.
    pub(crate) fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Stop> {
        let part = self.slice(at, into.len() as u64)?;
        match part.source.read_at(part.start, into) {
            Ok(n) if n == into.len() => Ok(()),
            Ok(_) => Err(Stop::broken(at, "the file is shorter than it was")),
            Err(error) => Err(Stop::Io(error.kind())),
        }
    }

    /// The `len` bytes from `at` on, in memory: at most `max`.
    pub(crate) fn bytes(&self, at: u64, len: u64, max: u64) -> Result<Vec<u8>, Stop> {
        self.slice(at, len)?;
        if max < len {
            return Err(Stop::Budget("window"));
        }
        let len = usize::try_from(len).map_err(|_| Stop::Budget("window"))?;
        let mut bytes = vec![0; len];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// `N` bytes from `at`.
    pub(crate) fn array<const N: usize>(&self, at: u64) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn u16(&self, at: u64) -> Result<u16, Stop> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&self, at: u64) -> Result<u32, Stop> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&self, at: u64) -> Result<u64, Stop> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// Reads it from its start on.
    pub(crate) fn reader(&self) -> ViewReader<'a> {
        ViewReader { view: *self, at: 0 }
    }

    /// A stream over it.
    pub(crate) fn stream(&self) -> Stream<'a> {
        Stream::new(From::View(self.reader()))
    }
}

/// Reads a [`View`] in order.
pub(crate) struct ViewReader<'a> {
    view: View<'a>,
    at: u64,
}

impl Read for ViewReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.view.len.saturating_sub(self.at);
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        let Some(part) = into.get_mut(..n) else { return Ok(0) };
        let n = self.view.source.read_at(self.view.start.saturating_add(self.at), part)?;
        self.at = self.at.saturating_add(n as u64);
        Ok(n)
    }
}

enum From<'a> {
    View(ViewReader<'a>),
    Decoder(Box<dyn Read + 'a>),
}

/// Bytes that come once, in order, with a window that can be looked at.
pub(crate) struct Stream<'a> {
    from: From<'a>,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// Offset of `buffer[0]`.
    base: u64,
    ended: bool,
    failed: Option<io::ErrorKind>,
}

impl<'a> Stream<'a> {
    fn new(from: From<'a>) -> Self {
        let (buffer, at, end, base) = (Vec::new(), 0, 0, 0);
        Self { from, buffer, at, end, base, ended: false, failed: None }
    }

    /// What `reader` gives.
    pub(crate) fn decoder(reader: Box<dyn Read + 'a>) -> Self {
        Self::new(From::Decoder(reader))
    }

    /// Offset of the next byte.
    #[inline]
    pub(crate) fn offset(&self) -> u64 {
        self.base.saturating_add(self.at as u64)
    }

    /// The part at `offset` that was or will be read, where bytes come at random.
    pub(crate) fn view(&self, offset: u64, len: u64) -> Option<View<'a>> {
        match &self.from {
            From::View(reader) => reader.view.slice(offset, len).ok(),
            From::Decoder(_) => None,
        }
    }

    /// The next byte, or `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<u8>, Stop> {
        if self.at < self.end || self.fill(1)? {
            let byte = self.buffer.get(self.at).copied();
            self.at = self.at.saturating_add(1);
            return Ok(byte);
        }
        Ok(None)
    }

    /// Up to `n` of the next bytes, without taking them; fewer only at the end.
    pub(crate) fn peek(&mut self, n: usize) -> Result<&[u8], Stop> {
        if self.end.saturating_sub(self.at) < n {
            self.fill(n)?;
        }
        let end = self.at.saturating_add(n).min(self.end);
        Ok(self.buffer.get(self.at..end).unwrap_or(&[]))
    }

    /// The next `n` bytes, `n` at most [`TAKE_BYTES_MAX`]; an error if there are fewer.
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Result<&[u8], Stop> {
        if self.end.saturating_sub(self.at) < n {
            if TAKE_BYTES_MAX < n {
                return Err(Stop::Budget("window"));
            }
            if !self.fill(n)? {
                return Err(Stop::broken(self.offset(), "it is cut off"));
            }
        }
        let start = self.at;
        self.at = self.at.saturating_add(n);
        Ok(self.buffer.get(start..self.at).unwrap_or(&[]))
    }

    /// The next `N` bytes.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// The next line without its newline, at most [`TAKE_BYTES_MAX`] bytes; `None` if the data
    /// ends before a newline.
    pub(crate) fn line(&mut self) -> Result<Option<&[u8]>, Stop> {
        let mut seen = 0_usize;
        loop {
            let held = self.buffer.get(self.at..self.end).unwrap_or(&[]);
            if let Some(n) = held.get(seen..).unwrap_or(&[]).iter().position(|&byte| byte == b'\n')
            {
                let start = self.at;
                let end = start.saturating_add(seen).saturating_add(n);
                self.at = end.saturating_add(1);
                return Ok(self.buffer.get(start..end));
            }
            seen = held.len();
            if TAKE_BYTES_MAX < seen {
                return Err(Stop::Budget("window"));
            }
            if !self.fill(seen.saturating_add(1))? {
                return Ok(None);
            }
        }
    }

    /// Passes over `n` bytes; an error if there are fewer.
    pub(crate) fn skip(&mut self, n: u64) -> Result<(), Stop> {
        let held = self.end.saturating_sub(self.at);
        if n <= held as u64 {
            self.at = self.at.saturating_add(usize::try_from(n).unwrap_or(held));
            return Ok(());
        }
        let beyond = n.saturating_sub(held as u64);
        let before = self.offset();
        match &mut self.from {
            From::View(reader) => {
                if reader.view.len.saturating_sub(reader.at) < beyond {
                    return Err(Stop::broken(before, "it is cut off"));
                }
                reader.at = reader.at.saturating_add(beyond);
                self.base = reader.at;
                (self.at, self.end) = (0, 0);
                Ok(())
            }
            From::Decoder(_) => {
                let mut left = n;
                while left > 0 {
                    let held = self.end.saturating_sub(self.at);
                    if held == 0 && !self.fill(1)? {
                        return Err(Stop::broken(before, "it is cut off"));
                    }
                    let held = self.end.saturating_sub(self.at);
                    let step = usize::try_from(left).unwrap_or(held).min(held);
                    self.at = self.at.saturating_add(step);
                    left = left.saturating_sub(step as u64);
                }
                Ok(())
            }
        }
    }

    /// Bytes left after the next one, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        let held = self.end.saturating_sub(self.at) as u64;
        match &self.from {
            From::View(reader) => {
                Some(held.saturating_add(reader.view.len.saturating_sub(reader.at)))
            }
            From::Decoder(_) => None,
        }
    }

    /// Takes all that is left, at most `max` bytes.
    pub(crate) fn rest(&mut self, max: u64) -> Result<Vec<u8>, Stop> {
        let mut all = Vec::new();
        loop {
            let held = self.buffer.get(self.at..self.end).unwrap_or(&[]);
            if max < (all.len() as u64).saturating_add(held.len() as u64) {
                return Err(Stop::Budget("window"));
            }
            all.extend_from_slice(held);
            self.at = self.end;
            if !self.fill(1)? {
                return Ok(all);
            }
        }
    }

    /// What a failed read means: decoders have errors of their own for damaged data.
    fn failure(&self, kind: io::ErrorKind) -> Stop {
        use io::ErrorKind::{InvalidData, InvalidInput, Other, QuotaExceeded, UnexpectedEof};

        if kind == QuotaExceeded {
            Stop::Budget("decoded bytes, ratio or time")
        } else if [InvalidData, InvalidInput, UnexpectedEof, Other].contains(&kind) {
            Stop::broken(self.offset(), "compressed data is damaged or cut off")
        } else {
            Stop::Io(kind)
        }
    }

    /// Makes at least `n` bytes available; `false` if the data ends before.
    #[cold]
    fn fill(&mut self, n: usize) -> Result<bool, Stop> {
        if self.at > 0 {
            self.buffer.copy_within(self.at..self.end, 0);
            self.base = self.base.saturating_add(self.at as u64);
            self.end = self.end.saturating_sub(self.at);
            self.at = 0;
        }
        let want = n.saturating_add(CHUNK_BYTES);
        if self.buffer.len() < want {
            // Small files do not pay for a large buffer.
            let left = match &self.from {
                From::View(reader) => reader.view.len.saturating_sub(reader.at),
                From::Decoder(_) => u64::MAX,
            };
            let useful = (self.end as u64).saturating_add(left).saturating_add(1);
            self.buffer.resize(want.min(usize::try_from(useful).unwrap_or(want)).max(self.end), 0);
        }
        while self.end < n && !self.ended {
            let Some(room) = self.buffer.get_mut(self.end..) else { break };
            let read = match &mut self.from {
                From::View(reader) => reader.read(room),
                From::Decoder(reader) => reader.read(room),
            };
            match read {
                Ok(0) => self.ended = true,
                Ok(got) => self.end = self.end.saturating_add(got),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.failed = Some(error.kind());
                }
            }
        }
        match self.failed {
            Some(kind) if self.end < n => Err(self.failure(kind)),
            Some(_) | None => Ok(n <= self.end),
        }
    }
}

impl Stream<'_> {
    /// What is held of what comes next: after an error, what came before it.
    pub(crate) fn held(&self) -> &[u8] {
        self.buffer.get(self.at..self.end).unwrap_or(&[])
    }
}
