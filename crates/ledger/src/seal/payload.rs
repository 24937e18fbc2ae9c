//! What is sealed: the exact bytes, the model's whole output, and the names behind pseudonyms.
//!
//! Input tensors are not among it: they are read again from the bytes received.

use std::fmt;

use bartizan_core::limits::{DIMS_MAX, TENSORS_MAX};
use bartizan_core::tensor::{Datatype, Tensor, Values, element_count};
use minicbor::Decoder;

use crate::cbor::{self, Map};
use crate::read_cbor::{DecodeError, array_len, each_entry, fixed};
use crate::secret::RecordSecret;

const VERSION: u8 = 1;
/// Bytes that the encoding adds to one tensor at most, its name aside.
const TENSOR_OVERHEAD_BYTES: usize = 48 + 9 * DIMS_MAX;
/// Bytes that the encoding adds to all else at most.
const OVERHEAD_BYTES: usize = 128;

/// A payload to be sealed, borrowed from the request. Never printed.
pub struct Payload<'a> {
    /// What opens the record's commitments.
    pub secret: &'a RecordSecret,
    /// The exact bytes received; empty where a permit obliges not to keep all of them.
    pub received: &'a [u8],
    /// Inputs that are kept where the bytes received are not.
    pub retained: &'a [Tensor],
    /// The model's whole output; empty where it was not asked.
    pub outputs: &'a [Tensor],
    /// The exact reply.
    pub reply: &'a [u8],
    /// Name of the principal.
    pub principal: Option<&'a str>,
    /// Whom it is about.
    pub subject: Option<&'a str>,
    /// Whose act it was in the caller's system.
    pub end_user: Option<&'a str>,
    /// What for, as it was asserted.
    pub purpose: Option<&'a str>,
    /// The caller's own id for it.
    pub correlation_id: Option<&'a str>,
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload [redacted]")
    }
}

impl<'a> Payload<'a> {
    fn texts(&self) -> [Option<&'a str>; 5] {
        [self.principal, self.subject, self.end_user, self.purpose, self.correlation_id]
    }

    /// At least the bytes of its encoding.
    pub(super) fn size_bytes(&self) -> usize {
        let texts: usize = self.texts().iter().flatten().map(|text| text.len() + 6).sum();
        let outputs: usize = self.outputs.iter().chain(self.retained).map(tensor_bytes).sum();
        OVERHEAD_BYTES + texts + outputs + self.received.len() + self.reply.len()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        let mut map = Map::begin(out);
        map.bytes(0, self.secret.as_bytes());
        map.bytes(1, self.received);
        encode_tensors(self.outputs, map.key(2));
        map.bytes(3, self.reply);
        for (key, text) in (4_u8..).zip(self.texts()) {
            map.opt_text(key, text);
        }
        if !self.retained.is_empty() {
            encode_tensors(self.retained, map.key(9));
        }
    }
}

/// At least the bytes of a tensor's encoding.
fn tensor_bytes(tensor: &Tensor) -> usize {
    let values = match tensor.values() {
        Values::Bytes(items) => items.iter().map(|item| item.len() + 4).sum(),
        Values::Bool(_)
        | Values::Uint8(_)
        | Values::Uint16(_)
        | Values::Uint32(_)
        | Values::Uint64(_)
        | Values::Int8(_)
        | Values::Int16(_)
        | Values::Int32(_)
        | Values::Int64(_)
        | Values::Fp16(_)
        | Values::Bf16(_)
        | Values::Fp32(_)
        | Values::Fp64(_) => tensor.values().len() * tensor.datatype().width(),
    };
    TENSOR_OVERHEAD_BYTES + tensor.name().len() + values
}

/// Appends the array of `tensors`: name, datatype, shape and canonical bytes of each.
pub(crate) fn encode_tensors(tensors: &[Tensor], out: &mut Vec<u8>) {
    cbor::array(out, tensors.len());
    for tensor in tensors {
        let mut map = Map::begin(out);
        map.text(0, tensor.name());
        map.text(1, tensor.datatype().as_str());
        let out = map.key(2);
        cbor::array(out, tensor.shape().len());
        tensor.shape().iter().for_each(|dim| cbor::uint(out, *dim));
        let bytes = tensor_bytes(tensor) - TENSOR_OVERHEAD_BYTES - tensor.name().len();
        let out = map.key(3);
        cbor::bytes_head(out, bytes);
        tensor.values().canonical(0..tensor.values().len(), out);
    }
}

/// A payload that was opened. Never printed.
#[derive(Clone, PartialEq)]
pub struct OpenedPayload {
    /// What opens the record's commitments.
    pub secret: RecordSecret,
    /// The exact bytes received; empty where a permit obliged not to keep all of them.
    pub received: Vec<u8>,
    /// Inputs that were kept where the bytes received were not.
    pub retained: Vec<Tensor>,
    /// The model's whole output.
    pub outputs: Vec<Tensor>,
    /// The exact reply.
    pub reply: Vec<u8>,
    /// Name of the principal.
    pub principal: Option<String>,
    /// Whom it is about.
    pub subject: Option<String>,
    /// Whose act it was in the caller's system.
    pub end_user: Option<String>,
    /// What for.
    pub purpose: Option<String>,
    /// The caller's own id for it.
    pub correlation_id: Option<String>,
}

impl fmt::Debug for OpenedPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedPayload [redacted]")
    }
}

impl OpenedPayload {
    /// Reads a payload.
    pub(crate) fn decode(plain: &[u8]) -> Result<Self, DecodeError> {
        let body = match plain.split_first() {
            None => return Err(DecodeError::Empty),
            Some((&VERSION, body)) => body,
            Some((&found, _)) => return Err(DecodeError::Version { found }),
        };
        let mut d = Decoder::new(body);
        let mut secret: Option<[u8; 32]> = None;
        let (mut received, mut reply) = (Vec::new(), Vec::new());
        let (mut outputs, mut retained) = (Vec::new(), Vec::new());
        let mut texts: [Option<String>; 5] = Default::default();
        each_entry(&mut d, |d, key| {
            match key {
                0 => secret = Some(fixed(d, "secret")?),
                1 => received = d.bytes()?.to_vec(),
                2 => outputs = tensors(d)?,
                3 => reply = d.bytes()?.to_vec(),
                4..=8 => texts[key as usize - 4] = Some(d.str()?.to_owned()),
                9 => retained = tensors(d)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let secret = secret.ok_or(DecodeError::Absent { field: "secret" })?.into();
        let [principal, subject, end_user, purpose, correlation_id] = texts;
        Ok(Self {
            secret,
            received,
            retained,
            outputs,
            reply,
            principal,
            subject,
            end_user,
            purpose,
            correlation_id,
        })
    }
}

fn tensors(d: &mut Decoder<'_>) -> Result<Vec<Tensor>, DecodeError> {
    let n = array_len(d, TENSORS_MAX as u64)?;
    (0..n).map(|_| tensor(d)).collect()
}

fn tensor(d: &mut Decoder<'_>) -> Result<Tensor, DecodeError> {
    const WRONG: DecodeError = DecodeError::Value { field: "output" };
    let (mut name, mut datatype, mut shape, mut bytes) = (None, None, Vec::new(), None);
    each_entry(d, |d, key| {
        match key {
            0 => name = Some(d.str()?.to_owned()),
            1 => datatype = Some(d.str()?.parse::<Datatype>().map_err(|_| WRONG)?),
            2 => {
                let n = array_len(d, DIMS_MAX as u64)?;
                shape = (0..n).map(|_| Ok(d.u64()?)).collect::<Result<_, DecodeError>>()?;
            }
            3 => bytes = Some(d.bytes()?.to_vec()),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let (name, datatype, bytes) = (name.ok_or(WRONG)?, datatype.ok_or(WRONG)?, bytes.ok_or(WRONG)?);
    let n = element_count(&shape).map_err(|_| WRONG)?;
    let values = values(datatype, &bytes, n).ok_or(WRONG)?;
    Tensor::new(name, shape, values).map_err(|_| WRONG)
}

/// The `n` values whose canonical bytes these are.
fn values(datatype: Datatype, bytes: &[u8], n: usize) -> Option<Values> {
    /// Every `N` bytes as one value.
    fn each<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
        let (chunks, rest) = bytes.as_chunks::<N>();
        rest.is_empty().then(|| chunks.iter().map(|chunk| value(*chunk)).collect())
    }
    let values = match datatype {
        Datatype::Bool => Values::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
        Datatype::Uint8 => Values::Uint8(bytes.to_vec()),
        Datatype::Uint16 => Values::Uint16(each(bytes, u16::from_le_bytes)?),
        Datatype::Uint32 => Values::Uint32(each(bytes, u32::from_le_bytes)?),
        Datatype::Uint64 => Values::Uint64(each(bytes, u64::from_le_bytes)?),
        Datatype::Int8 => Values::Int8(each(bytes, i8::from_le_bytes)?),
        Datatype::Int16 => Values::Int16(each(bytes, i16::from_le_bytes)?),
        Datatype::Int32 => Values::Int32(each(bytes, i32::from_le_bytes)?),
        Datatype::Int64 => Values::Int64(each(bytes, i64::from_le_bytes)?),
        Datatype::Fp16 => Values::Fp16(each(bytes, u16::from_le_bytes)?),
        Datatype::Bf16 => Values::Bf16(each(bytes, u16::from_le_bytes)?),
        Datatype::Fp32 => Values::Fp32(each(bytes, f32::from_le_bytes)?),
        Datatype::Fp64 => Values::Fp64(each(bytes, f64::from_le_bytes)?),
        Datatype::Bytes => Values::Bytes(items(bytes)?),
    };
    (values.len() == n).then_some(values)
}

/// The items behind their 32-bit lengths.
fn items(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut items = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let (item, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        items.push(item.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(items)
}
