//! Rows of a file of any format, batch by batch.

use super::parquet;
use super::rows::{Column, Rows};
use super::{ReadError, ReadLimits};

/// Makes the next batch of a format that is ours to decode.
pub(super) trait Decode: Send {
    /// Rows, or nothing at the end. After an error it is not asked again.
    fn next_rows(&mut self) -> Result<Option<Rows>, ReadError>;
}

enum Source {
    Parquet(Box<parquet::Batches>),
    Ours(Box<dyn Decode>),
}

/// The rows of a file, batch by batch. After an error there are no more.
pub struct Batches {
    source: Source,
    limits: ReadLimits,
    path: std::path::PathBuf,
    n_rows: u64,
    is_over: bool,
}

impl Batches {
    pub(super) fn parquet(
        batches: parquet::Batches,
        path: &std::path::Path,
        limits: &ReadLimits,
    ) -> Self {
        let source = Source::Parquet(Box::new(batches));
        Self { source, limits: *limits, path: path.into(), n_rows: 0, is_over: false }
    }

    pub(super) fn ours(
        decode: Box<dyn Decode>,
        path: &std::path::Path,
        limits: &ReadLimits,
    ) -> Self {
        let source = Source::Ours(decode);
        Self { source, limits: *limits, path: path.into(), n_rows: 0, is_over: false }
    }

    /// All rows that are left, in one piece.
    pub(super) fn into_rows(self) -> Result<Rows, ReadError> {
        if let Source::Parquet(batches) = self.source {
            return batches.into_rows();
        }
        let mut all: Option<Rows> = None;
        for batch in self {
            let batch = batch?;
            match &mut all {
                None => all = Some(batch),
                Some(all) => append(all, batch),
            }
        }
        Ok(all.unwrap_or(Rows { columns: Vec::new(), n_rows: 0 }))
    }
}

impl Iterator for Batches {
    type Item = Result<Rows, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = match &mut self.source {
            Source::Parquet(batches) => batches.next(),
            Source::Ours(decode) => decode.next_rows().transpose(),
        };
        let next = next.map(|batch| {
            let batch = batch?;
            self.n_rows = self.n_rows.saturating_add(batch.n_rows as u64);
            if self.limits.rows_max < self.n_rows {
                let (found, limit) = (self.n_rows, self.limits.rows_max);
                let path = self.path.clone();
                return Err(ReadError::TooLarge { path, what: "rows", found, limit });
            }
            Ok(batch)
        });
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Appends a batch of the same columns.
fn append(all: &mut Rows, batch: Rows) {
    use bartizan_core::Values as V;
    for (to, from) in all.columns.iter_mut().zip(batch.columns) {
        let Column { values, missing, n_missing, .. } = from;
        let (before, added) = (to.values.len(), values.len());
        match (&mut to.values, values) {
            (V::Bool(a), V::Bool(b)) => a.extend(b),
            (V::Uint8(a), V::Uint8(b)) => a.extend(b),
            (V::Uint16(a), V::Uint16(b)) => a.extend(b),
            (V::Uint32(a), V::Uint32(b)) => a.extend(b),
            (V::Uint64(a), V::Uint64(b)) => a.extend(b),
            (V::Int8(a), V::Int8(b)) => a.extend(b),
            (V::Int16(a), V::Int16(b)) => a.extend(b),
            (V::Int32(a), V::Int32(b)) => a.extend(b),
            (V::Int64(a), V::Int64(b)) => a.extend(b),
            (V::Fp16(a), V::Fp16(b)) => a.extend(b),
            (V::Fp32(a), V::Fp32(b)) => a.extend(b),
            (V::Fp64(a), V::Fp64(b)) => a.extend(b),
            (V::Bytes(a), V::Bytes(b)) => a.extend(b),
            // A decoder keeps the types of its first batch.
            _ => continue,
        }
        if n_missing != 0 || !to.missing.is_empty() {
            to.missing.resize(before, false);
            to.missing.extend(missing);
            to.missing.resize(before + added, false);
            to.n_missing += n_missing;
        }
    }
    all.n_rows += batch.n_rows;
}
