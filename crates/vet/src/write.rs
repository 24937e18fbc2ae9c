//! Rows to Parquet files: the split data sets and the scores of rows.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types as arrow;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeListArray, Float32Array, PrimitiveArray,
    RecordBatch, StringArray, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use bartizan_core::Values;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::read::{Column, Meaning, Rows};
use crate::report::{Issue, Report};

/// Rows of a batch of scores.
const BATCH_ROWS: usize = 65_536;

/// Writes some of the rows that it is given, in their order.
pub struct RowWriter {
    file: Option<File>,
    writer: Option<ArrowWriter<File>>,
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

fn writer(file: File, schema: Arc<Schema>) -> io::Result<ArrowWriter<File>> {
    let level = ZstdLevel::try_new(3).map_err(other)?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    ArrowWriter::try_new(file, schema, Some(properties)).map_err(other)
}

impl RowWriter {
    /// A new file at `path`, which must not be there yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().write(true).create_new(true).open(path)?;
        Ok(Self { file: Some(file), writer: None })
    }

    /// Appends those rows of `batch` whose place in it `keep` holds.
    ///
    /// # Errors
    /// What the system says; batches whose columns differ are one too.
    pub fn append(&mut self, batch: &Rows, keep: &[bool]) -> io::Result<()> {
        let kept: Vec<usize> = (0..batch.n_rows).filter(|row| keep[*row]).collect();
        let arrays = batch.columns.iter().map(|column| array(column, &kept));
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_, _>>().map_err(other)?;
        let field = |(column, array): (&Column, &ArrayRef)| {
            Field::new(&column.name, array.data_type().clone(), true)
        };
        let fields: Vec<Field> = batch.columns.iter().zip(&arrays).map(field).collect();
        let schema = Arc::new(Schema::new(fields));
        if let Some(file) = self.file.take() {
            self.writer = Some(writer(file, Arc::clone(&schema))?);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if kept.is_empty() {
            return Ok(());
        }
        let batch = RecordBatch::try_new(schema, arrays).map_err(other)?;
        writer.write(&batch).map_err(other)
    }

    /// Ends the file and makes it durable.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(self) -> io::Result<()> {
        let Some(writer) = self.writer else { return Ok(()) };
        writer.into_inner().map_err(other)?.sync_all()
    }
}

fn array(column: &Column, kept: &[usize]) -> Result<ArrayRef, ArrowError> {
    let width = column.width;
    let places: Vec<usize> = kept.iter().flat_map(|row| row * width..(row + 1) * width).collect();
    let scalars = scalars(column, &places);
    if width == 1 {
        return Ok(scalars);
    }
    let item = Arc::new(Field::new_list_field(scalars.data_type().clone(), true));
    let width =
        i32::try_from(width).map_err(|_| ArrowError::SchemaError("list too long".into()))?;
    Ok(Arc::new(FixedSizeListArray::try_new(item, width, scalars, None)?))
}

fn scalars(column: &Column, places: &[usize]) -> ArrayRef {
    let has = |at: usize| !column.is_missing(at);
    macro_rules! numbers {
        ($type:ty, $values:expr) => {{
            let values = places.iter().map(|at| has(*at).then(|| $values[*at]));
            Arc::new(values.collect::<PrimitiveArray<$type>>())
        }};
    }
    match &column.values {
        Values::Bool(v) => {
            let values = places.iter().map(|at| has(*at).then(|| v[*at]));
            Arc::new(values.collect::<BooleanArray>())
        }
        Values::Uint8(v) => numbers!(arrow::UInt8Type, v),
        Values::Uint16(v) => numbers!(arrow::UInt16Type, v),
        Values::Uint32(v) => numbers!(arrow::UInt32Type, v),
        Values::Uint64(v) => numbers!(arrow::UInt64Type, v),
        Values::Int8(v) => numbers!(arrow::Int8Type, v),
        Values::Int16(v) => numbers!(arrow::Int16Type, v),
        Values::Int32(v) => numbers!(arrow::Int32Type, v),
        Values::Int64(v) => match column.meaning {
            Meaning::Plain | Meaning::Text => numbers!(arrow::Int64Type, v),
            Meaning::Days => {
                let day = |at: &usize| has(*at).then(|| i32::try_from(v[*at]).unwrap_or(i32::MAX));
                Arc::new(places.iter().map(day).collect::<PrimitiveArray<arrow::Date32Type>>())
            }
            Meaning::Seconds => numbers!(arrow::TimestampSecondType, v),
            Meaning::Millis => numbers!(arrow::TimestampMillisecondType, v),
            Meaning::Micros => numbers!(arrow::TimestampMicrosecondType, v),
            Meaning::Nanos => numbers!(arrow::TimestampNanosecondType, v),
        },
        Values::Fp16(v) | Values::Bf16(v) => {
            let value = |at: &usize| has(*at).then(|| bartizan_core::half::fp16_to_f32(v[*at]));
            Arc::new(places.iter().map(value).collect::<Float32Array>())
        }
        Values::Fp32(v) => numbers!(arrow::Float32Type, v),
        Values::Fp64(v) => numbers!(arrow::Float64Type, v),
        Values::Bytes(v) => {
            let value = |at: &usize| has(*at).then(|| v[*at].as_slice());
            let is_text = places.iter().all(|at| str::from_utf8(&v[*at]).is_ok());
            if is_text && column.meaning == Meaning::Text {
                let text = |at: &usize| value(at).and_then(|bytes| str::from_utf8(bytes).ok());
                Arc::new(places.iter().map(text).collect::<StringArray>())
            } else {
                Arc::new(places.iter().map(value).collect::<BinaryArray>())
            }
        }
    }
}

/// Writes the scores of rows: `row`, `issue`, `score`, `why`. A row has an entry for each issue
/// under which it scores above 0; `why` is the claim of the gravest finding that lists it there.
///
/// # Errors
/// What the system says.
pub fn write_scores(report: &Report, path: &Path) -> io::Result<()> {
    let file = File::options().write(true).create_new(true).open(path)?;
    let fields = vec![
        Field::new("row", DataType::UInt64, false),
        Field::new("issue", DataType::Utf8, false),
        Field::new("score", DataType::Float32, false),
        Field::new("why", DataType::Utf8, true),
    ];
    let schema = Arc::new(Schema::new(fields));
    let mut writer = writer(file, Arc::clone(&schema))?;
    for (issue, scores) in &report.scores {
        let reasons = reasons(report, *issue);
        for start in (0..scores.len()).step_by(BATCH_ROWS) {
            let end = (start + BATCH_ROWS).min(scores.len());
            let rows: Vec<usize> = (start..end).filter(|row| 0.0 < scores[*row]).collect();
            let why = rows.iter().map(|row| {
                reasons[*row].checked_sub(1).map(|at| report.findings[at as usize].claim.as_str())
            });
            let arrays: Vec<ArrayRef> = vec![
                Arc::new(rows.iter().map(|row| *row as u64).collect::<UInt64Array>()),
                Arc::new(rows.iter().map(|_| Some(issue.as_str())).collect::<StringArray>()),
                Arc::new(rows.iter().map(|row| Some(scores[*row])).collect::<Float32Array>()),
                Arc::new(why.collect::<StringArray>()),
            ];
            let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(other)?;
            writer.write(&batch).map_err(other)?;
        }
    }
    writer.into_inner().map_err(other)?.sync_all()
}

/// For each row the place of the first finding of `issue` that lists it, from 1; 0 for none.
fn reasons(report: &Report, issue: Issue) -> Vec<u32> {
    let mut reasons = vec![0; report.n_rows];
    for (at, finding) in report.findings.iter().enumerate().filter(|(_, f)| f.issue == issue) {
        for row in &finding.rows {
            let reason = &mut reasons[*row as usize];
            if *reason == 0 {
                *reason = at as u32 + 1;
            }
        }
    }
    reasons
}
