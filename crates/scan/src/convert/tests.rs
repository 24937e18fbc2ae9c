//! Files of the genuine libraries become safetensors with the same elements; what is hostile or
//! torn becomes nothing.

use super::*;
use crate::testing::Still;
use crate::{Allow, Alone, Budget, Hash};

fn convert(bytes: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let allow = Allow::new();
    let options = Options {
        allow: &allow,
        budget: Budget::default(),
        clock: &Still,
        siblings: &Alone,
        hash: Hash::Whole,
    };
    let mut out = Vec::new();
    tensors("", bytes, &options)?.write(&mut out).unwrap();
    Ok(out)
}

/// The header of a safetensors file, and its data.
fn parts(file: &[u8]) -> (String, &[u8]) {
    let len = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    (String::from_utf8(file[8..8 + len].to_vec()).unwrap(), &file[8 + len..])
}

fn floats(data: &[u8]) -> Vec<f32> {
    data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// CV2: both forms of torch's file give the same tensors, and what was written is itself cleared.
#[test]
fn both_forms_of_torchs_file_give_the_same_tensors() {
    let zip = convert(include_bytes!("../../corpus/benign/torch/state_dict.pt")).unwrap();
    let legacy =
        convert(include_bytes!("../../corpus/benign/torch/state_dict.legacy.pth")).unwrap();
    assert_eq!(zip, legacy);
    let (header, data) = parts(&zip);
    assert!(header.contains(r#""weight":{"dtype":"F32","shape":[2,3]"#), "{header}");
    assert_eq!(floats(data), [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    let report = crate::testing::scan(&zip);
    assert_eq!(report.verdict, Verdict::Cleared, "{:?}", report.sightings);
    assert_eq!(report.formats, ["safetensors"]);
}

/// CV2: row-major and column-major, raw bytes between opcodes and state: the same 15 numbers.
#[test]
fn every_way_to_write_an_array_gives_its_numbers() {
    let plain = convert(include_bytes!("../../corpus/benign/npy/floats.npy")).unwrap();
    let (header, data) = parts(&plain);
    assert!(header.contains(r#""tensor":{"dtype":"F64","shape":[5,3]"#), "{header}");
    for other in [
        &include_bytes!("../../corpus/benign/numpy/floats.p4.pkl")[..],
        include_bytes!("../../corpus/benign/numpy/floats.joblib"),
    ] {
        let other = convert(other).unwrap();
        assert_eq!(parts(&other), (header.clone(), data));
    }
    let fortran = convert(include_bytes!("../../corpus/benign/npy/fortran.npy")).unwrap();
    for other in [
        &include_bytes!("../../corpus/benign/numpy/fortran.p4.pkl")[..],
        include_bytes!("../../corpus/benign/numpy/fortran.joblib"),
    ] {
        assert_eq!(convert(other).unwrap(), fortran);
    }
}

/// CV1.
#[test]
fn what_is_not_cleared_is_not_converted() {
    let error = convert(b"cos\nsystem\n(S'id'\ntR.").unwrap_err();
    assert!(matches!(error, ConvertError::NotCleared(_)), "{error}");
    assert!(matches!(convert(b"\x80\x04N.").map(|out| parts(&out).1.len()), Ok(0)));
    let gguf = include_bytes!("../../corpus/benign/gguf/tiny.gguf");
    assert!(matches!(convert(gguf), Err(ConvertError::Unsupported(_))));
}

/// CV3: single bytes changed all over: never a panic, and what still converts has whole tensors.
#[test]
fn a_changed_file_gives_an_error_or_whole_tensors() {
    for file in [
        &include_bytes!("../../corpus/benign/torch/state_dict.pt")[..],
        include_bytes!("../../corpus/benign/torch/state_dict.legacy.pth"),
        include_bytes!("../../corpus/benign/numpy/fortran.joblib"),
        include_bytes!("../../corpus/benign/sklearn/pipe_scaler_logreg.joblib"),
        include_bytes!("../../corpus/benign/npy/packed.npz"),
    ] {
        let step = file.len() / 150 + 1;
        for at in (0..file.len()).step_by(step) {
            for mask in [0x01, 0x80, 0xff] {
                let mut changed = file.to_vec();
                changed[at] ^= mask;
                if let Ok(out) = super::file::read(&changed) {
                    for tensor in &out.tensors {
                        let mut data = Vec::new();
                        tensor.write(&mut data).unwrap();
                        assert_eq!(data.len() as u64, tensor.n_bytes());
                    }
                }
            }
        }
    }
}
