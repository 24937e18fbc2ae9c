//! Tensors that a file carries.

use bartizan_core::{Datatype, Values, limits};

use super::wire::{Fields, Payload};
use super::{OnnxError, check_limit};

/// A tensor of a file, checked but not yet copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawTensor<'a> {
    pub(crate) name: &'a str,
    dims: Vec<i64>,
    data_type: i64,
    /// The fields that hold values, as they came.
    parts: Vec<(u64, Payload<'a>)>,
}

/// A tensor that is part of a model. `values` has as many elements as `dims` says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constant {
    pub(crate) dims: Vec<u64>,
    pub(crate) values: Values,
}

/// Our name of ONNX's element type (`TensorProto.DataType`).
pub(crate) fn datatype(number: i64) -> Option<Datatype> {
    Some(match number {
        1 => Datatype::Fp32,
        2 => Datatype::Uint8,
        3 => Datatype::Int8,
        4 => Datatype::Uint16,
        5 => Datatype::Int16,
        6 => Datatype::Int32,
        7 => Datatype::Int64,
        8 => Datatype::Bytes,
        9 => Datatype::Bool,
        10 => Datatype::Fp16,
        11 => Datatype::Fp64,
        12 => Datatype::Uint32,
        13 => Datatype::Uint64,
        16 => Datatype::Bf16,
        _ => return None,
    })
}

impl<'a> RawTensor<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, OnnxError> {
        let mut fields = Fields::new(bytes, "TensorProto");
        let mut tensor = Self::default();
        let mut external = false;
        while let Some((number, payload)) = fields.next()? {
            match number {
                1 => fields.ints(payload, &mut tensor.dims)?,
                2 => tensor.data_type = fields.int(payload)?,
                3 => return Err(fields.fault("it is a segment of a tensor, which is not read")),
                8 => tensor.name = fields.text(payload)?,
                13 => external = true,
                14 => external |= fields.int(payload)? != 0,
                _ => {}
            }
            if matches!(number, 4..=7 | 9..=11) {
                tensor.parts.push((number, payload));
            }
            check_limit("dimensions", tensor.dims.len(), limits::DIMS_MAX)?;
        }
        if external {
            return Err(OnnxError::ExternalData { tensor: tensor.name.into() });
        }
        Ok(tensor)
    }

    fn fault(&self, reason: impl Into<String>) -> OnnxError {
        OnnxError::Tensor { tensor: self.name.into(), reason: reason.into() }
    }

    /// Its type, its shape and, copied, its values.
    ///
    /// # Errors
    /// [`OnnxError::Tensor`] where they contradict each other.
    pub(crate) fn to_constant(&self) -> Result<Constant, OnnxError> {
        let Some(datatype) = datatype(self.data_type) else {
            let reason = format!("element type {} is not read", self.data_type);
            return Err(self.fault(reason));
        };
        let dims: Result<Vec<u64>, _> = self.dims.iter().map(|dim| u64::try_from(*dim)).collect();
        let dims = dims.map_err(|_| self.fault("a dimension is negative"))?;
        let count = dims.iter().try_fold(1_u64, |product, dim| product.checked_mul(*dim));
        let raw = self.parts.iter().rev().find(|(number, _)| *number == 9);
        let values = match raw {
            Some((_, Payload::Bytes(bytes))) => self.raw(datatype, bytes)?,
            Some(_) => return Err(self.fault("its raw data is no byte string")),
            None => self.typed(datatype)?,
        };
        if count != Some(values.len() as u64) {
            let reason = format!("shape {:?} does not fit {} values", self.dims, values.len());
            return Err(self.fault(reason));
        }
        Ok(Constant { dims, values })
    }

    /// Values in `raw_data`: little-endian, of fixed width.
    fn raw(&self, datatype: Datatype, bytes: &[u8]) -> Result<Values, OnnxError> {
        macro_rules! numbers {
            ($type:ty, $width:literal) => {{
                let (chunks, []) = bytes.as_chunks::<$width>() else {
                    return Err(self.fault("its raw data ends inside a value"));
                };
                chunks.iter().map(|chunk| <$type>::from_le_bytes(*chunk)).collect()
            }};
        }
        Ok(match datatype {
            Datatype::Bool => Values::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
            Datatype::Uint8 => Values::Uint8(bytes.to_vec()),
            Datatype::Int8 => Values::Int8(bytes.iter().map(|byte| byte.cast_signed()).collect()),
            Datatype::Uint16 => Values::Uint16(numbers!(u16, 2)),
            Datatype::Int16 => Values::Int16(numbers!(i16, 2)),
            Datatype::Uint32 => Values::Uint32(numbers!(u32, 4)),
            Datatype::Int32 => Values::Int32(numbers!(i32, 4)),
            Datatype::Uint64 => Values::Uint64(numbers!(u64, 8)),
            Datatype::Int64 => Values::Int64(numbers!(i64, 8)),
            Datatype::Fp16 => Values::Fp16(numbers!(u16, 2)),
            Datatype::Bf16 => Values::Bf16(numbers!(u16, 2)),
            Datatype::Fp32 => Values::Fp32(numbers!(f32, 4)),
            Datatype::Fp64 => Values::Fp64(numbers!(f64, 8)),
            Datatype::Bytes => return Err(self.fault("texts cannot be raw data")),
        })
    }

    /// Values in the field of their type.
    fn typed(&self, datatype: Datatype) -> Result<Values, OnnxError> {
        let fields = Fields::new(&[], "TensorProto");
        let of = |wanted: u64| {
            self.parts.iter().filter(move |(number, _)| *number == wanted).map(|(_, part)| *part)
        };
        let ints = |number: u64| {
            let mut ints = Vec::new();
            of(number).try_for_each(|part| fields.ints(part, &mut ints))?;
            Ok::<_, OnnxError>(ints)
        };
        macro_rules! narrow {
            ($field:literal, $type:ty) => {{
                let narrowed: Result<Vec<$type>, _> =
                    ints($field)?.into_iter().map(<$type>::try_from).collect();
                narrowed.map_err(|_| self.fault("a value does not fit its element type"))?
            }};
        }
        Ok(match datatype {
            Datatype::Fp32 => {
                let mut floats = Vec::new();
                of(4).try_for_each(|part| fields.floats(part, &mut floats))?;
                Values::Fp32(floats)
            }
            Datatype::Fp64 => {
                let mut doubles = Vec::new();
                of(10).try_for_each(|part| fields.doubles(part, &mut doubles))?;
                Values::Fp64(doubles)
            }
            Datatype::Bytes => {
                let texts: Result<Vec<_>, _> =
                    of(6).map(|part| fields.bytes(part).map(<[u8]>::to_vec)).collect();
                Values::Bytes(texts?)
            }
            Datatype::Int64 => Values::Int64(ints(7)?),
            Datatype::Uint64 => {
                Values::Uint64(ints(11)?.into_iter().map(i64::cast_unsigned).collect())
            }
            Datatype::Uint32 => Values::Uint32(narrow!(11, u32)),
            Datatype::Int32 => Values::Int32(narrow!(5, i32)),
            Datatype::Int16 => Values::Int16(narrow!(5, i16)),
            Datatype::Int8 => Values::Int8(narrow!(5, i8)),
            Datatype::Uint16 => Values::Uint16(narrow!(5, u16)),
            Datatype::Uint8 => Values::Uint8(narrow!(5, u8)),
            Datatype::Fp16 => Values::Fp16(narrow!(5, u16)),
            Datatype::Bf16 => Values::Bf16(narrow!(5, u16)),
            Datatype::Bool => Values::Bool(ints(5)?.into_iter().map(|int| int != 0).collect()),
        })
    }
}
