//! Parquet: a file to batches of rows.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData};

use super::columns::{AppendError, Budget, Plan, append};
use super::footer::{self, FOOTER_BYTES_MAX, TAIL_BYTES};
use super::pages::{self, Chunk, PageError, PageLimits, Sum};
use super::rows::{Column, Rows};
use super::thrift::ThriftError;
use super::{ReadError, ReadLimits};

/// Most rows of a batch.
const BATCH_ROWS_MAX: u64 = 8_192;
/// Most bytes of a batch, decoded, texts aside (these stay in their pages until they are copied).
const BATCH_BYTES_MAX: u64 = 64 << 20;

/// The rows of a file, batch by batch. After an error there are no more.
pub(super) struct Batches {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    columns: Vec<(String, Plan)>,
    budget: Budget,
    limits: ReadLimits,
    rows_claimed: u64,
    rows_read: u64,
    is_over: bool,
}

/// Whose errors these are: every one names the file.
struct Named<'a>(&'a Path);

impl Named<'_> {
    fn corrupt(&self, reason: impl Into<String>) -> ReadError {
        ReadError::Corrupt { path: self.0.into(), reason: reason.into() }
    }

    fn too_large(&self, what: &'static str, found: u64, limit: u64) -> ReadError {
        ReadError::TooLarge { path: self.0.into(), what, found, limit }
    }

    fn column(&self, column: &str, reason: impl Into<String>) -> ReadError {
        ReadError::Column { path: self.0.into(), column: column.into(), reason: reason.into() }
    }

    fn decoder(&self, error: &ParquetError) -> ReadError {
        self.corrupt(error.to_string())
    }

    fn thrift(&self, error: ThriftError) -> ReadError {
        match error {
            ThriftError::End => self.corrupt("the footer ends too soon"),
            ThriftError::Bad(reason) => self.corrupt(format!("in the footer, {reason}")),
        }
    }

    /// V1: a panic of the decoder is an error. Its text is not ours to print.
    fn guarded<T>(&self, act: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
        catch_unwind(AssertUnwindSafe(act))
            .unwrap_or_else(|_| Err(self.corrupt("the decoder failed on it")))
    }
}

/// Looks a file of `bytes` bytes through and prepares to decode it.
pub(super) fn open(
    path: &Path,
    file: File,
    bytes: u64,
    limits: &ReadLimits,
) -> Result<Batches, ReadError> {
    let named = Named(path);
    check_footer(&named, &file, bytes)?;
    named.guarded(|| {
        // Page indexes would be more foreign bytes for no gain to who reads all.
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Skip);
        let metadata = ArrowReaderMetadata::load(&file, options.clone())
            .map_err(|error| named.decoder(&error))?;
        let schema = Arc::new(plain_schema(metadata.schema()));
        let columns = plan(&named, &schema, limits)?;
        let parquet = Arc::clone(metadata.metadata());
        let (rows_claimed, row_bytes) = check_size(&named, &parquet, &columns, limits)?;
        let sum = check_pages(&named, &file, &parquet, limits)?;
        let metadata = ArrowReaderMetadata::try_new(parquet, options.with_schema(schema))
            .map_err(|error| named.decoder(&error))?;
        let rows = batch_rows(row_bytes, sum.largest_delta_bytes);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_batch_size(rows)
            .build()
            .map_err(|error| named.decoder(&error))?;
        let budget = Budget { left: limits.decoded_bytes_max };
        let (path, limits) = (path.into(), *limits);
        let (rows_read, is_over) = (0, false);
        Ok(Batches { path, reader, columns, budget, limits, rows_claimed, rows_read, is_over })
    })
}

/// Where row groups lie, within the file.
pub(super) fn row_groups(
    path: &Path,
    file: &File,
    bytes: u64,
) -> Result<Vec<std::ops::Range<u64>>, ReadError> {
    let named = Named(path);
    check_footer(&named, file, bytes)?;
    named.guarded(|| {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Skip);
        let metadata =
            ArrowReaderMetadata::load(file, options).map_err(|error| named.decoder(&error))?;
        let mut groups = Vec::new();
        for group in metadata.metadata().row_groups() {
            let (mut start, mut end) = (bytes, 0);
            for (from, len) in group.columns().iter().map(ColumnChunkMetaData::byte_range) {
                start = start.min(from);
                end = end.max(from.saturating_add(len).min(bytes));
            }
            groups.push(start..end.max(start));
        }
        Ok(groups)
    })
}

/// Rows of a batch: so many that what the decoder makes of them stays within
/// [`BATCH_BYTES_MAX`], and likewise if each text were as long as the page that it can repeat.
fn batch_rows(row_bytes: u64, largest_delta_bytes: u64) -> usize {
    let per_row = row_bytes.saturating_add(largest_delta_bytes).max(1);
    (BATCH_BYTES_MAX / per_row).clamp(1, BATCH_ROWS_MAX) as usize
}

fn check_footer(named: &Named<'_>, file: &File, bytes: u64) -> Result<(), ReadError> {
    let io = |source| ReadError::Io { path: named.0.into(), source };
    let cut = || named.corrupt("it does not end as Parquet does");
    let tail_at = bytes.checked_sub(TAIL_BYTES).filter(|at| 4 <= *at).ok_or_else(cut)?;
    let mut tail = [0; TAIL_BYTES as usize];
    file.read_exact_at(&mut tail, tail_at).map_err(io)?;
    let [a, b, c, d, magic @ ..] = tail;
    if &magic != b"PAR1" {
        return Err(cut());
    }
    let len = u64::from(u32::from_le_bytes([a, b, c, d]));
    if FOOTER_BYTES_MAX < len {
        return Err(named.too_large("bytes in its footer", len, FOOTER_BYTES_MAX));
    }
    let at = tail_at.checked_sub(len).ok_or_else(|| named.corrupt("its footer is cut short"))?;
    let mut footer = vec![0; len as usize];
    file.read_exact_at(&mut footer, at).map_err(io)?;
    footer::check(&footer).map_err(|error| named.thrift(error))
}

/// The same schema with texts and bytes as views into their pages, which a repeated value does
/// not multiply, and without dictionaries.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other type of Arrow stays as it is")]
fn plain_schema(schema: &Schema) -> Schema {
    let plain = |field: &Arc<Field>| {
        let data_type = match field.data_type() {
            DataType::Dictionary(_, value) => value.as_ref(),
            other => other,
        };
        let data_type = match data_type {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
            other => other.clone(),
        };
        field.as_ref().clone().with_data_type(data_type)
    };
    let fields: Vec<Field> = schema.fields().iter().map(plain).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn plan(
    named: &Named<'_>,
    schema: &Schema,
    limits: &ReadLimits,
) -> Result<Vec<(String, Plan)>, ReadError> {
    let n_columns = schema.fields().len();
    if limits.columns_max < n_columns {
        return Err(named.too_large("columns", n_columns as u64, limits.columns_max as u64));
    }
    let mut seen = BTreeSet::new();
    let mut columns = Vec::with_capacity(n_columns);
    for field in schema.fields() {
        let name = field.name();
        if !seen.insert(name) {
            return Err(named.column(name, "two columns have this name: rename one"));
        }
        let plan = Plan::of(field.data_type(), limits.list_len_max)
            .map_err(|reason| named.column(name, reason))?;
        columns.push((name.clone(), plan));
    }
    Ok(columns)
}

/// Rows that the file claims to have, and the bytes that one takes at least.
fn check_size(
    named: &Named<'_>,
    parquet: &ParquetMetaData,
    columns: &[(String, Plan)],
    limits: &ReadLimits,
) -> Result<(u64, u64), ReadError> {
    let below_zero = || named.corrupt("its number of rows is below zero");
    let rows = u64::try_from(parquet.file_metadata().num_rows()).map_err(|_| below_zero())?;
    if limits.rows_max < rows {
        return Err(named.too_large("rows", rows, limits.rows_max));
    }
    // A fixed-size value is made for a missing one too.
    let mut row_bytes: u64 = columns.iter().map(|(_, plan)| plan.row_bytes()).sum();
    for leaf in parquet.file_metadata().schema_descr().columns() {
        if leaf.physical_type() == Type::FIXED_LEN_BYTE_ARRAY {
            let len = u64::try_from(leaf.type_length()).unwrap_or(u64::MAX);
            if (limits.list_len_max as u64) < len {
                let limit = limits.list_len_max as u64;
                return Err(named.too_large("bytes in a fixed-size value", len, limit));
            }
            row_bytes = row_bytes.saturating_add(len);
        }
    }
    let bytes = rows.saturating_mul(row_bytes);
    if limits.decoded_bytes_max < bytes {
        let limit = limits.decoded_bytes_max;
        return Err(named.too_large("bytes of values, decoded", bytes, limit));
    }
    Ok((rows, row_bytes))
}

fn check_pages(
    named: &Named<'_>,
    file: &File,
    parquet: &ParquetMetaData,
    limits: &ReadLimits,
) -> Result<Sum, ReadError> {
    let page_limits =
        PageLimits { page_bytes_max: limits.page_bytes_max, bytes_max: limits.decoded_bytes_max };
    let mut sum = Sum::default();
    for chunk in parquet.row_groups().iter().flat_map(|group| group.columns()) {
        let name = chunk.column_path().string();
        pages::check(file, chunk_of(named, &name, chunk)?, page_limits, &mut sum).map_err(
            |error| match error {
                PageError::Io(source) => ReadError::Io { path: named.0.into(), source },
                PageError::Bad(reason) => named.corrupt(format!("in column `{name}`, {reason}")),
                PageError::TooLarge { what, bytes, limit } => named.too_large(what, bytes, limit),
            },
        )?;
    }
    Ok(sum)
}

fn chunk_of(
    named: &Named<'_>,
    name: &str,
    chunk: &ColumnChunkMetaData,
) -> Result<Chunk, ReadError> {
    let is_gzip = match chunk.compression() {
        Compression::GZIP(_) => true,
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) => false,
        Compression::LZO | Compression::BROTLI(_) | Compression::LZ4 | Compression::LZ4_RAW => {
            let codec = chunk.compression();
            let reason =
                format!("it is compressed with {codec}: write it with zstd, snappy, gzip or none");
            return Err(named.column(name, reason));
        }
    };
    let value_bytes_min = match chunk.column_type() {
        Type::BOOLEAN => 1,
        Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
        Type::INT64 | Type::DOUBLE => 8,
        Type::INT96 => 12,
        Type::FIXED_LEN_BYTE_ARRAY => {
            u64::try_from(chunk.column_descr().type_length()).unwrap_or(1).max(1)
        }
    };
    let (start, bytes) = chunk.byte_range();
    Ok(Chunk { start, bytes, value_bytes_min, is_gzip })
}

impl Batches {
    /// The columns without rows: what every batch has.
    fn empty(&self) -> Vec<Column> {
        self.columns.iter().map(|(name, plan)| plan.column(name)).collect()
    }

    /// Appends the next rows of the file to `columns`. Says how many; 0 at the end.
    fn append_next(&mut self, columns: &mut [Column]) -> Result<usize, ReadError> {
        if self.is_over {
            return Ok(0);
        }
        self.is_over = true;
        let path = self.path.clone();
        let named = Named(&path);
        let n_rows = named.guarded(|| self.append_batch(&named, columns))?;
        if n_rows == 0 && self.rows_read != self.rows_claimed {
            let (claimed, found) = (self.rows_claimed, self.rows_read);
            let reason = format!("its footer says {claimed} rows, its pages have {found}");
            return Err(named.corrupt(reason));
        }
        self.is_over = n_rows == 0;
        Ok(n_rows)
    }

    fn append_batch(
        &mut self,
        named: &Named<'_>,
        columns: &mut [Column],
    ) -> Result<usize, ReadError> {
        let batch: RecordBatch = match self.reader.next() {
            None => return Ok(0),
            Some(batch) => batch.map_err(|error| named.corrupt(error.to_string()))?,
        };
        let n_rows = batch.num_rows();
        self.rows_read = self.rows_read.saturating_add(n_rows as u64);
        if self.limits.rows_max < self.rows_read {
            return Err(named.too_large("rows", self.rows_read, self.limits.rows_max));
        }
        for (column, array) in columns.iter_mut().zip(batch.columns()) {
            append(column, array.as_ref(), &mut self.budget).map_err(|error| match error {
                AppendError::Budget => {
                    let limit = self.limits.decoded_bytes_max;
                    named.too_large("bytes of values, decoded", limit.saturating_add(1), limit)
                }
                AppendError::Type => {
                    named.column(&column.name, "its values have another type than its schema")
                }
            })?;
        }
        Ok(n_rows)
    }

    /// All rows that are left, in one piece.
    pub(super) fn into_rows(mut self) -> Result<Rows, ReadError> {
        let mut columns = self.empty();
        let mut n_rows = 0;
        loop {
            match self.append_next(&mut columns)? {
                0 => return Ok(Rows { columns, n_rows }),
                added => n_rows += added,
            }
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Rows, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut columns = self.empty();
        match self.append_next(&mut columns) {
            Ok(0) => None,
            Ok(n_rows) => Some(Ok(Rows { columns, n_rows })),
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// V2: the more a row can become, the fewer rows are decoded at once.
    #[test]
    fn batches_shrink_with_the_size_of_rows() {
        for (row_bytes, delta_bytes, rows) in [
            (0, 0, BATCH_ROWS_MAX),
            (8, 0, BATCH_ROWS_MAX),
            (8_192, 0, BATCH_ROWS_MAX),
            (8_193, 0, BATCH_ROWS_MAX - 1),
            (0, 1 << 20, 64),
            (1 << 20, 1 << 20, 32),
            (u64::MAX, 1, 1),
        ] {
            assert_eq!(batch_rows(row_bytes, delta_bytes) as u64, rows, "{row_bytes}");
        }
    }

    /// V1: a panic below is an error that names the file and shows nothing of its text.
    #[test]
    fn a_panic_of_the_decoder_is_an_error() {
        let named = Named(Path::new("rows.parquet"));
        let error = named.guarded::<()>(|| panic!("a value of the file")).unwrap_err();
        let text = "`rows.parquet` is truncated or corrupt: the decoder failed on it";
        assert_eq!(error.to_string(), text);
        assert_eq!(named.guarded(|| Ok(7)).unwrap(), 7);
    }
}
