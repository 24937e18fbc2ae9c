//! What a proof carries beside its hashes: the record, and one disclosed field.
//!
//! `docs/formats/tlog.md`, "What a proof carries". A disclosed cell is bound to the record by its
//! salt and the hashes of the other cells and rows; nothing of those is shown.
//!
//! Invariants
//! - D1: what is disclosed verifies against the record's own commitment, or is refused;
//! - D2: a disclosure holds the value and salt of one cell, and of all others only hashes.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use bartizan_core::tensor::Tensor;
use minicbor::Decoder;
use sha2::{Digest as _, Sha256};

use crate::cbor::Map;
use crate::commit::{SALT_BYTES, cell_commitment, row_cells, row_commitment, row_of_cells};
use crate::read_cbor::{DecodeError, each_entry, fixed};
use crate::record::{Body, Record};
use crate::secret::RecordSecret;

const VERSION: u8 = 1;
/// Most rows or cells that a disclosure lists beside its own.
const HASHES_MAX: usize = 1 << 16;

/// What is shown of a record's input tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosure {
    /// The row.
    pub row_idx: u64,
    /// Commitments to the rows before it.
    pub before: Vec<[u8; 32]>,
    /// Commitments to the rows after it.
    pub after: Vec<[u8; 32]>,
    /// Commitments to the cells of the row before the one that is shown.
    pub cells_before: Vec<[u8; 32]>,
    /// Commitments to those after.
    pub cells_after: Vec<[u8; 32]>,
    /// Salt of the one that is shown.
    pub salt: [u8; SALT_BYTES],
    /// Position of its tensor.
    pub tensor_idx: u32,
    /// Its position in the tensor's row.
    pub column_idx: u32,
    /// Its value, canonical bytes.
    pub value: Vec<u8>,
    /// Its name by the contract; nothing vouches for it but the contract's digest in the record.
    pub name: String,
    /// Its datatype, likewise.
    pub datatype: String,
}

/// A record and what is disclosed of it: the `extra` data of a `.tlog-proof`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// The record's bytes.
    pub leaf: Vec<u8>,
    /// What is disclosed.
    pub disclosure: Option<Disclosure>,
}

/// Why a disclosure is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisclosureError {
    /// The record commits to no input tensors.
    #[error("the record commits to no input tensors")]
    NoCommitment,
    /// The record cannot be read.
    #[error("the record cannot be read")]
    Record(#[from] DecodeError),
    /// What is shown is not what the record commits to.
    #[error("the disclosed value is not what the record commits to")]
    Differs,
}

impl Disclosure {
    /// Of the cell at `column_idx` of tensor `tensor_idx` in row `row_idx` of `inputs`, which
    /// are committed to under `secret`; `None` where there is no such cell. Hashes every row.
    pub fn of(
        secret: &RecordSecret,
        inputs: &[Tensor],
        row_idx: u64,
        (tensor_idx, column_idx): (u32, u32),
    ) -> Option<Self> {
        let cells = row_cells(secret, inputs, row_idx)?;
        let place = |(cell, _): &(crate::commit::CellProof, [u8; 32])| {
            cell.tensor_idx == tensor_idx && cell.column_idx == column_idx
        };
        let at = cells.iter().position(place)?;
        let (cell, _) = cells.get(at)?;
        let hashes = |part: &[(crate::commit::CellProof, [u8; 32])]| {
            part.iter().map(|(_, hash)| *hash).collect::<Vec<_>>()
        };
        let tensor = inputs.get(usize::try_from(tensor_idx).ok()?)?;
        let len = tensor.row_len();
        let in_tensor = cells.iter().filter(|(cell, _)| cell.tensor_idx == tensor_idx).count();
        let per_cell = if in_tensor == 1 { len } else { 1 };
        let first = usize::try_from(row_idx)
            .ok()?
            .checked_mul(len)?
            .checked_add(usize::try_from(column_idx).ok()?.checked_mul(per_cell)?)?;
        let mut value = Vec::new();
        tensor.values().canonical(first..first.checked_add(per_cell)?, &mut value);
        let n_rows = inputs.iter().map(Tensor::n_rows).max().unwrap_or(0) as u64;
        let rows = |range: std::ops::Range<u64>| {
            range.map(|row| row_commitment(secret, inputs, row)).collect::<Option<Vec<_>>>()
        };
        Some(Self {
            row_idx,
            before: rows(0..row_idx)?,
            after: rows(row_idx.checked_add(1)?..n_rows)?,
            cells_before: hashes(cells.get(..at)?),
            cells_after: hashes(cells.get(at.checked_add(1)?..)?),
            salt: cell.salt,
            tensor_idx,
            column_idx,
            value,
            name: tensor.name().to_owned(),
            datatype: tensor.datatype().as_str().to_owned(),
        })
    }

    /// The commitment to all input tensors that it leads to.
    fn leads_to(&self) -> [u8; 32] {
        let cell = cell_commitment(&self.salt, self.tensor_idx, self.column_idx, &self.value);
        let cells = [self.cells_before.as_slice(), &[cell], &self.cells_after].concat();
        let row = row_of_cells(self.row_idx, &cells);
        let rows = [self.before.as_slice(), &[row], &self.after].concat();
        let mut hasher = Sha256::new();
        hasher.update([0x12]);
        hasher.update((rows.len() as u64).to_le_bytes());
        hasher.update(rows.as_flattened());
        hasher.finalize().into()
    }
}

impl Extra {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let mut map = Map::begin(&mut out);
        map.bytes(0, &self.leaf);
        if let Some(shown) = &self.disclosure {
            let mut inner = Map::begin(map.key(1));
            inner.uint(0, shown.row_idx);
            inner.bytes(1, shown.before.as_flattened());
            inner.bytes(2, shown.after.as_flattened());
            inner.bytes(3, shown.cells_before.as_flattened());
            inner.bytes(4, shown.cells_after.as_flattened());
            inner.bytes(5, &shown.salt);
            inner.uint(6, u64::from(shown.tensor_idx));
            inner.uint(7, u64::from(shown.column_idx));
            inner.bytes(8, &shown.value);
            inner.text(9, &shown.name);
            inner.text(10, &shown.datatype);
        }
        out
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let body = match bytes.split_first() {
            None => return Err(DecodeError::Empty),
            Some((&VERSION, body)) => body,
            Some((&found, _)) => return Err(DecodeError::Version { found }),
        };
        let mut d = Decoder::new(body);
        let (mut leaf, mut disclosure) = (None, None);
        each_entry(&mut d, |d, key| {
            match key {
                0 => leaf = Some(d.bytes()?.to_vec()),
                1 => disclosure = Some(shown(d)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let leaf = leaf.ok_or(DecodeError::Absent { field: "record" })?;
        Ok(Self { leaf, disclosure })
    }

    /// The record, after what is disclosed was held against it; see D1.
    ///
    /// # Errors
    /// [`DisclosureError`].
    pub fn verify(&self) -> Result<Record<'_>, DisclosureError> {
        let record = Record::decode(&self.leaf)?;
        let Some(disclosure) = &self.disclosure else { return Ok(record) };
        let Body::Decision(decision) = &record.body else {
            return Err(DisclosureError::NoCommitment);
        };
        let committed = decision.commitments.tensors.ok_or(DisclosureError::NoCommitment)?;
        let rows_before = disclosure.before.len() as u64;
        if disclosure.leads_to() == committed && rows_before == disclosure.row_idx {
            Ok(record)
        } else {
            Err(DisclosureError::Differs)
        }
    }
}

fn hashes(d: &mut Decoder<'_>, field: &'static str) -> Result<Vec<[u8; 32]>, DecodeError> {
    let (hashes, rest) = d.bytes()?.as_chunks::<32>();
    let whole = rest.is_empty() && hashes.len() <= HASHES_MAX;
    if whole { Ok(hashes.to_vec()) } else { Err(DecodeError::Value { field }) }
}

fn shown(d: &mut Decoder<'_>) -> Result<Disclosure, DecodeError> {
    let mut shown = Disclosure {
        row_idx: 0,
        before: Vec::new(),
        after: Vec::new(),
        cells_before: Vec::new(),
        cells_after: Vec::new(),
        salt: [0; SALT_BYTES],
        tensor_idx: 0,
        column_idx: 0,
        value: Vec::new(),
        name: String::new(),
        datatype: String::new(),
    };
    each_entry(d, |d, key| {
        match key {
            0 => shown.row_idx = d.u64()?,
            1 => shown.before = hashes(d, "rows")?,
            2 => shown.after = hashes(d, "rows")?,
            3 => shown.cells_before = hashes(d, "cells")?,
            4 => shown.cells_after = hashes(d, "cells")?,
            5 => shown.salt = fixed(d, "salt")?,
            6 => shown.tensor_idx = d.u32()?,
            7 => shown.column_idx = d.u32()?,
            8 => shown.value = d.bytes()?.to_vec(),
            9 => shown.name = d.str()?.to_owned(),
            10 => shown.datatype = d.str()?.to_owned(),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(shown)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test that panics fails")]
mod tests {
    use bartizan_core::clock::{ClockSource, Stamp};
    use bartizan_core::id::DecisionId;
    use bartizan_core::tensor::Values;

    use super::*;
    use crate::commit::commit_tensors;
    use crate::record::{Commitments, Decision};

    fn inputs() -> Vec<Tensor> {
        vec![
            Tensor::new("age", vec![3, 2], Values::Fp64(vec![1., 2., 3., 4., 5., 6.])).unwrap(),
            Tensor::new("id", vec![3, 1], Values::Int64(vec![7, 8, 9])).unwrap(),
        ]
    }

    fn leaf(tensors: Option<[u8; 32]>) -> Vec<u8> {
        let commitments = Commitments { tensors, ..Commitments::default() };
        let body = Body::Decision(Box::new(Decision { commitments, ..Decision::default() }));
        let at = Stamp {
            wall_ns: 1,
            raw_ns: 1,
            mono_ns: 1,
            source: ClockSource::Simulated,
            error_ns: 0,
        };
        let (environment, replica) = ("dev".into(), "r1".into());
        let id = DecisionId::new(1, [0; 10]);
        Record { id, at, environment, replica, volatile: false, body }.encode()
    }

    /// D1 and D2: every cell can be shown alone, reads back, and with any byte changed does not
    /// verify; no other value and not the secret is in it.
    #[test]
    fn one_field_is_disclosed_without_the_others() {
        let (secret, inputs) = (RecordSecret::from([5; 32]), inputs());
        let leaf = leaf(Some(commit_tensors(&secret, &inputs)));
        for (row, place, value) in [
            (0, (0, 0), 1_f64.to_le_bytes()),
            (1, (0, 1), 4_f64.to_le_bytes()),
            (2, (1, 0), 9_i64.to_le_bytes()),
        ] {
            let disclosure = Disclosure::of(&secret, &inputs, row, place).unwrap();
            assert_eq!(disclosure.value, value);
            let extra = Extra { leaf: leaf.clone(), disclosure: Some(disclosure) };
            let bytes = extra.encode();
            assert_eq!(Extra::decode(&bytes).unwrap(), extra);
            assert!(extra.verify().is_ok());
            let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
            assert!(
                !holds(&[5; 32]) && !holds(&3_f64.to_le_bytes()) && !holds(&8_i64.to_le_bytes())
            );
            let forgeries: [fn(&mut Disclosure); 6] = [
                |shown| shown.value[0] ^= 1,
                |shown| shown.salt[0] ^= 1,
                |shown| shown.row_idx ^= 1,
                |shown| shown.column_idx ^= 1,
                |shown| shown.tensor_idx ^= 1,
                |shown| shown.after.push([0; 32]),
            ];
            for forge in forgeries {
                let mut forged = extra.clone();
                forge(forged.disclosure.as_mut().unwrap());
                assert_eq!(forged.verify(), Err(DisclosureError::Differs));
            }
        }
        assert!(Disclosure::of(&secret, &inputs, 3, (0, 0)).is_none());
        assert!(Disclosure::of(&secret, &inputs, 0, (1, 1)).is_none());
    }

    #[test]
    fn a_disclosure_of_a_record_without_commitment_is_refused() {
        let disclosure = Disclosure::of(&RecordSecret::from([5; 32]), &inputs(), 0, (0, 0));
        let extra = Extra { leaf: leaf(None), disclosure };
        assert_eq!(extra.verify(), Err(DisclosureError::NoCommitment));
        assert!(Extra { disclosure: None, ..extra }.verify().is_ok());
        assert_eq!(Extra::decode(&[2]), Err(DecodeError::Version { found: 2 }));
    }
}
