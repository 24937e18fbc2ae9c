//! The rows that models are fitted to, and how all rows are brought before them.
//!
//! Up to [`SAMPLE_MAX`] rows everything is the sample. Beyond, a sample by seed is; all other rows
//! are judged in pieces by what was learnt from it, so that memory beyond the packed table does
//! not grow with their number.

use bartizan_stats::chance::Chance;

use crate::knn::{Neighbours, Skip, nearest};
use crate::parallel::Threads;
use crate::space::{Scales, Space};
use crate::table::Table;

/// Most rows that models are fitted to.
pub(crate) const SAMPLE_MAX: usize = 20_000;
/// Rows of the sample once not all rows are in it: beyond, models gain little and cost much.
const SAMPLE_ROWS: usize = 10_000;
/// Most rows of the sample that other rows are compared with one by one, once not all rows are.
pub(crate) const REFERENCES_MAX: usize = 4_000;
/// The same where all rows are the sample.
const REFERENCES_ALL: usize = 8_000;
/// References that every row beyond the sample is compared with.
const REFERENCES_FEW: usize = 1_200;
/// Rows beyond the sample that are judged at once.
pub(crate) const PIECE: usize = 4_096;

/// What is done by chance, and by how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means {
    pub(crate) threads: Threads,
    pub(crate) seed: u64,
}

/// The sample; see the module.
pub(crate) struct Sample {
    /// Rows of the table, ascending.
    pub(crate) rows: Vec<u32>,
    pub(crate) scales: Scales,
    /// The sample's rows as points.
    pub(crate) space: Space,
}

impl Sample {
    /// Takes the sample of `table`.
    pub(crate) fn take(table: &Table, means: Means) -> Self {
        let mut chance = Chance::new(means.seed, 1);
        let wanted = if table.n_rows <= SAMPLE_MAX { SAMPLE_MAX } else { SAMPLE_ROWS };
        let rows: Vec<u32> =
            chance.sample(table.n_rows, wanted).into_iter().map(|row| row as u32).collect();
        let scales = Scales::learn(table, &rows);
        let space = scales.map(table, &rows);
        Self { rows, scales, space }
    }

    /// Whether every row is in it.
    pub(crate) fn is_all(&self, table: &Table) -> bool {
        self.rows.len() == table.n_rows
    }

    /// The rows that are not in it, ascending.
    pub(crate) fn others(&self, table: &Table) -> Vec<u32> {
        let mut others = Vec::with_capacity(table.n_rows - self.rows.len());
        let mut next = self.rows.iter().peekable();
        for row in 0..table.n_rows as u32 {
            if next.peek() == Some(&&row) {
                next.next();
            } else {
                others.push(row);
            }
        }
        others
    }

    /// Values for all rows: those of the sample, and for the others what `act` gives a piece of
    /// them, `width` values a row.
    pub(crate) fn spread(
        &self,
        table: &Table,
        own: Vec<f32>,
        width: usize,
        means: Means,
        act: impl Fn(&[u32], &Space) -> Vec<f32> + Sync,
    ) -> Vec<f32> {
        if self.is_all(table) {
            return own;
        }
        let others = self.others(table);
        let pieces = means.threads.map_ranges(others.len(), PIECE, |range| {
            let rows = &others[range];
            act(rows, &self.scales.map(table, rows))
        });
        let mut all = vec![0.0; table.n_rows * width];
        let values = pieces.iter().flat_map(|piece| piece.chunks_exact(width));
        for (row, value) in others.iter().zip(values) {
            all[*row as usize * width..][..width].copy_from_slice(value);
        }
        for (row, value) in self.rows.iter().zip(own.chunks_exact(width)) {
            all[*row as usize * width..][..width].copy_from_slice(value);
        }
        all
    }
}

/// Neighbours kept of each row.
pub(crate) const NEIGHBOURS: usize = 64;

/// The sample's rows and their nearest among its references.
pub(crate) struct Graph {
    /// References, as places in the sample.
    pub(crate) references: Vec<u32>,
    /// The references as points.
    pub(crate) space: Space,
    /// Of each row of the sample, itself excepted.
    pub(crate) neighbours: Neighbours,
}

impl Graph {
    /// Looks all up: among all rows where they are the sample, else among some of it.
    pub(crate) fn new(table: &Table, sample: &Sample, means: Means) -> Self {
        let n = if sample.is_all(table) { REFERENCES_ALL } else { REFERENCES_MAX };
        Self::among(sample, n, means)
    }

    /// The same among few references, by which rows beyond the sample are judged too, so that all
    /// distances are of one scale; `None` where there are no such rows.
    pub(crate) fn few(table: &Table, sample: &Sample, means: Means) -> Option<Self> {
        (!sample.is_all(table)).then(|| Self::among(sample, REFERENCES_FEW, means))
    }

    fn among(sample: &Sample, n: usize, means: Means) -> Self {
        let mut chance = Chance::new(means.seed, 2);
        let chosen = chance.sample(sample.rows.len(), n);
        let references: Vec<u32> = chosen.into_iter().map(|at| at as u32).collect();
        let mut own = vec![u32::MAX; sample.rows.len()];
        for (at, place) in references.iter().enumerate() {
            own[*place as usize] = at as u32;
        }
        let space = sample.space.subset(&references);
        let skip = Skip::Own(&own);
        let neighbours = nearest(&space, &sample.space, &skip, NEIGHBOURS, means.threads);
        Self { references, space, neighbours }
    }
}

impl Space {
    /// The points at `places`.
    pub(crate) fn subset(&self, places: &[u32]) -> Self {
        let mut subset = Self { n: places.len(), d: self.d, c: self.c, ..Self::default() };
        for at in places {
            subset.dense.extend_from_slice(self.point(*at as usize));
            subset.codes.extend_from_slice(self.categories(*at as usize));
        }
        subset.text = self.text.as_ref().map(|text| {
            let mut sparse = crate::space::Sparse { n_terms: text.n_terms, ..Default::default() };
            sparse.starts.push(0);
            for at in places {
                let (terms, weights) = text.row(*at as usize);
                sparse.terms.extend_from_slice(terms);
                sparse.weights.extend_from_slice(weights);
                sparse.starts.push(sparse.terms.len());
            }
            sparse
        });
        subset
    }
}
