//! The four examples: the same answers as onnxruntime, and what the port promises.

mod data;

use bartizan_core::{Predictor, Values};
use data::{NAMES, read};

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
        println!("{name}: largest difference {largest:e}");
    }
}
