//! Nearest points, by looking at all of them.

use bartizan_stats::sum::{LANES, dot_f32};

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
    /// Squared length of each point.
    squares: Vec<f32>,
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
        let squares = (0..space.n).map(|at| dot_f32(space.point(at), space.point(at))).collect();
        Self { width, dense, squares }
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
                let from = at.len();
                select(squared, self.k, &mut at, &mut distance);
                self.refine(query + lane, &mut at[from..], &mut distance[from..]);
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
        let own: [f32; BLOCK] = std::array::from_fn(|lane| {
            let point = self.queries.point(query + lane.min(block - 1));
            dot_f32(point, point)
        });
        let references = self.padded.dense.chunks_exact(width).zip(&self.padded.squares);
        for (reference, (point, square)) in references.enumerate() {
            let dots = dots(point.as_chunks::<LANES>().0, points, lanes);
            for lane in 0..BLOCK {
                squared[lane * n + reference] = own[lane] + square - 2.0 * dots[lane];
            }
        }
    }

    /// Distances of those selected, without the cancellation of squares less products, which is
    /// as large as what near copies differ by.
    fn refine(&self, query: usize, at: &mut [u32], distance: &mut [f32]) {
        let own = self.queries.point(query);
        let codes = self.queries.categories(query);
        let mut exact: Vec<(f32, u32)> = Vec::with_capacity(at.len());
        for (place, rough) in at.iter().zip(distance.iter()) {
            let other = *place as usize;
            if self.references.n <= other || self.postings.is_some() {
                exact.push((*rough, *place));
                continue;
            }
            let mut sum = 0.0_f32;
            for (a, b) in own.iter().zip(self.references.point(other)) {
                sum += (a - b) * (a - b);
            }
            let differ =
                codes.iter().zip(self.references.categories(other)).filter(|(a, b)| a != b);
            sum += MISMATCH * differ.count() as f32;
            exact.push((sum.sqrt(), *place));
        }
        exact.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for ((at, distance), (exact, place)) in at.iter_mut().zip(distance).zip(exact) {
            (*at, *distance) = (place, exact);
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

/// Products of `a` with each of the [`BLOCK`] points in `b`, `lanes` chunks each, summed in 8
/// lanes as [`dot_f32`] does.
fn dots(a: &[[f32; LANES]], b: &[[f32; LANES]], lanes: usize) -> [f32; BLOCK] {
    let mut sums = [[0.0_f32; LANES]; BLOCK];
    let (b0, rest) = b.split_at(lanes);
    let (b1, rest) = rest.split_at(lanes);
    let (b2, b3) = rest.split_at(lanes);
    for ((((x, y0), y1), y2), y3) in a.iter().zip(b0).zip(b1).zip(b2).zip(b3) {
        for (sum, y) in sums.iter_mut().zip([y0, y1, y2, y3]) {
            for lane in 0..LANES {
                sum[lane] += x[lane] * y[lane];
            }
        }
    }
    sums.map(|s| ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])))
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
