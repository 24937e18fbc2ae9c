//! One tensor: where its elements lie, and in which order they are written.

use std::borrow::Cow;
use std::io;

/// Most dimensions of a tensor (numpy 2: `NPY_MAXDIMS`).
pub(super) const DIMS_MAX: usize = 64;
/// Most elements of a tensor: more are no tensor's, and sums of them stay far from overflow.
const ELEMENTS_MAX: u64 = 1 << 40;

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<'a> {
    /// Its name: keys and indexes joined by dots.
    pub name: String,
    /// Its element type in safetensors' words.
    pub dtype: &'static str,
    /// Its shape.
    pub shape: Vec<u64>,
    layout: Layout,
    storage: Cow<'a, [u8]>,
}

/// How elements lie in a storage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) item_bytes: usize,
    pub(super) is_big_endian: bool,
    /// Elements before the first.
    pub(super) offset: u64,
    /// Elements between neighbours of each dimension.
    pub(super) strides: Vec<u64>,
}

/// Strides of a row-major or, where `fortran`, a column-major array.
pub(super) fn strides(shape: &[u64], fortran: bool) -> Option<Vec<u64>> {
    let mut strides = vec![0; shape.len()];
    let mut step = 1_u64;
    let order: Vec<usize> =
        if fortran { (0..shape.len()).collect() } else { (0..shape.len()).rev().collect() };
    for at in order {
        *strides.get_mut(at)? = step;
        step = step.checked_mul((*shape.get(at)?).max(1))?;
    }
    Some(strides)
}

impl<'a> Tensor<'a> {
    /// A tensor whose every element lies in `storage`; else none.
    pub(super) fn new(
        dtype: &'static str,
        shape: Vec<u64>,
        layout: Layout,
        storage: Cow<'a, [u8]>,
    ) -> Option<Self> {
        if DIMS_MAX < shape.len() || shape.len() != layout.strides.len() {
            return None;
        }
        let n = shape.iter().try_fold(1_u64, |n, dim| n.checked_mul(*dim))?;
        if ELEMENTS_MAX < n {
            return None;
        }
        if 0 < n {
            let mut last = layout.offset;
            for (dim, stride) in shape.iter().zip(&layout.strides) {
                last = last.checked_add(dim.saturating_sub(1).checked_mul(*stride)?)?;
            }
            let end = last.checked_add(1)?.checked_mul(layout.item_bytes as u64)?;
            if (storage.len() as u64) < end {
                return None;
            }
        }
        Some(Self { name: String::new(), dtype, shape, layout, storage })
    }

    /// It, under a name.
    pub(super) fn named(mut self, name: String) -> Self {
        self.name = name;
        self
    }

    fn n_elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Bytes of its elements.
    pub fn n_bytes(&self) -> u64 {
        self.n_elements().saturating_mul(self.layout.item_bytes as u64)
    }

    /// Writes its elements in row-major order, little endian.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Layout { item_bytes, is_big_endian, offset, strides: own } = &self.layout;
        let n = self.n_elements();
        let plain = strides(&self.shape, false).as_ref() == Some(own) || n <= 1;
        let gone = || io::Error::other("an element lies outside its storage");
        if plain && (!is_big_endian || *item_bytes == 1) {
            let start = usize::try_from(*offset).ok().and_then(|at| at.checked_mul(*item_bytes));
            let end = usize::try_from(self.n_bytes()).ok();
            let span = start
                .zip(end)
                .and_then(|(start, len)| self.storage.get(start..start.checked_add(len)?));
            return out.write_all(span.ok_or_else(gone)?);
        }
        let mut index = vec![0_u64; self.shape.len()];
        let mut item = [0_u8; 16];
        let mut buffered = io::BufWriter::new(out);
        for _ in 0..n {
            let mut at = *offset;
            for (i, stride) in index.iter().zip(own) {
                at = at.saturating_add(i.saturating_mul(*stride));
            }
            let start = usize::try_from(at).ok().and_then(|at| at.checked_mul(*item_bytes));
            let from = start.and_then(|s| self.storage.get(s..s.checked_add(*item_bytes)?));
            let to = item.get_mut(..*item_bytes).ok_or_else(gone)?;
            to.copy_from_slice(from.ok_or_else(gone)?);
            if *is_big_endian {
                to.reverse();
            }
            io::Write::write_all(&mut buffered, to)?;
            for (i, dim) in index.iter_mut().zip(&self.shape).rev() {
                *i = i.saturating_add(1);
                if *i < *dim {
                    break;
                }
                *i = 0;
            }
        }
        io::Write::flush(&mut buffered)
    }
}

/// safetensors' word for a NumPy type code such as `<f4`, its bytes, and whether it is big endian.
pub(super) fn of_numpy(code: &str) -> Option<(&'static str, usize, bool)> {
    let (order, code) = match code.as_bytes().first()? {
        b'<' | b'>' | b'=' | b'|' => code.split_at_checked(1)?,
        _ => ("<", code),
    };
    let (word, item_bytes) = match code {
        "f2" => ("F16", 2),
        "f4" => ("F32", 4),
        "f8" => ("F64", 8),
        "i1" => ("I8", 1),
        "i2" => ("I16", 2),
        "i4" => ("I32", 4),
        "i8" => ("I64", 8),
        "u1" => ("U8", 1),
        "u2" => ("U16", 2),
        "u4" => ("U32", 4),
        "u8" => ("U64", 8),
        "b1" | "?" => ("BOOL", 1),
        _ => return None,
    };
    Some((word, item_bytes, order == ">"))
}

/// The same for the name of a storage of torch's.
pub(super) fn of_storage(name: &str) -> Option<(&'static str, usize)> {
    Some(match name {
        "torch.DoubleStorage" => ("F64", 8),
        "torch.FloatStorage" => ("F32", 4),
        "torch.HalfStorage" => ("F16", 2),
        "torch.BFloat16Storage" => ("BF16", 2),
        "torch.LongStorage" => ("I64", 8),
        "torch.IntStorage" => ("I32", 4),
        "torch.ShortStorage" => ("I16", 2),
        "torch.CharStorage" => ("I8", 1),
        "torch.ByteStorage" => ("U8", 1),
        "torch.BoolStorage" => ("BOOL", 1),
        _ => return None,
    })
}
