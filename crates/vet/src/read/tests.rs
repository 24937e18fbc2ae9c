//! Tests of the reader on files, good and bad.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use ::parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use arrow_array as arrow;
use arrow_array::types::{Float32Type, Int8Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use bartizan_core::Values;

use super::*;

/// A file that goes when it is dropped.
pub(super) struct Temporary(PathBuf);

impl Temporary {
    pub(super) fn new(bytes: &[u8]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("bartizan-vet-{process}-{count}"));
        fs::write(&path, bytes).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn write_with(batch: &RecordBatch, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let mut bytes = Vec::new();
    let properties = Some(properties.build());
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), properties).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn write(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    write_with(&batch(columns), WriterProperties::builder())
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

pub(super) fn read_bytes(bytes: &[u8], limits: &ReadLimits) -> Result<Rows, ReadError> {
    read(Temporary::new(bytes).path(), limits)
}

fn read_column(array: ArrayRef) -> Result<Column, ReadError> {
    let rows = read_bytes(&write(vec![("x", array)]), &ReadLimits::default())?;
    Ok(rows.columns.into_iter().next().unwrap())
}

fn plain(values: Values) -> Column {
    let (meaning, missing) = (Meaning::Plain, Vec::new());
    Column { name: "x".into(), meaning, width: 1, values, missing, n_missing: 0 }
}

fn texts(texts: &[&str]) -> Values {
    Values::Bytes(texts.iter().map(|text| text.as_bytes().to_vec()).collect())
}

/// Each type that is read, with the lowest and highest of its values.
#[test]
fn every_supported_type_reads_back_what_was_written() {
    let half = |bits| {
        <arrow_array::types::Float16Type as arrow::ArrowPrimitiveType>::Native::from_bits(bits)
    };
    let cases: Vec<(ArrayRef, Values)> = vec![
        (Arc::new(arrow::BooleanArray::from(vec![true, false])), Values::Bool(vec![true, false])),
        (Arc::new(arrow::Int8Array::from(vec![-128, 127])), Values::Int8(vec![-128, 127])),
        (
            Arc::new(arrow::Int16Array::from(vec![i16::MIN, i16::MAX])),
            Values::Int16(vec![i16::MIN, i16::MAX]),
        ),
        (
            Arc::new(arrow::Int32Array::from(vec![i32::MIN, i32::MAX])),
            Values::Int32(vec![i32::MIN, i32::MAX]),
        ),
        (
            Arc::new(arrow::Int64Array::from(vec![i64::MIN, i64::MAX])),
            Values::Int64(vec![i64::MIN, i64::MAX]),
        ),
        (Arc::new(arrow::UInt8Array::from(vec![0, 255])), Values::Uint8(vec![0, 255])),
        (Arc::new(arrow::UInt16Array::from(vec![0, u16::MAX])), Values::Uint16(vec![0, u16::MAX])),
        (Arc::new(arrow::UInt32Array::from(vec![0, u32::MAX])), Values::Uint32(vec![0, u32::MAX])),
        (Arc::new(arrow::UInt64Array::from(vec![0, u64::MAX])), Values::Uint64(vec![0, u64::MAX])),
        (
            Arc::new(arrow::Float16Array::from(vec![half(0x3c00), half(0xfc00)])),
            Values::Fp16(vec![0x3c00, 0xfc00]),
        ),
        (
            Arc::new(arrow::Float32Array::from(vec![f32::MIN, f32::INFINITY])),
            Values::Fp32(vec![f32::MIN, f32::INFINITY]),
        ),
        (
            Arc::new(arrow::Float64Array::from(vec![f64::MIN_POSITIVE, -0.0])),
            Values::Fp64(vec![f64::MIN_POSITIVE, -0.0]),
        ),
        (
            Arc::new(arrow::BinaryArray::from(vec![&b"\xff\x00"[..], b""])),
            Values::Bytes(vec![vec![0xff, 0], vec![]]),
        ),
        (
            Arc::new(arrow::LargeBinaryArray::from(vec![&b"\xff"[..], b"a"])),
            Values::Bytes(vec![vec![0xff], vec![b'a']]),
        ),
        (
            Arc::new(
                arrow::FixedSizeBinaryArray::try_from_iter([[1, 2, 3], [4, 5, 6]].iter()).unwrap(),
            ),
            Values::Bytes(vec![vec![1, 2, 3], vec![4, 5, 6]]),
        ),
    ];
    for (array, values) in cases {
        let name = array.data_type().to_string();
        assert_eq!(read_column(array).unwrap(), plain(values), "{name}");
    }
}

/// Texts in each of their forms, short ones and ones that do not fit into a view.
#[test]
fn texts_are_bytes_whatever_their_encoding() {
    let long = "a long text that is stored outside of its view";
    let words = vec!["", "é", long, long];
    let cases: Vec<ArrayRef> = vec![
        Arc::new(arrow::StringArray::from(words.clone())),
        Arc::new(arrow::LargeStringArray::from(words.clone())),
        Arc::new(arrow::StringViewArray::from(words.clone())),
        Arc::new(words.iter().copied().collect::<arrow::DictionaryArray<Int8Type>>()),
        Arc::new(words.iter().copied().collect::<arrow::DictionaryArray<Int32Type>>()),
    ];
    for array in cases {
        let name = array.data_type().to_string();
        let column = read_column(array).unwrap();
        assert_eq!((column.meaning, column.values), (Meaning::Text, texts(&words)), "{name}");
    }
}

#[test]
fn dates_and_time_stamps_are_integers_that_say_their_unit() {
    let stamps = vec![Some(-1), None, Some(86_400)];
    let cases: Vec<(ArrayRef, Meaning)> = vec![
        (Arc::new(arrow::Date32Array::from(vec![Some(-1), None, Some(86_400)])), Meaning::Days),
        (Arc::new(arrow::TimestampMillisecondArray::from(stamps.clone())), Meaning::Millis),
        (Arc::new(arrow::TimestampMicrosecondArray::from(stamps.clone())), Meaning::Micros),
        (
            Arc::new(arrow::TimestampNanosecondArray::from(stamps.clone()).with_timezone("+01:00")),
            Meaning::Nanos,
        ),
        (Arc::new(arrow::TimestampSecondArray::from(stamps)), Meaning::Seconds),
    ];
    for (array, meaning) in cases {
        let name = array.data_type().to_string();
        let column = read_column(array).unwrap();
        assert_eq!(column.meaning, meaning, "{name}");
        assert_eq!(column.values, Values::Int64(vec![-1, 0, 86_400]), "{name}");
        assert_eq!(column.missing, [false, true, false], "{name}");
    }
}

/// A missing number is NaN or 0 and marked; a NaN of the file is a value.
#[test]
fn missing_values_are_marked_and_counted() {
    let floats = arrow::Float32Array::from(vec![Some(1.0), None, Some(f32::NAN)]);
    let column = read_column(Arc::new(floats)).unwrap();
    let Values::Fp32(values) = &column.values else { panic!("{column:?}") };
    assert!(values[0] == 1.0 && values[1].is_nan() && values[2].is_nan());
    assert_eq!((column.n_missing, column.missing), (1, vec![false, true, false]));

    let column = read_column(Arc::new(arrow::Int32Array::from(vec![None, Some(7)]))).unwrap();
    assert_eq!(column.values, Values::Int32(vec![0, 7]));
    assert!(column.is_missing(0) && !column.is_missing(1) && column.n_missing == 1);

    let column = read_column(Arc::new(arrow::StringArray::from(vec![Some("a"), None]))).unwrap();
    assert_eq!((column.values.clone(), column.n_missing), (texts(&["a", ""]), 1));

    let column = read_column(Arc::new(arrow::BooleanArray::from(vec![Some(true), None]))).unwrap();
    assert_eq!((column.values.clone(), column.n_missing), (Values::Bool(vec![true, false]), 1));

    let column = read_column(Arc::new(arrow::NullArray::new(2))).unwrap();
    let Values::Fp64(values) = &column.values else { panic!("{column:?}") };
    assert!(values.iter().all(|x| x.is_nan()) && column.n_missing == 2);
}

#[test]
fn fixed_size_lists_of_numbers_are_wide_columns() {
    let lists = arrow::FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
        vec![
            Some(vec![Some(1.0), Some(2.0), Some(3.0)]),
            None,
            Some(vec![Some(4.0), None, Some(6.0)]),
        ],
        3,
    );
    let column = read_column(Arc::new(lists)).unwrap();
    assert_eq!((column.width, column.n_missing), (3, 4));
    let Values::Fp32(values) = &column.values else { panic!("{column:?}") };
    assert_eq!(values[..3], [1.0, 2.0, 3.0]);
    assert!(values[3..6].iter().all(|x| x.is_nan()) && values[7].is_nan());
    assert_eq!((values[6], values[8]), (4.0, 6.0));
}

/// Every type that is not read is refused by its column and type, with what to do.
#[test]
fn other_types_are_refused_by_name() {
    let decimal = arrow::Decimal128Array::from(vec![1]).with_precision_and_scale(5, 2).unwrap();
    let list = arrow::ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]);
    let fields = Schema::new(vec![Field::new("a", DataType::Int8, true)]).fields().clone();
    let inner: ArrayRef = Arc::new(arrow::Int8Array::from(vec![1]));
    let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
    let words: ArrayRef = Arc::new(arrow::StringArray::from(vec!["a", "b"]));
    let cases: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(decimal), "Decimal128"),
        (Arc::new(list), "List"),
        (Arc::new(arrow::StructArray::new(fields, vec![inner], None)), "Struct"),
        (Arc::new(arrow::FixedSizeListArray::new(item, 2, words, None)), "FixedSizeList"),
        (Arc::new(arrow::Time32MillisecondArray::from(vec![1])), "Time32"),
        (Arc::new(arrow::DurationSecondArray::from(vec![1])), "Duration"),
    ];
    for (array, named) in cases {
        let error = read_column(array).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ReadError::Column { .. }), "{text}");
        assert!(text.contains("column `x`") && text.contains(named), "{text}");
    }
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let array: ArrayRef = Arc::new(arrow::Int8Array::from(vec![1]));
    let field = Field::new("twice", DataType::Int8, true);
    let schema = Arc::new(Schema::new(vec![field.clone(), field]));
    let batch = RecordBatch::try_new(schema, vec![Arc::clone(&array), array]).unwrap();
    let bytes = write_with(&batch, WriterProperties::builder());
    let text = read_bytes(&bytes, &ReadLimits::default()).unwrap_err().to_string();
    assert!(text.contains("`twice`: two columns have this name"), "{text}");
}

/// What is not Parquet is refused by what it looks like, whatever its name.
#[test]
fn other_files_are_refused_by_what_they_are() {
    for (head, found) in [
        (&b""[..], "empty"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"a,b\n", "without rows"),
        (b"[{\"a\":1}]\n", "one JSON array"),
        (b"PARE....", "encrypted"),
        (b"\0\x01\x02\x03", "no known format"),
    ] {
        let error = read_bytes(head, &ReadLimits::default()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ReadError::Unsupported { .. }), "{text}");
        assert!(text.contains(found) && text.contains("Parquet"), "{text}");
    }
    let folder = read(&std::env::temp_dir(), &ReadLimits::default()).unwrap_err().to_string();
    assert!(folder.contains("is a folder"), "{folder}");
    let socket = Temporary::new(b"");
    fs::remove_file(socket.path()).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(socket.path()).unwrap();
    let pipe = read(socket.path(), &ReadLimits::default()).unwrap_err().to_string();
    assert!(pipe.contains("is not a regular file"), "{pipe}");
    let absent = read(Path::new("/nowhere/rows.parquet"), &ReadLimits::default()).unwrap_err();
    assert!(matches!(absent, ReadError::Io { .. }) && absent.to_string().contains("/nowhere"));
}

fn small() -> Vec<u8> {
    let list = arrow::FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
        (0..20).map(|idx| Some(vec![Some(idx as f32); 4])),
        4,
    );
    let words = (0..20).map(|idx| ["red", "green", "a colour with a long name"][idx % 3]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "n",
            Arc::new(
                (0..20).map(|idx| (idx % 7 != 0).then_some(idx)).collect::<arrow::Int32Array>(),
            ),
        ),
        ("w", Arc::new(words.collect::<arrow::DictionaryArray<Int8Type>>())),
        ("v", Arc::new(list)),
    ];
    write(columns)
}

/// Each limit from both sides: at what the file needs it is read, one below it is refused by the
/// limit's name.
#[test]
fn every_limit_holds_from_both_sides() {
    let bytes = small();
    let file = Temporary::new(&bytes);
    let rows = read(file.path(), &ReadLimits::default()).unwrap();
    let default = ReadLimits::default;
    let len = bytes.len() as u64;
    for (enough, less, what) in [
        (
            ReadLimits { file_bytes_max: len, ..default() },
            ReadLimits { file_bytes_max: len - 1, ..default() },
            "bytes, the limit is",
        ),
        (
            ReadLimits { rows_max: 20, ..default() },
            ReadLimits { rows_max: 19, ..default() },
            "20 rows, the limit is 19",
        ),
        (
            ReadLimits { columns_max: 3, ..default() },
            ReadLimits { columns_max: 2, ..default() },
            "3 columns, the limit is 2",
        ),
        (
            ReadLimits { list_len_max: 4, ..default() },
            ReadLimits { list_len_max: 3, ..default() },
            "column `v`: its lists do not have 1 to 3 values",
        ),
    ] {
        assert_eq!(read(file.path(), &enough).unwrap(), rows);
        let text = read(file.path(), &less).unwrap_err().to_string();
        assert!(text.contains(what) && text.contains("bartizan-vet-"), "{text}");
    }
    // What has no round number: the smallest limit that suffices, and the one below it.
    type Set = fn(&mut ReadLimits, u64);
    let sets: [(&str, Set); 2] = [
        ("page", |limits, bytes| limits.page_bytes_max = bytes),
        ("decoded", |limits, bytes| limits.decoded_bytes_max = bytes),
    ];
    for (name, set) in sets {
        let reads = |bytes: u64| {
            let mut limits = default();
            set(&mut limits, bytes);
            read(file.path(), &limits)
        };
        let enough = (1..10_000).find(|bytes| reads(*bytes).is_ok()).unwrap();
        assert!(20 < enough, "{name}: {enough} bytes were enough");
        let error = reads(enough - 1).unwrap_err();
        assert!(matches!(error, ReadError::TooLarge { .. }), "{name}: {error}");
    }
}

/// Batches come in order, are bounded, and together are what [`read`] gives.
#[test]
fn batches_together_are_the_file() {
    let numbers: arrow::Int64Array = (0..20_000).map(|x| (x % 3 != 0).then_some(x)).collect();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(7_000));
    let bytes = write_with(&batch(vec![("x", Arc::new(numbers))]), properties);
    let file = Temporary::new(&bytes);
    let whole = read(file.path(), &ReadLimits::default()).unwrap();
    assert_eq!(whole.n_rows, 20_000);
    let (mut values, mut missing, mut n_batches) = (Vec::new(), Vec::new(), 0);
    for rows in open(file.path(), &ReadLimits::default()).unwrap() {
        let Rows { columns, n_rows } = rows.unwrap();
        let Values::Int64(part) = &columns[0].values else { panic!("another type") };
        assert!(part.len() == n_rows && n_rows <= 8_192);
        values.extend_from_slice(part);
        missing.extend_from_slice(&columns[0].missing);
        n_batches += 1;
    }
    assert!(1 < n_batches);
    assert_eq!(Values::Int64(values), whole.columns[0].values);
    assert_eq!(missing, whole.columns[0].missing);
}

#[test]
fn every_codec_that_is_built_in_is_read() {
    let words = arrow::StringArray::from(vec!["the same text"; 1_000]);
    let batch = batch(vec![("x", Arc::new(words) as ArrayRef)]);
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        for version in [
            ::parquet::file::properties::WriterVersion::PARQUET_1_0,
            ::parquet::file::properties::WriterVersion::PARQUET_2_0,
        ] {
            let properties =
                WriterProperties::builder().set_compression(codec).set_writer_version(version);
            let rows = read_bytes(&write_with(&batch, properties), &ReadLimits::default()).unwrap();
            assert_eq!(rows.columns[0].values, texts(&["the same text"; 1_000]), "{codec}");
        }
    }
}

/// A codec that is not built in is named, with what to do.
#[test]
fn another_codec_is_refused_by_name() {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let numbers = arrow::Int32Array::from(vec![1, 2, 3]);
    let bytes = write_with(&batch(vec![("x", Arc::new(numbers))]), properties);
    // Field 4 of a column chunk, snappy (1), made LZ4_RAW (7) wherever it could be.
    let texts = (0..bytes.len() - 1).filter(|at| bytes[*at..*at + 2] == [0x15, 2]).map(|at| {
        let mut changed = bytes.clone();
        changed[at + 1] = 14;
        read_bytes(&changed, &ReadLimits::default()).err().map(|error| error.to_string())
    });
    let named = texts.flatten().find(|text| text.contains("LZ4_RAW")).unwrap();
    assert!(named.contains("column `x`") && named.contains("write it with zstd"), "{named}");
}

/// V1 and V2: texts that repeat each other do not multiply in memory, neither by a dictionary nor
/// by a delta encoding: what would be 200 MB is refused, what is small is read.
#[test]
fn repeated_texts_are_bounded_before_they_are_copied() {
    let long = "x".repeat(100_000);
    for encoding in [Encoding::DELTA_BYTE_ARRAY, Encoding::PLAIN] {
        let dictionary = encoding == Encoding::PLAIN;
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(dictionary)
            .set_encoding(encoding)
            .set_statistics_enabled(::parquet::file::properties::EnabledStatistics::None);
        let many = arrow::StringArray::from_iter_values((0..2_000).map(|_| long.as_str()));
        let bytes = write_with(&batch(vec![("x", Arc::new(many))]), properties.clone());
        assert!(bytes.len() < 2_000_000, "{encoding}: the file has {} bytes", bytes.len());
        let limits = ReadLimits { decoded_bytes_max: 50_000_000, ..ReadLimits::default() };
        let error = read_bytes(&bytes, &limits).unwrap_err();
        assert!(matches!(error, ReadError::TooLarge { .. }), "{encoding}: {error}");
        let few = arrow::StringArray::from_iter_values((0..20).map(|_| long.as_str()));
        let bytes = write_with(&batch(vec![("x", Arc::new(few))]), properties);
        let rows = read_bytes(&bytes, &limits).unwrap();
        assert_eq!(rows.columns[0].values, texts(&[long.as_str(); 20]), "{encoding}");
    }
}

/// V1: a file that is cut anywhere is refused with its name.
#[test]
fn every_truncation_is_refused() {
    let bytes = small();
    for len in 0..bytes.len() {
        let error = read_bytes(&bytes[..len], &ReadLimits::default()).unwrap_err();
        assert!(error.to_string().contains("bartizan-vet-"), "cut at {len}: {error}");
    }
}

/// V1: whatever byte is changed, the process lives, and the answer is rows or an error.
#[test]
fn no_changed_byte_ends_the_process() {
    let (bytes, limits) = (small(), ReadLimits::default());
    let good = read_bytes(&bytes, &limits).unwrap();
    let mut n_refused = 0;
    for at in 0..bytes.len() {
        for other in [0, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x80, bytes[at].wrapping_add(2)] {
            let mut changed = bytes.clone();
            changed[at] = other;
            match read_bytes(&changed, &limits) {
                Ok(rows) => assert!(rows.columns.iter().all(|column| {
                    column.values.len() == rows.n_rows * column.width
                        && [0, column.values.len()].contains(&column.missing.len())
                })),
                Err(error) => {
                    assert!(error.to_string().contains("bartizan-vet-"), "byte {at}: {error}");
                    n_refused += 1;
                }
            }
        }
    }
    assert!(bytes.len() < n_refused, "only {n_refused} of {} changes seen", 5 * bytes.len());
    assert_eq!(good.n_rows, 20);
}

/// V3: texts that are no UTF-8 are refused, and not shown.
#[test]
fn broken_texts_are_refused_without_being_shown() {
    let bytes = write(vec![("x", Arc::new(arrow::StringArray::from(vec!["secret-value"])))]);
    let at = bytes.windows(6).position(|part| part == b"secret").unwrap();
    for file in [&bytes, &small()] {
        assert!(read_bytes(file, &ReadLimits::default()).is_ok());
    }
    let mut broken = bytes.clone();
    broken[at] = 0xff;
    let error = read_bytes(&broken, &ReadLimits::default()).unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { .. }), "{error}");
    assert!(!error.to_string().contains("value"), "{error}");
}

#[test]
fn a_file_without_rows_has_columns_all_the_same() {
    let empty = arrow::Float32Array::from(Vec::<f32>::new());
    let rows = read_bytes(&write(vec![("x", Arc::new(empty))]), &ReadLimits::default()).unwrap();
    assert_eq!((rows.n_rows, rows.column("x").unwrap().values.len()), (0, 0));
    assert!(rows.column("y").is_none());
}

/// A wide file is read in smaller batches, within the bound on bytes.
#[test]
fn ten_thousand_columns_are_read() {
    let names: Vec<String> = (0..10_000).map(|idx| format!("c{idx}")).collect();
    let array: ArrayRef = Arc::new(arrow::Int8Array::from(vec![1, 2, 3]));
    let columns = names.iter().map(|name| (name.as_str(), Arc::clone(&array))).collect();
    let properties = WriterProperties::builder()
        .set_statistics_enabled(::parquet::file::properties::EnabledStatistics::None);
    let bytes = write_with(&batch(columns), properties);
    let rows = read_bytes(&bytes, &ReadLimits::default()).unwrap();
    assert_eq!((rows.columns.len(), rows.n_rows), (10_000, 3));
}

/// The time unit is kept from the file's own schema where Parquet itself has none for it.
#[test]
fn seconds_stay_seconds() {
    let stamps = arrow::TimestampSecondArray::from(vec![1]);
    assert_eq!(stamps.data_type(), &DataType::Timestamp(TimeUnit::Second, None));
    assert_eq!(read_column(Arc::new(stamps)).unwrap().meaning, Meaning::Seconds);
}
