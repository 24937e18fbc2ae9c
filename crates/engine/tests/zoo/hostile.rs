//! Spoilt models of every kind: an error or an answer, never a panic (E1, E3).

use std::sync::LazyLock;

use bartizan_core::Predictor;
use bartizan_engine::LoadLimits;
use bartizan_engine::native::load;
use proptest::prelude::{any, proptest};

use super::files::{Kind, committed, kinds};

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| kinds(&committed()));

/// Loads within small bounds, and where that works predicts.
fn try_all(kind: &Kind, bytes: &[u8]) {
    let limits = LoadLimits { run_bytes_max: 1 << 22, ..LoadLimits::default() };
    if let Ok(model) = load(bytes, &limits) {
        let _ = model.predict(&kind.inputs);
    }
}

proptest! {
    /// E1 and E3: a few bytes anywhere are others.
    #[test]
    fn no_spoilt_byte_of_any_kind_makes_it_panic(
        at_kind in any::<usize>(), spoils in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6)
    ) {
        let kind = &KINDS[at_kind % KINDS.len()];
        let mut bytes = kind.bytes.clone();
        for (at, byte) in spoils {
            let len = bytes.len();
            bytes[at % len] = byte;
        }
        try_all(kind, &bytes);
    }

    /// E1: a piece is gone, or there twice.
    #[test]
    fn no_missing_or_doubled_piece_of_any_kind_makes_it_panic(
        at_kind in any::<usize>(), from in any::<usize>(), len in 1_usize..200, doubled in any::<bool>()
    ) {
        let kind = &KINDS[at_kind % KINDS.len()];
        let from = from % kind.bytes.len();
        let to = kind.bytes.len().min(from + len);
        let (head, piece, tail) = (&kind.bytes[..from], &kind.bytes[from..to], &kind.bytes[to..]);
        let bytes = if doubled { [head, piece, piece, tail].concat() } else { [head, tail].concat() };
        try_all(kind, &bytes);
    }

    /// E1 and E3: an integer that says a size, an axis, an index or an operator set is another.
    #[test]
    fn no_other_small_number_of_any_kind_makes_it_panic(
        at_kind in any::<usize>(), nth in any::<usize>(), number in any::<u8>()
    ) {
        let kind = &KINDS[at_kind % KINDS.len()];
        let small: Vec<usize> = (0..kind.bytes.len()).filter(|at| kind.bytes[*at] < 8).collect();
        let mut bytes = kind.bytes.clone();
        bytes[small[nth % small.len()]] = number % 16;
        try_all(kind, &bytes);
    }
}
