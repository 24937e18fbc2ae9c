//! Tests of checkpoints and of models of SentencePiece.

#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests may panic")]

use crate::testing::Still;
use crate::testing::build::{bytes, number};
use crate::{Allow, Budget, Hash, Options, Siblings, Verdict};

const INDEX: &[u8] =
    include_bytes!("../../corpus/benign/tensorflow/exported/variables/variables.index");
const VALUES: &[u8] = include_bytes!(
    "../../corpus/benign/tensorflow/exported/variables/variables.data-00000-of-00001"
);

struct Folder(&'static str);

impl Siblings for Folder {
    fn size(&self, relative: &str) -> Option<u64> {
        (relative == self.0).then_some(1)
    }
}

/// The values of a checkpoint are cleared beside their index, and nowhere else.
#[test]
fn values_are_cleared_beside_their_index_alone() {
    let allow = Allow::new();
    for (name, beside, expected) in [
        ("variables.data-00000-of-00001", "variables.index", Verdict::Cleared),
        ("variables.data-00000-of-00001", "other.index", Verdict::NotCleared),
        ("variables.data-0-of-1", "variables.index", Verdict::NotCleared),
        ("variables.bin", "variables.index", Verdict::NotCleared),
    ] {
        let siblings = Folder(beside);
        let options = Options {
            allow: &allow,
            budget: Budget::default(),
            clock: &Still,
            siblings: &siblings,
            hash: Hash::Skip,
        };
        let report = crate::scan(name, &VALUES.to_vec(), &options);
        assert_eq!(report.verdict, expected, "{name} beside {beside}: {:?}", report.sightings);
    }
}

/// An index that TensorFlow wrote is cleared; without its last byte it is none.
#[test]
fn an_index_is_read_whole() {
    let report = crate::testing::scan(INDEX);
    assert_eq!(report.verdict, Verdict::Cleared, "{:?}", report.sightings);
    crate::testing::cuts_are_never_cleared(INDEX);
    crate::testing::mutations_never_panic(INDEX);
}

/// A model of SentencePiece is cleared; with a field that it does not have, it is not.
#[test]
fn pieces_have_a_text_a_score_and_a_kind() {
    let score = [&[0x15][..], &1.0_f32.to_le_bytes()].concat();
    let piece = |text: &str| bytes(1, [bytes(1, text), score.clone(), number(3, 1)].concat());
    let model = [piece("<unk>"), piece("a"), bytes(2, number(3, 2)), bytes(3, "nfkc")].concat();
    let report = crate::testing::scan(&model);
    assert_eq!((report.verdict, report.formats[0]), (Verdict::Cleared, "sentencepiece"));
    let odd = [model, bytes(1, [bytes(1, "b"), bytes(9, "x")].concat())].concat();
    assert_eq!(crate::testing::scan(&odd).verdict, Verdict::NotCleared);
}
