//! Commitments: against a second, plain way to compute them, and what each depends on.

use bartizan_core::tensor::{Tensor, Values};

use super::*;

fn inputs() -> Vec<Tensor> {
    vec![
        Tensor::new("x", vec![3, 2], Values::Fp32(vec![1.0, 2.0, 3.0, f32::NAN, 5.0, 6.0]))
            .unwrap(),
        Tensor::new("t", vec![3], Values::Bytes(vec![b"a".to_vec(), b"bc".to_vec(), vec![]]))
            .unwrap(),
        Tensor::new("w", vec![3, 300], Values::Uint8((0..900).map(|n| n as u8).collect())).unwrap(),
    ]
}

fn secret(byte: u8) -> RecordSecret {
    RecordSecret::from([byte; 32])
}

/// The format's own words (`docs/formats/sealing.md`), step by step, with no shared code.
#[test]
fn tensors_are_committed_to_as_the_format_says() {
    let secret = secret(7);
    let hash = |parts: &[&[u8]]| -> [u8; 32] { Sha256::digest(parts.concat()).into() };
    let key = UnboundKey::new(&AES_256_GCM, &hash(&[&[0x13], &[7; 32]])).unwrap();
    let key = LessSafeKey::new(key);
    let values: [[&[u8]; 3]; 3] = [
        [&[0, 0, 0x80, 0x3f], &[0, 0, 0, 0x40], &[1, 0, 0, 0, b'a']],
        [&[0, 0, 0x40, 0x40], &[0, 0, 0xc0, 0x7f], &[2, 0, 0, 0, b'b', b'c']],
        [&[0, 0, 0xa0, 0x40], &[0, 0, 0xc0, 0x40], &[0, 0, 0, 0]],
    ];
    let mut rows = Vec::new();
    for (row_idx, row) in values.iter().enumerate() {
        let mut salts = [0; 64];
        let mut nonce = [0; 12];
        nonce[0] = row_idx as u8;
        let _tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut salts,
            )
            .unwrap();
        let wide: Vec<u8> = (0..300).map(|n| (row_idx * 300 + n) as u8).collect();
        let cells = [(0, 0, row[0]), (0, 1, row[1]), (1, 0, row[2]), (2, 0, &wide[..])];
        let mut parts = vec![0x11, 4, 0, 0, 0, row_idx as u8, 0, 0, 0, 0, 0, 0, 0];
        for (place, (tensor, column, value)) in cells.into_iter().enumerate() {
            let salt = &salts[place * 16..place * 16 + 16];
            parts.extend(hash(&[&[0x10], salt, &[tensor, 0, 0, 0, column, 0, 0, 0], value]));
        }
        rows.push(hash(&[&parts]));
        assert_eq!(row_commitment(&secret, &inputs(), row_idx as u64), Some(rows[row_idx]));
    }
    let whole = hash(&[&[0x12, 3, 0, 0, 0, 0, 0, 0, 0], &rows.concat()]);
    assert_eq!(commit_tensors(&secret, &inputs()), whole);
    assert_eq!(row_commitment(&secret, &inputs(), 3), None);
}

#[test]
fn whole_bytes_are_committed_to_as_the_format_says() {
    let expected: [u8; 32] = Sha256::digest([&[0x02, 3][..], &[7; 32], b"reply"].concat()).into();
    assert_eq!(commit(&secret(7), Commitment::Reply, b"reply"), expected);
}

/// K1: the same bytes under another purpose or another secret are another commitment.
#[test]
fn a_commitment_depends_on_secret_purpose_and_every_byte() {
    let all = [
        commit(&secret(1), Commitment::Received, b"x"),
        commit(&secret(2), Commitment::Received, b"x"),
        commit(&secret(1), Commitment::Output, b"x"),
        commit(&secret(1), Commitment::Reply, b"x"),
        commit(&secret(1), Commitment::Reply, b"y"),
        commit_tensors(&secret(1), &inputs()),
        commit_tensors(&secret(2), &inputs()),
        commit_tensors(&secret(1), &inputs()[1..]),
        commit_tensors(&secret(1), &[]),
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

/// K2: one cell is shown with its salt, its neighbours as hashes, and the row's commitment comes
/// out, without the secret.
#[test]
fn one_field_can_be_shown_without_the_others() {
    let (secret, inputs) = (secret(7), inputs());
    let cells = row_cells(&secret, &inputs, 1).unwrap();
    assert_eq!(cells.len(), 4);
    let (proof, _) = cells[2];
    assert_eq!((proof.tensor_idx, proof.column_idx), (1, 0));
    let shown = cell_commitment(&proof.salt, 1, 0, &[2, 0, 0, 0, b'b', b'c']);
    let mut hashes: Vec<_> = cells.iter().map(|(_, hash)| *hash).collect();
    hashes[2] = shown;
    assert_eq!(Some(row_of_cells(1, &hashes)), row_commitment(&secret, &inputs, 1));
    hashes[2] = cell_commitment(&proof.salt, 1, 0, &[2, 0, 0, 0, b'b', b'd']);
    assert_ne!(Some(row_of_cells(1, &hashes)), row_commitment(&secret, &inputs, 1));
    assert!(row_cells(&secret, &inputs, 3).is_none());
    let salts: std::collections::BTreeSet<_> = (0..3)
        .flat_map(|row| row_cells(&secret, &inputs, row).unwrap())
        .map(|(proof, _)| proof.salt)
        .collect();
    assert_eq!(salts.len(), 12);
}

/// A cell of 8 bytes takes the short way, one of 9 the long one: the same hash either way.
#[test]
fn short_and_long_cells_are_hashed_alike() {
    for len in [0, 1, 8, 9, 40] {
        let value = vec![5; len];
        let parts = [&[0x10][..], &[9; 16], &1_u32.to_le_bytes(), &2_u32.to_le_bytes(), &value];
        let expected: [u8; 32] = Sha256::digest(parts.concat()).into();
        assert_eq!(cell_commitment(&[9; 16], 1, 2, &value), expected, "{len} bytes");
    }
}
