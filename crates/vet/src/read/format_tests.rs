//! The formats beside Parquet, sound and damaged.

use std::sync::Arc;

use arrow_array as arrow;
use arrow_schema::{DataType, Field, Schema};
use bartizan_core::Values;

use super::tests::read_bytes;
use super::{Column, ReadLimits, Rows, files};

fn rows(bytes: &[u8]) -> Rows {
    read_bytes(bytes, &ReadLimits::default()).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    read_bytes(bytes, &ReadLimits::default()).unwrap_err().to_string()
}

fn texts(texts: &[&str]) -> Values {
    Values::Bytes(texts.iter().map(|text| text.as_bytes().to_vec()).collect())
}

#[test]
fn types_of_csv_are_told_by_all_values() {
    let rows = rows(
        b"\xef\xbb\xbfi,f,b,t,\"q,\"\"x\"\"\",id\n1,1.5,true,a,\"1\",007\r\n\n,NA,False,\"b\nc\",\"\",008\n-3,2,true,1,x,9\n",
    );
    let column = |name: &str| rows.column(name).unwrap();
    assert_eq!(rows.n_rows, 3);
    assert_eq!(column("i").values, Values::Int64(vec![1, 0, -3]));
    assert_eq!((column("i").missing.clone(), column("i").n_missing), (vec![false, true, false], 1));
    assert!(
        matches!(&column("f").values, Values::Fp64(v) if v[0] == 1.5 && v[1].is_nan() && v[2] == 2.0)
    );
    assert_eq!(column("b").values, Values::Bool(vec![true, false, true]));
    assert_eq!(column("t").values, texts(&["a", "b\nc", "1"]));
    assert_eq!(column("q,\"x\"").values, texts(&["1", "", "x"]));
    assert_eq!(column("id").values, texts(&["007", "008", "9"]));
    let tabs = super::format_tests::rows(b"a\tb\n1\t2,5\n");
    assert_eq!(tabs.columns.len(), 2);
}

#[test]
fn broken_csv_is_refused_with_its_place() {
    for (bytes, part) in [
        (&b"a,b\n1,2\n3\n"[..], "record 3: 1 fields, the header has 2"),
        (b"a,b\n1,\"2\n", "record 2: a quotation mark is not closed"),
        (b"a,a\n1,2\n", "two columns have this name"),
    ] {
        let text = refusal(bytes);
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn json_lines_may_lack_names_and_hold_lists() {
    let rows =
        rows(b"{\"a\":1,\"v\":[1,2]}\n\n{\"a\":2.5,\"s\":\"x\",\"v\":[3,4.5]}\n{\"v\":null}\n");
    assert_eq!(rows.n_rows, 3);
    assert_eq!(rows.column("a").unwrap().n_missing, 1);
    assert_eq!(rows.column("s").unwrap().values, texts(&["", "x", ""]));
    let vector = rows.column("v").unwrap();
    assert_eq!((vector.width, vector.values.len(), vector.n_missing), (2, 6, 2));
    for (bytes, part) in [
        (&b"{\"a\":{\"b\":1}}\n"[..], "nested"),
        (b"{\"a\":1}\n{\"a\":\"x\"}\n", "line 2: its value is of another kind"),
        (b"{\"v\":[1]}\n{\"v\":[1,2]}\n", "another length"),
        (b"{\"a\":1}\n[1]\n", "line 2: not an object"),
        (b"{\"a\":\n", "line 1: no JSON"),
    ] {
        let text = refusal(bytes);
        assert!(text.contains(part), "{text}");
    }
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn arrays_become_columns_or_vectors() {
    let small = rows(&npy("|u1", "2, 3", &[1, 2, 3, 4, 5, 6]));
    assert_eq!(small.columns.len(), 3);
    assert_eq!(small.column("x001").unwrap().values, Values::Uint8(vec![2, 5]));
    let data: Vec<u8> = (0..400_u16).flat_map(|x| f32::from(x).to_le_bytes()).collect();
    let wide = rows(&npy("<f4", "2, 200", &data));
    assert_eq!((wide.columns.len(), wide.columns[0].width), (1, 200));
    let label = rows(&npy("<i8", "2,", &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(label.column("x").unwrap().values, Values::Int64(vec![1, 2]));
    for (bytes, part) in [
        (npy("|O", "1,", b"\x80\x04."), "a pickle and are not executed"),
        (npy("<f8", "9", &[0; 8]), "cut short"),
        (npy("<f8", "", &[0; 8]), "single number"),
        (npy("<f8", "99999999999, 99999999999", &[0; 8]), "too many"),
        (npy("<c16", "1,", &[0; 16]), "its type is not read"),
    ] {
        let text = refusal(&bytes);
        assert!(text.contains(part), "{text}");
    }
}

fn ipc() -> Vec<u8> {
    let keys = arrow::DictionaryArray::<arrow::types::Int8Type>::from_iter(["a", "b", "a"]);
    let field = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    let schema = Schema::new(vec![
        field("n", DataType::Int32),
        field("t", DataType::Utf8),
        field("d", arrow::Array::data_type(&keys).clone()),
    ]);
    let columns: Vec<arrow::ArrayRef> = vec![
        Arc::new(arrow::Int32Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(arrow::StringArray::from(vec![Some("x"), Some("y"), None])),
        Arc::new(keys),
    ];
    let batch = arrow::RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = arrow_ipc::writer::FileWriter::try_new(&mut bytes, &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    bytes
}

#[test]
fn arrow_files_are_read_with_their_dictionaries() {
    let rows = rows(&ipc());
    assert_eq!(rows.column("n").unwrap().values, Values::Int32(vec![1, 0, 3]));
    assert_eq!(rows.column("n").unwrap().n_missing, 1);
    assert_eq!(rows.column("t").unwrap().values, texts(&["x", "y", ""]));
    assert_eq!(rows.column("d").unwrap().values, texts(&["a", "b", "a"]));
}

/// V1 for the formats that are ours: cut anywhere, or with any byte changed, the process lives.
#[test]
fn damaged_files_of_any_format_are_rows_or_errors() {
    let csv = b"a,b\n1,\"x\"\"y\"\n2,z\n".to_vec();
    let json = b"{\"a\":1,\"v\":[1,2]}\n{\"a\":2,\"v\":[3,4]}\n".to_vec();
    for good in [csv, json, npy("<f4", "2, 2", &[0; 16]), ipc()] {
        for at in 0..good.len() {
            let _cut = read_bytes(&good[..at], &ReadLimits::default());
            for other in [0, 0xff, good[at] ^ 1, good[at] ^ 0x80] {
                let mut bytes = good.clone();
                bytes[at] = other;
                if let Ok(rows) = read_bytes(&bytes, &ReadLimits::default()) {
                    let fits = |c: &Column| c.values.len() == rows.n_rows * c.width;
                    assert!(rows.columns.iter().all(fits), "byte {at}");
                }
            }
        }
    }
}

#[test]
fn a_folder_is_its_visible_files_by_name() {
    let folder = std::env::temp_dir().join(format!("bartizan-vet-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    assert!(files(&folder).is_err());
    for name in ["b.csv", "a.csv", ".hidden", "_SUCCESS"] {
        std::fs::write(folder.join(name), "x\n1\n").unwrap();
    }
    let found = files(&folder).unwrap();
    assert_eq!(found, [folder.join("a.csv"), folder.join("b.csv")]);
    std::fs::remove_dir_all(&folder).unwrap();
}
