//! Commitments: what a leaf says of values without holding one (`docs/formats/sealing.md`).
//!
//! Each binds (SHA-256 is collision resistant) and hides (without the record's secret, or a
//! cell's salt, a value cannot be tried out). The input tensors are committed to cell by cell, so
//! that one row, or one field of a row, can be shown alone later: with its salt and the hashes of
//! its neighbours, and without the secret.
//!
//! Invariants
//! - K1: a first byte of its own keeps each kind of hash from being read as another: 0x02 whole
//!   bytes, 0x10 cell, 0x11 row, 0x12 tensors, 0x13 key of the salts;
//! - K2: the salts of a row depend on nothing but the secret and the row's number.

use bartizan_core::limits::CELLS_PER_ROW_MAX;
use bartizan_core::tensor::Tensor;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

use crate::seal::encode_tensors;
use crate::secret::RecordSecret;

/// Bytes of a cell's salt.
pub const SALT_BYTES: usize = 16;

/// What is committed to whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commitment {
    /// The exact bytes received.
    Received,
    /// The model's whole output.
    Output,
    /// The exact reply.
    Reply,
}

impl Commitment {
    /// The byte that tells them apart.
    fn purpose(self) -> u8 {
        match self {
            Self::Received => 1,
            Self::Output => 2,
            Self::Reply => 3,
        }
    }
}

/// Commitment to `bytes`: SHA-256 of 0x02, the purpose, the secret and the bytes.
pub fn commit(secret: &RecordSecret, what: Commitment, bytes: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update([0x02, what.purpose()]);
    hasher.update(secret.as_bytes());
    hasher.update(bytes);
    hasher.finalize().into()
}

/// Commitment to a model's whole output, as the sealed payload encodes it.
pub fn commit_outputs(secret: &RecordSecret, outputs: &[Tensor]) -> [u8; 32] {
    let mut bytes = Vec::new();
    encode_tensors(outputs, &mut bytes);
    commit(secret, Commitment::Output, &bytes)
}

/// Commitment to one cell: SHA-256 of 0x10, its salt, its tensor's and its own position as
/// 32-bit little-endian numbers, and its canonical bytes.
pub fn cell_commitment(
    salt: &[u8; SALT_BYTES],
    tensor_idx: u32,
    column_idx: u32,
    value: &[u8],
) -> [u8; 32] {
    const HEAD_BYTES: usize = 1 + SALT_BYTES + 8;
    // One block of SHA-256 for every number, without the hasher's own buffering.
    let mut block = [0; HEAD_BYTES + 8];
    block[0] = 0x10;
    block[1..=SALT_BYTES].copy_from_slice(salt);
    block[SALT_BYTES + 1..SALT_BYTES + 5].copy_from_slice(&tensor_idx.to_le_bytes());
    block[SALT_BYTES + 5..HEAD_BYTES].copy_from_slice(&column_idx.to_le_bytes());
    match block.get_mut(HEAD_BYTES..HEAD_BYTES + value.len()) {
        Some(place) => {
            place.copy_from_slice(value);
            Sha256::digest(&block[..HEAD_BYTES + value.len()]).into()
        }
        None => {
            let mut hasher = Sha256::new();
            hasher.update(&block[..HEAD_BYTES]);
            hasher.update(value);
            hasher.finalize().into()
        }
    }
}

/// Commitment to the row `row_idx` of its cells: SHA-256 of 0x11, their number as a 32-bit and
/// the row's as a 64-bit little-endian number, and their commitments in order.
pub fn row_of_cells(row_idx: u64, cells: &[[u8; 32]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut head = [0x11; 13];
    head[1..5].copy_from_slice(&(cells.len() as u32).to_le_bytes());
    head[5..].copy_from_slice(&row_idx.to_le_bytes());
    hasher.update(head);
    hasher.update(cells.as_flattened());
    hasher.finalize().into()
}

/// Commitment to all rows of `inputs`: SHA-256 of 0x12, their number as a 64-bit little-endian
/// number, and the rows' commitments in order. About 3 us for one row of 30 numbers.
///
/// All inputs have one common number of rows; where one has fewer, its rows beyond are empty.
pub fn commit_tensors(secret: &RecordSecret, inputs: &[Tensor]) -> [u8; 32] {
    let n_rows = inputs.iter().map(Tensor::n_rows).max().unwrap_or(0) as u64;
    let mut rows = Rows::new(secret, inputs);
    let mut hasher = Sha256::new();
    hasher.update([0x12]);
    hasher.update(n_rows.to_le_bytes());
    for row_idx in 0..n_rows {
        hasher.update(rows.commitment(row_idx));
    }
    hasher.finalize().into()
}

/// Commitment to row `row_idx` of `inputs` alone: what `<decision>/<row>` stands for. `None`
/// where there is no such row.
pub fn row_commitment(secret: &RecordSecret, inputs: &[Tensor], row_idx: u64) -> Option<[u8; 32]> {
    let n_rows = inputs.iter().map(Tensor::n_rows).max().unwrap_or(0) as u64;
    (row_idx < n_rows).then(|| Rows::new(secret, inputs).commitment(row_idx))
}

/// One cell's salt and place, to be shown with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellProof {
    /// Its salt.
    pub salt: [u8; SALT_BYTES],
    /// Position of its tensor.
    pub tensor_idx: u32,
    /// Its position in the tensor's row; 0 where the row is one cell.
    pub column_idx: u32,
}

/// The cells of row `row_idx` in order, with their commitments: what is shown of a row, each
/// cell with its salt or only as its hash. `None` where there is no such row.
pub fn row_cells(
    secret: &RecordSecret,
    inputs: &[Tensor],
    row_idx: u64,
) -> Option<Vec<(CellProof, [u8; 32])>> {
    let n_rows = inputs.iter().map(Tensor::n_rows).max().unwrap_or(0) as u64;
    if n_rows <= row_idx {
        return None;
    }
    let mut rows = Rows::new(secret, inputs);
    rows.commitment(row_idx);
    let salts = rows.salts.as_chunks::<SALT_BYTES>().0;
    let places = inputs.iter().zip(0_u32..).flat_map(|(tensor, tensor_idx)| {
        (0..cells_per_row(tensor, row_idx) as u32).map(move |column_idx| (tensor_idx, column_idx))
    });
    let proofs = places.zip(salts).map(|((tensor_idx, column_idx), salt)| CellProof {
        salt: *salt,
        tensor_idx,
        column_idx,
    });
    Some(proofs.zip(rows.cells.iter().copied()).collect())
}

/// Cells of row `row_idx` of `tensor`: one an element, or one in all where there are many.
fn cells_per_row(tensor: &Tensor, row_idx: u64) -> usize {
    match tensor.row_len() {
        _ if tensor.n_rows() as u64 <= row_idx => 0,
        len if CELLS_PER_ROW_MAX < len => 1,
        len => len,
    }
}

/// Commitments row by row, over reused buffers.
struct Rows<'t> {
    inputs: &'t [Tensor],
    key: LessSafeKey,
    salts: Vec<u8>,
    cells: Vec<[u8; 32]>,
    values: Vec<u8>,
}

impl<'t> Rows<'t> {
    fn new(secret: &RecordSecret, inputs: &'t [Tensor]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update([0x13]);
        hasher.update(secret.as_bytes());
        let key: [u8; 32] = hasher.finalize().into();
        #[expect(clippy::expect_used, reason = "K2: the key has the cipher's own length")]
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("32 bytes are an AES-256 key");
        let key = LessSafeKey::new(key);
        Self { inputs, key, salts: Vec::new(), cells: Vec::new(), values: Vec::new() }
    }

    /// K2: the keystream of AES-256-GCM over zeroes, under the row's number as nonce.
    fn salt(&mut self, row_idx: u64, n_cells: usize) {
        self.salts.clear();
        self.salts.resize(n_cells * SALT_BYTES, 0);
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&row_idx.to_le_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut self.salts);
        debug_assert!(sealed.is_ok(), "K2: far below the cipher's limit");
    }

    fn commitment(&mut self, row_idx: u64) -> [u8; 32] {
        let n_cells = self.inputs.iter().map(|tensor| cells_per_row(tensor, row_idx)).sum();
        self.salt(row_idx, n_cells);
        self.cells.clear();
        self.cells.reserve(n_cells);
        let mut salts = self.salts.as_chunks::<SALT_BYTES>().0.iter();
        for (tensor, tensor_idx) in self.inputs.iter().zip(0_u32..) {
            let (len, width) = (tensor.row_len(), tensor.datatype().width());
            let start = row_idx as usize * len;
            let n_cells = cells_per_row(tensor, row_idx);
            let per_cell = if n_cells == 1 { len } else { 1 };
            self.values.clear();
            if width != 0 && n_cells != 0 {
                self.values.reserve(len * width);
                tensor.values().canonical(start..start + len, &mut self.values);
            }
            for (column_idx, salt) in (0..n_cells).zip(&mut salts) {
                let value = if width == 0 {
                    let first = start + column_idx * per_cell;
                    self.values.clear();
                    tensor.values().canonical(first..first + per_cell, &mut self.values);
                    &self.values[..]
                } else {
                    let bytes = per_cell * width;
                    &self.values[column_idx * bytes..(column_idx + 1) * bytes]
                };
                let cell = cell_commitment(salt, tensor_idx, column_idx as u32, value);
                self.cells.push(cell);
            }
        }
        row_of_cells(row_idx, &self.cells)
    }
}

#[cfg(test)]
mod tests;
