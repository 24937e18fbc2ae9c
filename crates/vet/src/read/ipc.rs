//! Arrow IPC files (Feather version 2) and streams.
//!
//! Messages are decoded in place from the file's bytes, so that no claimed length is allocated;
//! compressed ones are refused, since their claims would be.

use std::fs::File;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryViewArray, RecordBatch, StringViewArray};
use arrow_buffer::Buffer;
use arrow_ipc::reader::{FileDecoder, StreamDecoder};
use arrow_ipc::{Block, root_as_footer};
use arrow_schema::{ArrowError, DataType};

use super::batches::Decode;
use super::columns::{AppendError, Budget, Plan, append};
use super::rows::Rows;
use super::{ReadError, ReadLimits};

struct Ipc {
    path: PathBuf,
    limits: ReadLimits,
    budget: Budget,
    source: Source,
}

enum Source {
    File { decoder: FileDecoder, blocks: std::vec::IntoIter<Block>, bytes: Buffer },
    Stream { decoder: StreamDecoder, bytes: Buffer },
}

/// Prepares to decode the file, which is in memory as bytes.
pub(super) fn open(
    path: &Path,
    mut file: File,
    is_stream: bool,
    limits: &ReadLimits,
) -> Result<Box<dyn Decode>, ReadError> {
    let mut bytes = Vec::new();
    let read = file.read_to_end(&mut bytes);
    read.map_err(|source| ReadError::Io { path: path.into(), source })?;
    let bytes = Buffer::from_vec(bytes);
    let source = guarded(path, || {
        if is_stream {
            Ok(Source::Stream { decoder: StreamDecoder::new(), bytes })
        } else {
            file_source(path, bytes)
        }
    })?;
    let budget = Budget { left: limits.decoded_bytes_max };
    Ok(Box::new(Ipc { path: path.into(), limits: *limits, budget, source }))
}

fn guarded<T>(path: &Path, act: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
    let failed = |_| Err(corrupt(path, "the decoder failed on it"));
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(failed)
}

fn corrupt(path: &Path, reason: impl Into<String>) -> ReadError {
    ReadError::Corrupt { path: path.into(), reason: reason.into() }
}

fn arrow(path: &Path, error: &ArrowError) -> ReadError {
    let text = error.to_string();
    if text.contains("ompress") {
        let reason = "its buffers are compressed: write it uncompressed, or as Parquet";
        return corrupt(path, reason);
    }
    corrupt(path, "its messages do not fit together")
}

fn file_source(path: &Path, bytes: Buffer) -> Result<Source, ReadError> {
    let cut = || corrupt(path, "it does not end as Arrow IPC does");
    let tail_at = bytes.len().checked_sub(10).ok_or_else(cut)?;
    let tail: [u8; 10] = bytes[tail_at..].try_into().map_err(|_| cut())?;
    let [a, b, c, d, magic @ ..] = tail;
    let len = usize::try_from(i32::from_le_bytes([a, b, c, d])).map_err(|_| cut())?;
    if &magic != b"ARROW1" {
        return Err(cut());
    }
    let footer_at = tail_at.checked_sub(len).ok_or_else(cut)?;
    let footer = root_as_footer(&bytes[footer_at..tail_at])
        .map_err(|_| corrupt(path, "its footer does not fit together"))?;
    let schema = footer.schema().ok_or_else(|| corrupt(path, "it has no schema"))?;
    let schema = arrow_ipc::convert::fb_to_schema(schema);
    let mut decoder = FileDecoder::new(Arc::new(schema), footer.version());
    for block in footer.dictionaries().iter().flatten() {
        let data = slice(path, &bytes, block)?;
        decoder.read_dictionary(block, &data).map_err(|error| arrow(path, &error))?;
    }
    let blocks: Vec<Block> =
        footer.recordBatches().map(|b| b.iter().copied().collect()).unwrap_or_default();
    Ok(Source::File { decoder, blocks: blocks.into_iter(), bytes })
}

fn slice(path: &Path, bytes: &Buffer, block: &Block) -> Result<Buffer, ReadError> {
    let outside = || corrupt(path, "a message lies outside of the file");
    let offset = usize::try_from(block.offset()).map_err(|_| outside())?;
    let head = usize::try_from(block.metaDataLength()).map_err(|_| outside())?;
    let body = usize::try_from(block.bodyLength()).map_err(|_| outside())?;
    let len = head.checked_add(body).ok_or_else(outside)?;
    let end = offset.checked_add(len).filter(|end| *end <= bytes.len()).ok_or_else(outside)?;
    Ok(bytes.slice_with_length(offset, end - offset))
}

/// The array with texts, bytes and dictionaries as [`append`] takes them.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other type of Arrow stays as it is")]
fn plain(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8 => Arc::new(array.as_string::<i32>().iter().collect::<StringViewArray>()),
        DataType::LargeUtf8 => {
            Arc::new(array.as_string::<i64>().iter().collect::<StringViewArray>())
        }
        DataType::Binary => Arc::new(array.as_binary::<i32>().iter().collect::<BinaryViewArray>()),
        DataType::LargeBinary => {
            Arc::new(array.as_binary::<i64>().iter().collect::<BinaryViewArray>())
        }
        DataType::Dictionary(_, value) if value.as_ref() == &DataType::Utf8 => {
            let dictionary = array.as_any_dictionary();
            let values = dictionary.values().as_string::<i32>();
            let keys = dictionary.normalized_keys();
            let text = |(row, key): (usize, &usize)| {
                (!dictionary.is_null(row) && *key < values.len()).then(|| values.value(*key))
            };
            Arc::new(keys.iter().enumerate().map(text).collect::<StringViewArray>())
        }
        _ => Arc::clone(array),
    }
}

impl Ipc {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        let path = self.path.clone();
        match &mut self.source {
            Source::File { decoder, blocks, bytes } => {
                for block in blocks {
                    let data = slice(&path, bytes, &block)?;
                    let batch = decoder.read_record_batch(&block, &data);
                    if let Some(batch) = batch.map_err(|error| arrow(&path, &error))? {
                        return Ok(Some(batch));
                    }
                }
                Ok(None)
            }
            Source::Stream { decoder, bytes } => {
                let batch = decoder.decode(bytes).map_err(|error| arrow(&path, &error))?;
                if batch.is_none() {
                    decoder.finish().map_err(|_| corrupt(&path, "the stream is cut short"))?;
                }
                Ok(batch)
            }
        }
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<Rows, ReadError> {
        let column_error = |column: &str, reason: String| ReadError::Column {
            path: self.path.clone(),
            column: column.into(),
            reason,
        };
        if self.limits.columns_max < batch.num_columns() {
            let (found, limit) = (batch.num_columns() as u64, self.limits.columns_max as u64);
            let (path, what) = (self.path.clone(), "columns");
            return Err(ReadError::TooLarge { path, what, found, limit });
        }
        let mut seen = std::collections::BTreeSet::new();
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            if !seen.insert(field.name().clone()) {
                let reason = "two columns have this name: rename one".into();
                return Err(column_error(field.name(), reason));
            }
            let array = plain(array);
            let plan = Plan::of(array.data_type(), self.limits.list_len_max)
                .map_err(|reason| column_error(field.name(), reason))?;
            let mut column = plan.column(field.name());
            append(&mut column, array.as_ref(), &mut self.budget).map_err(|error| match error {
                AppendError::Type => {
                    column_error(field.name(), "its values have another type".into())
                }
                AppendError::Budget => ReadError::TooLarge {
                    path: self.path.clone(),
                    what: "bytes of values, decoded",
                    found: self.limits.decoded_bytes_max.saturating_add(1),
                    limit: self.limits.decoded_bytes_max,
                },
            })?;
            columns.push(column);
        }
        Ok(Rows { columns, n_rows: batch.num_rows() })
    }
}

impl Decode for Ipc {
    fn next_rows(&mut self) -> Result<Option<Rows>, ReadError> {
        let path = self.path.clone();
        guarded(&path, || {
            let Some(batch) = self.next_batch()? else { return Ok(None) };
            self.rows(&batch).map(Some)
        })
    }
}
