//! Tests of the look through a footer.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test that is wrong about its own bytes should fail"
)]

use super::*;
use proptest::prelude::*;

/// A schema element with a name and a number of children.
fn element(n_children: u8) -> Vec<u8> {
    // Field 4, binary, 1 byte; field 5, i32, zigzag; end.
    vec![0x48, 1, b'x', 0x15, n_children * 2, 0]
}

/// A footer with these schema elements and `row_groups` behind.
fn footer(elements: &[Vec<u8>], row_groups: &[u8]) -> Vec<u8> {
    let n = elements.len() as u8;
    let mut bytes = vec![0x15, 2];
    bytes.extend(if n < 15 { vec![0x19, n << 4 | 12] } else { vec![0x19, 0xfc, n] });
    bytes.extend(elements.concat());
    bytes.extend([0x16, 0]);
    bytes.extend(row_groups);
    bytes.push(0);
    bytes
}

const NO_GROUPS: &[u8] = &[0x19, 0x0c];

/// Schemas that are trees, and each nearest that is none.
#[test]
fn a_schema_must_be_one_tree_of_what_is_there() {
    let good: [&[u8]; 4] = [&[1, 0], &[2, 0, 0], &[2, 1, 0, 0], &[1, 1, 1, 1, 1, 1, 1, 1, 0]];
    for counts in good {
        let elements: Vec<_> = counts.iter().map(|n| element(*n)).collect();
        assert_eq!(check(&footer(&elements, NO_GROUPS)), Ok(()), "{counts:?}");
    }
    let bad: [(&[u8], &str); 5] = [
        (&[], "no list of elements"),
        (&[2, 0], "more columns than it has"),
        (&[63, 0], "more columns than it has"),
        (&[1, 0, 0], "more than one root"),
        (&[1, 1, 1, 1, 1, 1, 1, 1, 1, 0], "nested deeper than 8"),
    ];
    for (counts, reason) in bad {
        let elements: Vec<_> = counts.iter().map(|n| element(*n)).collect();
        let Err(ThriftError::Bad(found)) = check(&footer(&elements, NO_GROUPS)) else {
            panic!("accepted {counts:?}");
        };
        assert!(found.contains(reason), "{counts:?}: {found}");
    }
    // A child that its parent does not wait for, after another that is complete.
    let late: Vec<_> = [2, 1, 0].iter().map(|n| element(*n)).collect();
    assert!(check(&footer(&late, NO_GROUPS)).is_err());
}

/// V1: the claims that would have the decoder reserve more memory than there is.
#[test]
fn a_claim_of_two_thousand_million_parts_is_refused() {
    let schema = [element(1), element(0)];
    let claim = [0xff, 0xff, 0xff, 0xff, 0x07];
    let row_groups = [&[0x19, 0xfc][..], &claim].concat();
    let error = check(&footer(&schema, &row_groups)).unwrap_err();
    assert_eq!(error, ThriftError::Bad("a list claims more elements than there are bytes"));
    // The same number as a schema element's children: zigzag of 2^31 - 1.
    let root = [&[0x48, 1, b'x', 0x15][..], &[0xfe, 0xff, 0xff, 0xff, 0x0f], &[0]].concat();
    let error = check(&footer(&[root, element(0)], NO_GROUPS)).unwrap_err();
    assert_eq!(error, ThriftError::Bad("the schema claims more columns than it has"));
    // And minus one.
    let root = vec![0x48, 1, b'x', 0x15, 1, 0];
    assert!(check(&footer(&[root, element(0)], NO_GROUPS)).is_err());
}

/// What two readers could understand differently is refused.
#[test]
fn ambiguous_footers_are_refused() {
    let schema = [element(1), element(0)];
    let good = footer(&schema, NO_GROUPS);
    assert_eq!(check(&good), Ok(()));
    let cut = good.len() - 1;
    // A second list of row groups: field 4 by its full number, which is not above the last.
    let twice = [&good[..cut], &[0x09, 8, 0x0c, 0]].concat();
    assert_eq!(check(&twice), Err(ThriftError::Bad("fields are out of order")));
    // Row groups as text.
    let text = footer(&schema, &[0x18, 1, b'x']);
    let other = "a field has another type than the format says";
    assert_eq!(check(&text), Err(ThriftError::Bad(other)));
    // Encrypted columns.
    let encrypted = [&good[..cut], &[0x4c, 0, 0]].concat();
    assert_eq!(check(&encrypted), Err(ThriftError::Bad("its columns are encrypted")));
    // A field that nobody knows is passed over, unless it holds what readers differ about.
    assert_eq!(check(&[&good[..cut], &[0xf8, 2, b'a', b'b', 0]].concat()), Ok(()));
    assert!(check(&[&good[..cut], &[0xf9, 0x21, 1, 1, 0]].concat()).is_err());
    assert!(check(&[&good[..cut], &[0xfb, 0, 0]].concat()).is_err());
    for len in 0..good.len() {
        assert!(check(&good[..len]).is_err(), "cut at {len}");
    }
}

/// The walk itself does not descend without end.
#[test]
fn deep_nesting_is_refused() {
    let good = footer(&[element(1), element(0)], NO_GROUPS);
    let nested = |depth: usize| {
        let lists = vec![0x19; depth];
        [&good[..good.len() - 1], &[0xf9], lists.as_slice(), &[0x0c, 0]].concat()
    };
    assert_eq!(check(&nested(10)), Ok(()));
    assert_eq!(check(&nested(100_000)), Err(ThriftError::Bad("it is nested too deeply")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// No bytes make the walk fail otherwise than by saying no.
    #[test]
    fn any_bytes_are_walked_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = check(&bytes);
        let good = footer(&[element(1), element(0)], NO_GROUPS);
        let _ = check(&[&good[..good.len() - 1], &bytes].concat());
    }
}
