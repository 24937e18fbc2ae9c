//! Files beside a TensorFlow graph or a tokenizer that hold data alone: the index of a checkpoint,
//! its values, and models of SentencePiece.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use crate::protobuf::{self, Kind, Schema, Value, Visit, many, once};
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Head, Reader};
use crate::source::View;

/// The last bytes of a table of LevelDB, and of the footer that they end.
const MAGIC: [u8; 8] = *b"\x57\xfb\x80\x8b\x24\x75\x47\xdb";
const FOOTER_BYTES: u64 = 48;
/// Longest block, in bytes.
const BLOCK_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// `DT_RESOURCE` and `DT_VARIANT`: no plain numbers or texts.
const OPAQUE_TYPES: &[u64] = &[20, 21];

pub(crate) const INDEX: Format = Format {
    name: "tensorflow checkpoint index",
    claims: |head| {
        head.view.is_some_and(|view| {
            let at = view.len().checked_sub(8);
            at.is_some_and(|at| view.array(at).is_ok_and(|mark: [u8; 8]| mark == MAGIC))
        })
    },
    reader: Reader::Random(read_index),
};
pub(crate) const SENTENCEPIECE: Format = Format {
    name: "sentencepiece",
    claims: is_sentencepiece,
    reader: Reader::Random(|scope, view| protobuf::walk(scope, view, &SENTENCES, &mut Plain)),
};

static ENTRY: Schema = Schema {
    name: "BundleEntryProto",
    fields: &[
        once(1, Kind::Varint),
        once(2, Kind::Data),
        once(3, Kind::Varint),
        once(4, Kind::Varint),
        once(5, Kind::Varint),
        once(6, Kind::Fixed32),
        many(7, Kind::Data),
    ],
};
static BUNDLE: Schema = Schema {
    name: "BundleHeaderProto",
    fields: &[once(1, Kind::Varint), once(2, Kind::Varint), once(3, Kind::Data)],
};
static SENTENCES: Schema = Schema {
    name: "SentencePiece.ModelProto",
    fields: &[
        many(1, Kind::Message(&PIECE)),
        once(2, Kind::Data),
        once(3, Kind::Data),
        once(4, Kind::Data),
        once(5, Kind::Data),
    ],
};
static PIECE: Schema = Schema {
    name: "SentencePiece",
    fields: &[once(1, Kind::Data), once(2, Kind::Fixed32), once(3, Kind::Varint)],
};

fn is_sentencepiece(head: &Head<'_>) -> bool {
    let Some(view) = head.view else { return false };
    let Some(piece) = protobuf::first(view, 1) else { return false };
    // A piece has its text and its score.
    protobuf::shape(&piece, &PIECE).is_some_and(|met| met & 3 == 3)
        && protobuf::shape(view, &SENTENCES).is_some_and(|met| met & 3 == 3)
}

/// Says what is no plain data.
struct Plain;

impl Visit for Plain {
    fn leave(
        &mut self,
        _scope: &mut Scope<'_>,
        _schema: &'static Schema,
        _at: u64,
    ) -> Result<(), Stop> {
        Ok(())
    }

    fn field(
        &mut self,
        scope: &mut Scope<'_>,
        schema: &'static Schema,
        number: u32,
        value: Value<'_>,
        at: u64,
    ) -> Result<(), Stop> {
        if let ("BundleEntryProto", 1, Value::Number(kind)) = (schema.name, number, value)
            && OPAQUE_TYPES.contains(&kind)
        {
            scope.report(&rules::TENSORFLOW_UNLISTED, at, "a value of a checkpoint is no tensor");
        }
        Ok(())
    }
}

/// Reads the table of a checkpoint (LevelDB's format, as `tensor_bundle` writes it).
fn read_index(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    let footer_at =
        view.len().checked_sub(FOOTER_BYTES).ok_or(Stop::broken(0, "the footer is cut off"))?;
    let footer = view.bytes(footer_at, FOOTER_BYTES, FOOTER_BYTES)?;
    let mut rest = footer.as_slice();
    let meta = handle(&mut rest, footer_at)?;
    let index = handle(&mut rest, footer_at)?;
    block(scope, view, meta, &mut |_, _, _| Err(Stop::Unjudged("tables with filters")))?;
    block(scope, view, index, &mut |scope, _, value| {
        let mut rest = value;
        let data = handle(&mut rest, footer_at)?;
        block(scope, view, data, &mut |scope, key, value| {
            let schema = if key.is_empty() { &BUNDLE } else { &ENTRY };
            let bytes = value.to_vec();
            protobuf::walk(scope, &View::whole(&bytes), schema, &mut Plain)
        })
    })
}

fn varint(rest: &mut &[u8], at: u64) -> Result<u64, Stop> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(Stop::broken(at, "a number is cut off"))?;
        *rest = after;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Stop::broken(at, "a number is too long"))
}

/// Offset and size of a block.
fn handle(rest: &mut &[u8], at: u64) -> Result<(u64, u64), Stop> {
    Ok((varint(rest, at)?, varint(rest, at)?))
}

type Each<'e> = &'e mut dyn FnMut(&mut Scope<'_>, &[u8], &[u8]) -> Result<(), Stop>;

/// Each key and value of a block.
fn block(
    scope: &mut Scope<'_>,
    view: &View<'_>,
    (at, len): (u64, u64),
    each: Each<'_>,
) -> Result<(), Stop> {
    let bytes = view.bytes(at, len, BLOCK_BYTES_MAX)?;
    if view.slice(at.saturating_add(len), 1)?.array::<1>(0)? != [0] {
        return Err(Stop::Unjudged("tables that are compressed"));
    }
    let cut = Stop::broken(at, "a block is cut off");
    let (before, n_restarts) = bytes.split_last_chunk().ok_or(cut.clone())?;
    let restarts = usize::try_from(u32::from_le_bytes(*n_restarts)).unwrap_or(usize::MAX);
    let end = before.len().checked_sub(restarts.saturating_mul(4)).ok_or(cut.clone())?;
    let mut rest = before.get(..end).ok_or(cut.clone())?;
    let mut key: Vec<u8> = Vec::new();
    while !rest.is_empty() {
        scope.meter.steps(1)?;
        let shared = usize::try_from(varint(&mut rest, at)?).unwrap_or(usize::MAX);
        let own = usize::try_from(varint(&mut rest, at)?).unwrap_or(usize::MAX);
        let size = usize::try_from(varint(&mut rest, at)?).unwrap_or(usize::MAX);
        let (more, after) = rest.split_at_checked(own).ok_or(cut.clone())?;
        let (value, after) = after.split_at_checked(size).ok_or(cut.clone())?;
        rest = after;
        key.truncate(shared);
        key.extend_from_slice(more);
        each(scope, &key, value)?;
    }
    Ok(())
}

/// Whether the file that is scanned holds the values of a checkpoint whose index is beside it.
pub(crate) fn is_values(scope: &Scope<'_>) -> bool {
    let Some((stem, shard)) = scope.name().rsplit_once(".data-") else { return false };
    let numbers = shard.split_once("-of-");
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    scope.depth() == 0
        && numbers.is_some_and(|(one, of)| is_number(one) && is_number(of))
        && scope.siblings.size(&format!("{stem}.index")).is_some()
}

#[cfg(test)]
mod tests;
