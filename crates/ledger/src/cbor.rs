//! Writing deterministic CBOR (RFC 8949, section 4.2) without a fault path.
//!
//! Maps have small integer keys in ascending order, heads are the shortest, floats are always
//! 64 bits wide (the choice that section 4.2.2 leaves open). What is absent is not written.
//!
//! Invariants
//! - B1: a map has at most 23 entries, so that its head is one byte that can be set afterwards.

/// Major types.
const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 0xa0;
const TRUE: u8 = 0xf5;
const F64: u8 = 0xfb;

fn head(out: &mut Vec<u8>, major: u8, n: u64) {
    let major = major << 5;
    match n {
        0..=23 => out.push(major | n as u8),
        24..=0xff => out.extend_from_slice(&[major | 24, n as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

pub(crate) fn uint(out: &mut Vec<u8>, n: u64) {
    head(out, UINT, n);
}

pub(crate) fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, BYTES, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn bytes_head(out: &mut Vec<u8>, len: usize) {
    head(out, BYTES, len as u64);
}

pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn array(out: &mut Vec<u8>, len: usize) {
    head(out, ARRAY, len as u64);
}

/// A map that is being written.
pub(crate) struct Map<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
}

impl<'o> Map<'o> {
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(MAP);
        Self { out, start }
    }

    /// Writes `key`; the caller writes its value, through what is given back, next.
    pub(crate) fn key(&mut self, key: u8) -> &mut Vec<u8> {
        debug_assert!(self.out[self.start] < MAP + 23, "B1");
        self.out[self.start] += 1;
        head(self.out, UINT, u64::from(key));
        self.out
    }

    pub(crate) fn uint(&mut self, key: u8, n: u64) {
        uint(self.key(key), n);
    }

    /// A number that is 0 where it is absent.
    pub(crate) fn count(&mut self, key: u8, n: u64) {
        if n != 0 {
            self.uint(key, n);
        }
    }

    pub(crate) fn opt_uint(&mut self, key: u8, n: Option<u64>) {
        if let Some(n) = n {
            self.uint(key, n);
        }
    }

    pub(crate) fn bytes(&mut self, key: u8, value: &[u8]) {
        bytes(self.key(key), value);
    }

    pub(crate) fn opt_bytes(&mut self, key: u8, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.bytes(key, value);
        }
    }

    pub(crate) fn text(&mut self, key: u8, value: &str) {
        text(self.key(key), value);
    }

    /// A text that is empty where it is absent.
    pub(crate) fn word(&mut self, key: u8, value: &str) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    pub(crate) fn opt_text(&mut self, key: u8, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// A flag that is false where it is absent.
    pub(crate) fn flag(&mut self, key: u8, value: bool) {
        if value {
            self.key(key).push(TRUE);
        }
    }

    pub(crate) fn float(&mut self, key: u8, value: f64) {
        let out = self.key(key);
        out.push(F64);
        let bits = if value.is_nan() { 0x7ff8 << 48 } else { value.to_bits() };
        out.extend_from_slice(&bits.to_be_bytes());
    }

    /// A map in this one, left out where it stays empty.
    pub(crate) fn map(&mut self, key: u8, fill: impl FnOnce(&mut Map<'_>)) {
        let (outer, before, n_entries) = (self.start, self.out.len(), self.out[self.start]);
        let out = self.key(key);
        let inner = out.len();
        fill(&mut Map::begin(out));
        if out[inner] == MAP {
            out.truncate(before);
            out[outer] = n_entries;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minicbor::Decoder;

    /// B1 from both sides of every head, read by another implementation.
    #[test]
    fn what_is_written_is_the_shortest_and_reads_back() {
        for (n, len) in [
            (0, 1),
            (23, 1),
            (24, 2),
            (255, 2),
            (256, 3),
            (65_535, 3),
            (65_536, 5),
            (u64::from(u32::MAX), 5),
            (1 << 32, 9),
            (u64::MAX, 9),
        ] {
            let mut out = Vec::new();
            uint(&mut out, n);
            assert_eq!((out.len(), Decoder::new(&out).u64().unwrap()), (len, n));
        }
        let mut out = Vec::new();
        let mut map = Map::begin(&mut out);
        (0..23).for_each(|key| map.uint(key, 7));
        assert_eq!(out[0], 0xb7, "23 entries still have a head of one byte");
        let mut d = Decoder::new(&out);
        assert_eq!(d.map().unwrap(), Some(23));
    }

    #[test]
    fn what_is_absent_or_empty_leaves_no_trace() {
        let mut out = Vec::new();
        let mut map = Map::begin(&mut out);
        map.count(0, 0);
        map.word(1, "");
        map.flag(2, false);
        map.opt_text(3, None);
        map.map(4, |inner| inner.opt_uint(0, None));
        map.map(5, |inner| inner.uint(0, 1));
        assert_eq!(out, [0xa1, 0x05, 0xa1, 0x00, 0x01]);
    }

    #[test]
    fn every_nan_is_the_same_nan() {
        let of = |value| {
            let mut out = Vec::new();
            Map::begin(&mut out).float(0, value);
            out
        };
        assert_eq!(of(f64::NAN), of(f64::from_bits(0xfff8_0000_0000_1234)));
        assert_ne!(of(0.0), of(-0.0));
    }
}
