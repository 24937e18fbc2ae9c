//! Digests of all answers, written down: another machine, compiler or build must find these.

use bartizan_core::{Digest, Predictor, Tensor};
use bartizan_engine::LoadLimits;
use bartizan_engine::native::load;

use super::files::{committed, kinds};

/// Kind and digest of its outputs' canonical bytes, by kind.
const GOLDEN: &str = include_str!("golden.txt");

/// The digest of outputs: names, shapes and canonical bytes.
fn digest(outputs: &[Tensor]) -> String {
    let mut bytes = Vec::new();
    for output in outputs {
        bytes.extend_from_slice(output.name().as_bytes());
        output.shape().iter().for_each(|dim| bytes.extend_from_slice(&dim.to_le_bytes()));
        output.values().canonical(0..output.values().len(), &mut bytes);
    }
    Digest::of(&bytes).hex()
}

/// E2. What this finds is to be written into `golden.txt` only with a new `native::VERSION`.
#[test]
fn answers_of_every_kind_have_the_digests_written_down() {
    let mut found = String::new();
    for kind in kinds(&committed()) {
        let Ok(model) = load(&kind.bytes, &LoadLimits::default()) else { continue };
        let outputs = model.predict(&kind.inputs).unwrap();
        found += &format!("{} {}\n", kind.name, digest(&outputs));
    }
    for (found, told) in found.lines().zip(GOLDEN.lines()) {
        assert_eq!(found, told);
    }
    assert_eq!(found, GOLDEN, "all of them: {found}");
}
