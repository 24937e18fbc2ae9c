//! Tensors: what goes into a model and what comes out of it.
//!
//! Invariants
//! - T1: the product of a tensor's shape is its number of values;
//! - T2: a tensor has at most [`limits::DIMS_MAX`] dimensions and [`limits::ELEMENTS_MAX`] values.

use std::fmt;
use std::str::FromStr;

use crate::limits;

macro_rules! datatypes {
    ($($variant:ident $text:literal $bytes:literal),* $(,)?) => {
        /// Type of one element, by its name in the Open Inference Protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the protocol's own names say all")]
        pub enum Datatype { $($variant),* }

        impl Datatype {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The protocol's name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Bytes of one element; 0 for `BYTES`, whose elements have each their own length.
            pub fn width(self) -> usize {
                match self { $(Self::$variant => $bytes),* }
            }
        }

        impl FromStr for Datatype {
            type Err = DatatypeError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text { $($text => Ok(Self::$variant),)* _ => Err(DatatypeError) }
            }
        }
    };
}

datatypes! {
    Bool "BOOL" 1, Uint8 "UINT8" 1, Uint16 "UINT16" 2, Uint32 "UINT32" 4, Uint64 "UINT64" 8,
    Int8 "INT8" 1, Int16 "INT16" 2, Int32 "INT32" 4, Int64 "INT64" 8,
    Fp16 "FP16" 2, Bf16 "BF16" 2, Fp32 "FP32" 4, Fp64 "FP64" 8, Bytes "BYTES" 0,
}

/// Text that names no datatype.
#[derive(Debug, thiserror::Error)]
#[error("a datatype is BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 or BYTES")]
pub struct DatatypeError;

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Datatype {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Datatype {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The elements of a tensor, row-major. Half floats are kept as their bits.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "one variant a datatype")]
pub enum Values {
    Bool(Vec<bool>),
    Uint8(Vec<u8>),
    Uint16(Vec<u16>),
    Uint32(Vec<u32>),
    Uint64(Vec<u64>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Fp16(Vec<u16>),
    Bf16(Vec<u16>),
    Fp32(Vec<f32>),
    Fp64(Vec<f64>),
    Bytes(Vec<Vec<u8>>),
}

/// Runs `$body` with `$vec` bound to the vector inside `$values`, whatever its type.
macro_rules! each_values {
    ($values:expr, $vec:ident => $body:expr) => {
        match $values {
            Values::Bool($vec) => $body,
            Values::Uint8($vec) => $body,
            Values::Uint16($vec) | Values::Fp16($vec) | Values::Bf16($vec) => $body,
            Values::Uint32($vec) => $body,
            Values::Uint64($vec) => $body,
            Values::Int8($vec) => $body,
            Values::Int16($vec) => $body,
            Values::Int32($vec) => $body,
            Values::Int64($vec) => $body,
            Values::Fp32($vec) => $body,
            Values::Fp64($vec) => $body,
            Values::Bytes($vec) => $body,
        }
    };
}

impl Values {
    /// Number of elements.
    pub fn len(&self) -> usize {
        each_values!(self, vec => vec.len())
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Type of the elements.
    pub fn datatype(&self) -> Datatype {
        match self {
            Self::Bool(_) => Datatype::Bool,
            Self::Uint8(_) => Datatype::Uint8,
            Self::Uint16(_) => Datatype::Uint16,
            Self::Uint32(_) => Datatype::Uint32,
            Self::Uint64(_) => Datatype::Uint64,
            Self::Int8(_) => Datatype::Int8,
            Self::Int16(_) => Datatype::Int16,
            Self::Int32(_) => Datatype::Int32,
            Self::Int64(_) => Datatype::Int64,
            Self::Fp16(_) => Datatype::Fp16,
            Self::Bf16(_) => Datatype::Bf16,
            Self::Fp32(_) => Datatype::Fp32,
            Self::Fp64(_) => Datatype::Fp64,
            Self::Bytes(_) => Datatype::Bytes,
        }
    }

    /// Appends the canonical bytes of elements `range` to `out`: little-endian, booleans as 0 or
    /// 1, every NaN as the one quiet NaN, `BYTES` each behind its 32-bit length. What is hashed,
    /// sealed and compared is this.
    ///
    /// # Panics
    /// Where `range` is out of bounds.
    pub fn canonical(&self, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
        match self {
            Self::Bool(v) => out.extend(v[range].iter().map(|x| u8::from(*x))),
            Self::Uint8(v) => out.extend_from_slice(&v[range]),
            Self::Int8(v) => out.extend(v[range].iter().map(|x| x.to_le_bytes()[0])),
            Self::Uint16(v) => out.extend(v[range].iter().flat_map(|x| x.to_le_bytes())),
            Self::Fp16(v) => {
                let canon = |x: &u16| if x & 0x7fff > 0x7c00 { 0x7e00 } else { *x };
                out.extend(v[range].iter().flat_map(|x| canon(x).to_le_bytes()));
            }
            Self::Bf16(v) => {
                let canon = |x: &u16| if x & 0x7fff > 0x7f80 { 0x7fc0 } else { *x };
                out.extend(v[range].iter().flat_map(|x| canon(x).to_le_bytes()));
            }
            Self::Int16(v) => out.extend(v[range].iter().flat_map(|x| x.to_le_bytes())),
            Self::Uint32(v) => out.extend(v[range].iter().flat_map(|x| x.to_le_bytes())),
            Self::Int32(v) => out.extend(v[range].iter().flat_map(|x| x.to_le_bytes())),
            Self::Uint64(v) => out.extend(v[range].iter().flat_map(|x| x.to_le_bytes())),
            Self::Int64(v) => out.extend(v[range].iter().flat_map(|x| x.to_le_bytes())),
            Self::Fp32(v) => {
                let canon = |x: &f32| if x.is_nan() { 0x7fc0_0000 } else { x.to_bits() };
                out.extend(v[range].iter().flat_map(|x| canon(x).to_le_bytes()));
            }
            Self::Fp64(v) => {
                let canon = |x: &f64| if x.is_nan() { 0x7ff8 << 48 } else { x.to_bits() };
                out.extend(v[range].iter().flat_map(|x| canon(x).to_le_bytes()));
            }
            Self::Bytes(v) => {
                for item in &v[range] {
                    // T2 and the body limit keep an item far below 4 GiB.
                    out.extend_from_slice(&(item.len() as u32).to_le_bytes());
                    out.extend_from_slice(item);
                }
            }
        }
    }
}

/// Why values and shape make no tensor.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// T1 is broken.
    #[error("shape {shape:?} has {expected} elements, the data has {found}")]
    Count {
        /// The shape.
        shape: Vec<u64>,
        /// Its number of elements.
        expected: u64,
        /// The number of values.
        found: u64,
    },
    /// T2 is broken by the number of dimensions.
    #[error("a tensor has at most {} dimensions, this has {dims}", limits::DIMS_MAX)]
    TooManyDims {
        /// How many it has.
        dims: usize,
    },
    /// T2 is broken by the number of elements.
    #[error("a tensor has at most {} elements, shape {shape:?} has more", limits::ELEMENTS_MAX)]
    TooLarge {
        /// The shape.
        shape: Vec<u64>,
    },
}

/// Number of elements of `shape`.
///
/// # Errors
/// [`ShapeError`] where it breaks T2; nothing is allocated before.
pub fn element_count(shape: &[u64]) -> Result<usize, ShapeError> {
    if limits::DIMS_MAX < shape.len() {
        return Err(ShapeError::TooManyDims { dims: shape.len() });
    }
    let product = shape.iter().try_fold(1_u64, |product, dim| product.checked_mul(*dim));
    match product {
        Some(count) if count <= limits::ELEMENTS_MAX as u64 => Ok(count as usize),
        _ => Err(ShapeError::TooLarge { shape: shape.to_vec() }),
    }
}

impl Values {
    /// Elements `range`, copied.
    ///
    /// # Panics
    /// Where `range` is out of bounds.
    #[must_use]
    pub fn part(&self, range: std::ops::Range<usize>) -> Self {
        let mut part = self.datatype().no_values();
        part.append(self, range);
        part
    }

    /// Appends elements `range` of `other`, which has the same type; else nothing is appended.
    ///
    /// # Panics
    /// Where `range` is out of bounds.
    fn append(&mut self, other: &Self, range: std::ops::Range<usize>) {
        match (self, other) {
            (Self::Bool(to), Self::Bool(from)) => to.extend_from_slice(&from[range]),
            (Self::Uint8(to), Self::Uint8(from)) => to.extend_from_slice(&from[range]),
            (Self::Uint16(to), Self::Uint16(from))
            | (Self::Fp16(to), Self::Fp16(from))
            | (Self::Bf16(to), Self::Bf16(from)) => to.extend_from_slice(&from[range]),
            (Self::Uint32(to), Self::Uint32(from)) => to.extend_from_slice(&from[range]),
            (Self::Uint64(to), Self::Uint64(from)) => to.extend_from_slice(&from[range]),
            (Self::Int8(to), Self::Int8(from)) => to.extend_from_slice(&from[range]),
            (Self::Int16(to), Self::Int16(from)) => to.extend_from_slice(&from[range]),
            (Self::Int32(to), Self::Int32(from)) => to.extend_from_slice(&from[range]),
            (Self::Int64(to), Self::Int64(from)) => to.extend_from_slice(&from[range]),
            (Self::Fp32(to), Self::Fp32(from)) => to.extend_from_slice(&from[range]),
            (Self::Fp64(to), Self::Fp64(from)) => to.extend_from_slice(&from[range]),
            (Self::Bytes(to), Self::Bytes(from)) => to.extend_from_slice(&from[range]),
            _ => {}
        }
    }
}

impl Datatype {
    /// No values of this type.
    #[must_use]
    pub fn no_values(self) -> Values {
        match self {
            Self::Bool => Values::Bool(Vec::new()),
            Self::Uint8 => Values::Uint8(Vec::new()),
            Self::Uint16 => Values::Uint16(Vec::new()),
            Self::Uint32 => Values::Uint32(Vec::new()),
            Self::Uint64 => Values::Uint64(Vec::new()),
            Self::Int8 => Values::Int8(Vec::new()),
            Self::Int16 => Values::Int16(Vec::new()),
            Self::Int32 => Values::Int32(Vec::new()),
            Self::Int64 => Values::Int64(Vec::new()),
            Self::Fp16 => Values::Fp16(Vec::new()),
            Self::Bf16 => Values::Bf16(Vec::new()),
            Self::Fp32 => Values::Fp32(Vec::new()),
            Self::Fp64 => Values::Fp64(Vec::new()),
            Self::Bytes => Values::Bytes(Vec::new()),
        }
    }
}

/// A named tensor; see the module invariants.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    name: Box<str>,
    shape: Vec<u64>,
    values: Values,
}

impl Tensor {
    /// A tensor of `shape`.
    ///
    /// # Errors
    /// [`ShapeError`] where T1 or T2 is broken.
    pub fn new(
        name: impl Into<Box<str>>,
        shape: Vec<u64>,
        values: Values,
    ) -> Result<Self, ShapeError> {
        let expected = element_count(&shape)?;
        if expected != values.len() {
            let (expected, found) = (expected as u64, values.len() as u64);
            return Err(ShapeError::Count { shape, expected, found });
        }
        Ok(Self { name: name.into(), shape, values })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its shape; empty for a scalar.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Its values, row-major.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Its values, to change in place; their number and type must stay.
    pub fn values_mut(&mut self) -> &mut Values {
        &mut self.values
    }

    /// Type of its values.
    pub fn datatype(&self) -> Datatype {
        self.values.datatype()
    }

    /// Its first dimension; 1 for a scalar.
    pub fn n_rows(&self) -> usize {
        self.shape.first().map_or(1, |rows| *rows as usize)
    }

    /// Rows `range`, copied.
    ///
    /// # Panics
    /// Where `range` is out of bounds.
    #[must_use]
    pub fn rows(&self, range: std::ops::Range<usize>) -> Self {
        let row_len = self.row_len();
        let mut shape = self.shape.clone();
        if let Some(n_rows) = shape.first_mut() {
            *n_rows = range.len() as u64;
        }
        let values = self.values.part(range.start * row_len..range.end * row_len);
        Self { name: self.name.clone(), shape, values }
    }

    /// The rows of all `parts`, one behind the other; `None` where they differ in name, type or
    /// the shape of a row, have no rows, or are too many for a tensor (T2).
    pub fn stack(parts: &[&Self]) -> Option<Self> {
        let first = parts.first()?;
        let mut values = first.datatype().no_values();
        let mut n_rows = 0;
        for part in parts {
            let is_alike = part.name == first.name
                && part.datatype() == first.datatype()
                && part.shape.get(1..)? == first.shape.get(1..)?;
            if !is_alike {
                return None;
            }
            values.append(&part.values, 0..part.values.len());
            n_rows += part.n_rows() as u64;
        }
        let mut shape = first.shape.clone();
        *shape.first_mut()? = n_rows;
        Self::new(first.name.clone(), shape, values).ok()
    }

    /// Number of values of one row; 0 where there is no row.
    pub fn row_len(&self) -> usize {
        self.values.len().checked_div(self.n_rows()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacked_rows_come_apart_as_they_were() {
        let whole = Tensor::new("x", vec![5, 2], Values::Fp32((0..10).map(|x| x as f32).collect()));
        let whole = whole.unwrap();
        let (head, tail) = (whole.rows(0..2), whole.rows(2..5));
        assert_eq!((head.shape(), tail.shape()), (&[2, 2][..], &[3, 2][..]));
        assert_eq!(Tensor::stack(&[&head, &tail]), Some(whole.clone()));
        let other = Tensor::new("x", vec![1, 2], Values::Fp64(vec![0.0; 2])).unwrap();
        let wide = Tensor::new("x", vec![1, 1], Values::Fp32(vec![0.0])).unwrap();
        let named = Tensor::new("y", vec![1, 2], Values::Fp32(vec![0.0; 2])).unwrap();
        for alien in [&other, &wide, &named] {
            assert_eq!(Tensor::stack(&[&head, alien]), None);
        }
        assert_eq!(Tensor::stack(&[]), None);
    }

    /// T1 and T2 from both sides.
    #[test]
    fn a_shape_that_does_not_fit_its_values_is_refused() {
        let ok = Tensor::new("x", vec![2, 3], Values::Fp32(vec![0.0; 6])).unwrap();
        assert_eq!((ok.n_rows(), ok.row_len()), (2, 3));
        assert!(Tensor::new("x", vec![0, 3], Values::Fp32(vec![])).is_ok());
        assert!(Tensor::new("x", vec![], Values::Bool(vec![true])).is_ok());
        for shape in [vec![2, 2], vec![7], vec![u64::MAX, 2], vec![1; 9], vec![1 << 40]] {
            let tensor = Tensor::new("x", shape.clone(), Values::Fp32(vec![0.0; 6]));
            assert!(tensor.is_err(), "accepted {shape:?}");
        }
    }

    #[test]
    fn every_nan_has_the_same_canonical_bytes() {
        let odd = f32::from_bits(0xffc1_2345);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        Values::Fp32(vec![odd, 1.0]).canonical(0..2, &mut a);
        Values::Fp32(vec![f32::NAN, 1.0]).canonical(0..2, &mut b);
        assert_eq!(a, b);
        assert_eq!(a, [0, 0, 0xc0, 0x7f, 0, 0, 0x80, 0x3f]);
    }

    #[test]
    fn datatypes_read_back_what_they_print() {
        for datatype in Datatype::ALL {
            assert_eq!(datatype.as_str().parse::<Datatype>().unwrap(), *datatype);
        }
        assert!("fp32".parse::<Datatype>().is_err());
    }
}
