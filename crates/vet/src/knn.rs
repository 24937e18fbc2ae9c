//! Nearest points, by looking at all of them.

use bartizan_stats::sum::LANES;

use crate::parallel::Threads;
use crate::space::{MISMATCH, Space, TEXT};

/// Queries of a block: each reference point is fetched once for all of them.
const BLOCK: usize = 4;
/// Queries that one item of work looks up.
const CHUNK: usize = 128;

/// The `k` nearest reference points of each query, nearest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Neighbours {
    pub(crate) k: usize,
    /// Reference points, `k` a query; fewer references than `k` leave `u32::MAX` behind them.
    pub(crate) at: Vec<u32>,
    /// Distances, not squared; infinite where there is no point.
    pub(crate) distance: Vec<f32>,
}

impl Neighbours {
    /// Neighbours of one query with their distances, nearest first.
    pub(crate) fn of(&self, query: usize) -> impl Iterator<Item = (usize, f32)> {
        let range = query * self.k..(query + 1) * self.k;
        self.at[range.clone()]
            .iter()
            .zip(&self.distance[range])
            .filter(|(at, _)| **at != u32::MAX)
            .map(|(at, distance)| (*at as usize, *distance))
    }
}

/// What each query is not to be compared with: itself, where it is a reference too.
pub(crate) enum Skip<'a> {
    Nothing,
    /// Reference `at` is query `own[at]`... and so is not its neighbour: place of each query among
    /// the references, `u32::MAX` where it is none.
    Own(&'a [u32]),
}

/// Words to the points that hold them.
struct Postings {
    starts: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

impl Postings {
    fn new(space: &Space) -> Option<Self> {
        let text = space.text.as_ref()?;
        let mut starts = vec![0; text.n_terms + 1];
        for term in &text.terms {
            starts[*term as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0, 0.0); text.terms.len()];
        for point in 0..space.n {
            let (terms, weights) = text.row(point);
            for (term, weight) in terms.iter().zip(weights) {
                entries[next[*term as usize]] = (point as u32, *weight);
                next[*term as usize] += 1;
            }
        }
        Some(Self { starts, entries })
    }
}

/// Finds neighbours among `references`. Cost: queries x references x columns.
pub(crate) fn nearest(
    references: &Space,
    queries: &Space,
    skip: &Skip<'_>,
    k: usize,
    threads: Threads,
) -> Neighbours {
    let postings = Postings::new(references);
    let padded = Padded::new(references);
    let search = Search { references, padded, queries, skip, postings: postings.as_ref(), k };
    let pieces = threads.map_ranges(queries.n, CHUNK, |range| search.run(range));
    let mut found = Neighbours { k, at: Vec::new(), distance: Vec::new() };
    for (at, distance) in pieces {
        found.at.extend(at);
        found.distance.extend(distance);
    }
    found
}

/// Points whose numbers fill whole lanes: zeros are added, which no distance notices.
struct Padded {
    width: usize,
    dense: Vec<f32>,
}

impl Padded {
    fn new(space: &Space) -> Self {
        let width = space.d.next_multiple_of(LANES);
        let mut dense = vec![0.0; space.n * width];
        if space.d != 0 {
            for (to, from) in dense.chunks_exact_mut(width).zip(space.dense.chunks_exact(space.d)) {
                to[..space.d].copy_from_slice(from);
            }
        }
        Self { width, dense }
    }
}

struct Search<'a> {
    references: &'a Space,
    padded: Padded,
    queries: &'a Space,
    skip: &'a Skip<'a>,
    postings: Option<&'a Postings>,
    k: usize,
}

impl Search<'_> {
    fn run(&self, range: std::ops::Range<usize>) -> (Vec<u32>, Vec<f32>) {
        let n = self.references.n;
        let mut squared = vec![0.0_f32; n * BLOCK];
        let (mut at, mut distance) = (Vec::new(), Vec::new());
        let mut query = range.start;
        while query < range.end {
            let block = BLOCK.min(range.end - query);
            self.dense(query, block, &mut squared);
            for lane in 0..block {
                let squared = &mut squared[lane * n..(lane + 1) * n];
                self.categories(query + lane, squared);
                self.texts(query + lane, squared);
                if let Skip::Own(own) = self.skip
                    && let Some(own) = squared.get_mut(own[query + lane] as usize)
                {
                    *own = f32::INFINITY;
                }
                select(squared, self.k, &mut at, &mut distance);
            }
            query += block;
        }
        (at, distance)
    }

    fn dense(&self, query: usize, block: usize, squared: &mut [f32]) {
        let n = self.references.n;
        let width = self.padded.width;
        if width == 0 {
            squared.iter_mut().for_each(|x| *x = 0.0);
            return;
        }
        // A short block repeats its last query, whose lanes are not looked at.
        let mut points = vec![0.0; BLOCK * width];
        for (lane, to) in points.chunks_exact_mut(width).enumerate() {
            let from = self.queries.point(query + lane.min(block - 1));
            to[..from.len()].copy_from_slice(from);
        }
        let (points, _) = points.as_chunks::<LANES>();
        let lanes = width / LANES;
        for (reference, point) in self.padded.dense.chunks_exact(width).enumerate() {
            let distances = squared_distances(point.as_chunks::<LANES>().0, points, lanes);
            for (lane, distance) in distances.into_iter().enumerate() {
                squared[lane * n + reference] = distance;
            }
        }
    }

    fn categories(&self, query: usize, squared: &mut [f32]) {
        let c = self.references.c;
        if c == 0 {
            return;
        }
        let own = self.queries.categories(query);
        for (codes, squared) in self.references.codes.chunks_exact(c).zip(squared) {
            let differ: u16 = codes.iter().zip(own).map(|(a, b)| u16::from(a != b)).sum();
            *squared += MISMATCH * f32::from(differ);
        }
    }

    fn texts(&self, query: usize, squared: &mut [f32]) {
        let (Some(postings), Some(text)) = (self.postings, &self.queries.text) else { return };
        squared.iter_mut().for_each(|x| *x += 2.0 * TEXT);
        let (terms, weights) = text.row(query);
        for (term, weight) in terms.iter().zip(weights) {
            let range = postings.starts[*term as usize]..postings.starts[*term as usize + 1];
            for (point, other) in &postings.entries[range] {
                squared[*point as usize] -= 2.0 * TEXT * weight * other;
            }
        }
    }
}

/// Squared distances between `a` and each of the [`BLOCK`] points in `b`, `lanes` chunks each,
/// summed in 8 lanes as [`bartizan_stats::sum::dot_f32`] does.
fn squared_distances(a: &[[f32; LANES]], b: &[[f32; LANES]], lanes: usize) -> [f32; BLOCK] {
    let mut distances = [0.0; BLOCK];
    for (distance, b) in distances.iter_mut().zip(b.chunks_exact(lanes)) {
        let mut s = [0.0_f32; LANES];
        for (x, y) in a.iter().zip(b) {
            for lane in 0..LANES {
                let difference = x[lane] - y[lane];
                s[lane] += difference * difference;
            }
        }
        *distance = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }
    distances
}

/// Appends the `k` smallest of `squared`, ties by place.
fn select(squared: &[f32], k: usize, at: &mut Vec<u32>, distance: &mut Vec<f32>) {
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(k + 1);
    let mut bound = f32::INFINITY;
    for (place, value) in squared.iter().enumerate() {
        if *value < bound {
            let insert = best.partition_point(|(kept, _)| kept <= value);
            best.insert(insert, (*value, place as u32));
            if k < best.len() {
                best.pop();
            }
            if best.len() == k {
                bound = best.last().map_or(bound, |(kept, _)| *kept);
            }
        }
    }
    best.resize(k, (f32::INFINITY, u32::MAX));
    at.extend(best.iter().map(|(_, place)| *place));
    distance.extend(best.iter().map(|(squared, _)| squared.max(0.0).sqrt()));
}
