//! The four examples: the same answers as onnxruntime, and what the port promises.

pub(super) mod data;

use bartizan_core::Values;
use data::{NAMES, read};

use super::*;
use crate::{conformance, sniff};

/// Largest difference from onnxruntime that is forgiven.
const TOLERANCE: f32 = 1e-6;

#[test]
fn answers_are_onnxruntimes_within_one_millionth() {
    for name in NAMES {
        let example = read(name);
        let outputs = example.model.predict(&[example.input]).unwrap();
        assert_eq!(outputs[0].values(), &Values::Int64(example.labels), "{name}");
        let Values::Fp32(found) = outputs[1].values() else { panic!("{name}: {outputs:?}") };
        assert_eq!(found.len(), example.probabilities.len(), "{name}");
        let differences = found.iter().zip(&example.probabilities).map(|(a, b)| (a - b).abs());
        let largest = differences.fold(0.0_f32, |a, b| if b <= a { a } else { b });
        assert!(largest <= TOLERANCE, "{name}: largest difference {largest:e}");
    }
}

/// E2 and E3.
#[test]
fn native_keeps_the_promises_of_the_port() {
    for name in NAMES {
        let example = read(name);
        assert!(example.model.is_row_invariant(), "{name}");
        let result = conformance::check(&example.model, &[example.input]);
        assert_eq!(result, Ok(()), "{name}");
    }
}

/// E2: another machine, compiler or build must find these very bits.
#[test]
fn answers_have_the_digests_written_down() {
    let told = [
        ("cancer-lightgbm", "48ac7aac254c7cbbe2fc00a41a7a1dc9951a561cab3f1a83aea0f773d794338a"),
        ("cancer-logistic", "25a0f8471419fea598fe34f9c9e122f370986425d9d4fab684454b392590f516"),
        ("digits-forest", "50016083dda2242f4f4a3428ef2582b997ffb577ae6ac2f12010c3a6d1ed1927"),
        ("digits-mlp", "8523be2db209f3ae0f7973888e38e79fb8593b602bfa5cc5c8bf90a007a80a87"),
    ];
    for (name, digest) in told {
        let example = read(name);
        let mut bytes = Vec::new();
        for output in example.model.predict(&[example.input]).unwrap() {
            output.values().canonical(0..output.values().len(), &mut bytes);
        }
        let found = bartizan_core::Digest::of(&bytes).hex();
        assert_eq!(found, digest, "{name}: if this is meant, raise `native::VERSION`");
    }
}

#[test]
fn signatures_say_what_the_models_take() {
    for name in NAMES {
        let signature = read(name).model.signature().clone();
        let names: Vec<_> = signature.outputs.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(names, ["label", "probabilities"], "{name}");
        let n_classes = if name.starts_with("digits") { 10 } else { 2 };
        let classes: Vec<String> = (0..n_classes).map(|class| class.to_string()).collect();
        assert_eq!(signature.classes, classes, "{name}");
        let is_trees = ["cancer-lightgbm", "digits-forest"].contains(&name);
        assert_eq!(signature.inputs[0].copes_with_missing, is_trees, "{name}");
    }
}

#[test]
fn no_rows_are_answered_with_no_rows() {
    for name in NAMES {
        let example = read(name);
        let width = example.input.row_len() as u64;
        let none = Tensor::new("features", vec![0, width], Values::Fp32(Vec::new())).unwrap();
        let outputs = example.model.predict(&[none]).unwrap();
        assert!(outputs.iter().all(|output| output.values().is_empty()), "{name}");
    }
}

/// P2.
#[test]
fn a_prediction_beyond_its_memory_is_refused() {
    let example = read("digits-mlp");
    let run_bytes_max = 300_000;
    let limits = LoadLimits { run_bytes_max, ..LoadLimits::default() };
    let model = load(&example.bytes, &limits).unwrap();
    let error = model.predict(&[example.input]).unwrap_err();
    assert!(matches!(error, PredictError::Memory { limit_bytes } if limit_bytes == run_bytes_max));
    let one = Tensor::new("features", vec![1, 64], Values::Fp32(vec![1.0; 64])).unwrap();
    assert!(model.predict(&[one]).is_ok());
}

#[test]
fn the_files_are_known_for_what_they_are() {
    for name in NAMES {
        let bytes = read(name).bytes;
        let head = &bytes[..bytes.len().min(sniff::HEAD_BYTES)];
        assert_eq!(sniff::sniff(head, "x"), sniff::FileKind::Onnx, "{name}");
    }
}
