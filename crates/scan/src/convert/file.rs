//! Which tensors a file holds, by its format: `.npy`, `.npz`, torch's zip and legacy forms, pickles
//! and uncompressed joblib.

use std::borrow::Cow;
use std::io::Read as _;

use super::collect::Collector;
use super::layout::{self, Layout, Tensor};
use super::{ConvertError, Tensors};
use crate::allow::Allow;
use crate::budget::{Budget, Meter};
use crate::literal::{Literal, parse};
use crate::pickle::Still;
use crate::scope::{Alone, Scope};
use crate::source::View;
use crate::zip::{self, Member};

/// `torch.serialization.MAGIC_NUMBER` as a pickle of protocol 2.
const LEGACY: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";
/// Pickles of a legacy file before the list of its storages.
const LEGACY_BEFORE: usize = 3;
/// Most bytes that a packed member of an `.npz` may have.
const MEMBER_BYTES_MAX: u64 = 4 << 30;

const NO_TENSORS: ConvertError = ConvertError::Unsupported(
    "it is no .npy, .npz, torch file, pickle or uncompressed joblib; only those are converted",
);

/// The tensors of a file that was cleared.
pub(super) fn read(bytes: &[u8]) -> Result<Tensors<'_>, ConvertError> {
    if bytes.starts_with(b"\x93NUMPY") {
        let mut tensor = npy(Cow::Borrowed(bytes))?;
        tensor.name = "tensor".to_owned();
        return Ok(Tensors { tensors: vec![tensor], n_left_out: 0 });
    }
    if bytes.starts_with(b"PK") {
        return archive(bytes);
    }
    if bytes.starts_with(LEGACY) {
        return legacy(bytes);
    }
    if !matches!(bytes, [0x80, 2..=5, ..]) {
        return Err(NO_TENSORS);
    }
    let mut collector = Collector::new(bytes, 0);
    let root = collector.run()?;
    collector.tensors(root, &|_| None)
}

fn archive(bytes: &[u8]) -> Result<Tensors<'_>, ConvertError> {
    let (allow, budget) = (Allow::new(), Budget::default());
    let meter = Meter::new(budget, &Still);
    let mut scope = Scope::new(&allow, &meter, &Alone);
    let view = View::whole(&bytes);
    let members = zip::members(&mut scope, &view).map_err(|_| NO_TENSORS)?;
    let Some(object) = members.iter().find(|it| it.name.ends_with("/data.pkl")) else {
        return npz(bytes, &members);
    };
    let folder = object.name.strip_suffix("data.pkl").unwrap_or("");
    let mut collector = Collector::new(stored(bytes, object).ok_or(NO_TENSORS)?, 0);
    let root = collector.run()?;
    collector.tensors(root, &|key| {
        let name = format!("{folder}data/{key}");
        stored(bytes, members.iter().find(|member| member.name == name)?)
    })
}

/// Bytes of a member that is not packed.
fn stored<'a>(bytes: &'a [u8], member: &Member) -> Option<&'a [u8]> {
    let start = usize::try_from(member.data_at).ok()?;
    let len = usize::try_from(member.unpacked).ok()?;
    (member.method == 0).then(|| bytes.get(start..start.checked_add(len)?))?
}

fn npz<'a>(bytes: &'a [u8], members: &[Member]) -> Result<Tensors<'a>, ConvertError> {
    let mut tensors = Vec::new();
    let mut n_left_out = 0_u64;
    for member in members {
        let Some(name) = member.name.strip_suffix(".npy") else { return Err(NO_TENSORS) };
        let content: Cow<'a, [u8]> = match stored(bytes, member) {
            Some(part) => part.into(),
            None => unpacked(bytes, member).ok_or(NO_TENSORS)?.into(),
        };
        match npy(content) {
            Ok(mut tensor) => {
                tensor.name = name.to_owned();
                tensors.push(tensor);
            }
            Err(_) => n_left_out = n_left_out.saturating_add(1),
        }
    }
    if tensors.is_empty() { Err(NO_TENSORS) } else { Ok(Tensors { tensors, n_left_out }) }
}

fn unpacked(bytes: &[u8], member: &Member) -> Option<Vec<u8>> {
    if member.method != 8 || MEMBER_BYTES_MAX < member.unpacked {
        return None;
    }
    let start = usize::try_from(member.data_at).ok()?;
    let len = usize::try_from(member.packed).ok()?;
    let packed = bytes.get(start..start.checked_add(len)?)?;
    let mut content = Vec::new();
    let limit = member.unpacked.saturating_add(1);
    flate2::read::DeflateDecoder::new(packed).take(limit).read_to_end(&mut content).ok()?;
    (content.len() as u64 == member.unpacked).then_some(content)
}

/// One array (`numpy.lib.format`).
fn npy(bytes: Cow<'_, [u8]>) -> Result<Tensor<'_>, ConvertError> {
    let header = header(&bytes).ok_or(NO_TENSORS)?;
    let (dtype, item_bytes, is_big_endian) = layout::of_numpy(&header.code)
        .ok_or(ConvertError::Unsupported("its elements are no numbers"))?;
    let data = match bytes {
        Cow::Borrowed(bytes) => bytes.get(header.end..).unwrap_or(&[]).into(),
        Cow::Owned(mut bytes) => {
            bytes.drain(..header.end.min(bytes.len()));
            bytes.into()
        }
    };
    let strides = layout::strides(&header.shape, header.fortran).ok_or(NO_TENSORS)?;
    let layout = Layout { item_bytes, is_big_endian, offset: 0, strides };
    Tensor::new(dtype, header.shape, layout, data).ok_or(NO_TENSORS)
}

struct Header {
    code: String,
    fortran: bool,
    shape: Vec<u64>,
    /// Where the elements begin.
    end: usize,
}

fn header(bytes: &[u8]) -> Option<Header> {
    let (start, len) = match bytes.get(6..8)? {
        [1, 0] => (10, usize::from(u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?))),
        [2 | 3, 0] => {
            (12, usize::try_from(u32::from_le_bytes(*bytes.get(8..)?.first_chunk()?)).ok()?)
        }
        _ => return None,
    };
    let end = len.checked_add(start)?;
    let text = std::str::from_utf8(bytes.get(start..end)?).ok()?;
    let Literal::Dict(pairs) = parse(text)? else { return None };
    let (mut code, mut fortran, mut shape) = (None, None, None);
    for (key, value) in pairs {
        let Literal::Text(key) = key else { return None };
        match (&*key, value) {
            ("descr", Literal::Text(text)) => code = Some(text.into_string()),
            ("fortran_order", Literal::Bool(value)) => fortran = Some(value),
            ("shape", Literal::Tuple(dims)) => {
                let dim = |dim: &Literal| if let Literal::Int(n) = dim { Some(*n) } else { None };
                shape = dims.iter().map(dim).collect();
            }
            _ => return None,
        }
    }
    Some(Header { code: code?, fortran: fortran?, shape: shape?, end })
}

/// `torch.serialization._legacy_save`: three pickles, the object, the keys of its storages, then
/// each storage: how many elements, and the elements.
fn legacy(bytes: &[u8]) -> Result<Tensors<'_>, ConvertError> {
    let mut at = 0;
    for _ in 0..LEGACY_BEFORE {
        let mut before = Collector::new(bytes, at);
        before.run()?;
        at = before.offset();
    }
    let mut object = Collector::new(bytes, at);
    let root = object.run()?;
    let mut keys = Collector::new(bytes, object.offset());
    let list = keys.run()?;
    let mut storages = Vec::new();
    let mut at = keys.offset();
    for key in keys.texts(list).ok_or(NO_TENSORS)? {
        let item_bytes = object.item_bytes(key).ok_or(NO_TENSORS)?;
        let n = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(NO_TENSORS)?;
        let n =
            usize::try_from(u64::from_le_bytes(*n)).ok().and_then(|n| n.checked_mul(item_bytes));
        let start = at.saturating_add(8);
        let end = n.and_then(|n| n.checked_add(start)).ok_or(NO_TENSORS)?;
        storages.push((key, bytes.get(start..end).ok_or(NO_TENSORS)?));
        at = end;
    }
    object.tensors(root, &|key| {
        storages.iter().find(|(known, _)| *known == key).map(|(_, bytes)| *bytes)
    })
}
