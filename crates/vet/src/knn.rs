//! Nearest points, by looking at all of them.

use bartizan_stats::sum::dot_f32;

use crate::parallel::Threads;
use crate::space::{MISMATCH, Space, TEXT};

/// Queries of a block: each tile of references is fetched once for all of them.
const BLOCK: usize = 8;
/// References side by side in a tile. So many that the compiler keeps the loop over them and
/// makes vectors of it; eight, unrolled, it shuffles.
const TILE: usize = 64;
/// Distances that are looked at together for one that is near enough.
const SCAN: usize = 16;
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
    let tiles = Tiles::new(references);
    let search = Search { references, tiles, queries, skip, postings: postings.as_ref(), k };
    let pieces = threads.map_ranges(queries.n, CHUNK, |range| search.run(range));
    let mut found = Neighbours { k, at: Vec::new(), distance: Vec::new() };
    for (at, distance) in pieces {
        found.at.extend(at);
        found.distance.extend(distance);
    }
    found
}

/// The references' numbers, [`TILE`] points side by side: of each tile its first column, then its
/// second, so that one query's products with all points of a tile are summed at once. Points that
/// fill the last tile are zeros and not looked at.
struct Tiles {
    d: usize,
    columns: Vec<[f32; TILE]>,
    /// Squared length of each point.
    squares: Vec<[f32; TILE]>,
}

impl Tiles {
    fn new(space: &Space) -> Self {
        let n_tiles = space.n.div_ceil(TILE);
        let mut columns = vec![[0.0; TILE]; n_tiles * space.d];
        let mut squares = vec![[0.0; TILE]; n_tiles];
        for at in 0..space.n {
            let (tile, lane) = (at / TILE, at % TILE);
            let point = space.point(at);
            for (column, value) in columns[tile * space.d..].iter_mut().zip(point) {
                column[lane] = *value;
            }
            squares[tile][lane] = dot_f32(point, point);
        }
        Self { d: space.d, columns, squares }
    }
}

struct Search<'a> {
    references: &'a Space,
    tiles: Tiles,
    queries: &'a Space,
    skip: &'a Skip<'a>,
    postings: Option<&'a Postings>,
    k: usize,
}

impl Search<'_> {
    fn run(&self, range: std::ops::Range<usize>) -> (Vec<u32>, Vec<f32>) {
        let n = self.references.n;
        let stride = self.tiles.squares.len() * TILE;
        let mut squared = vec![0.0_f32; stride * BLOCK];
        let mut best = Best::new(self.k);
        let (mut at, mut distance) = (Vec::new(), Vec::new());
        let mut query = range.start;
        while query < range.end {
            let block = BLOCK.min(range.end - query);
            self.dense(query, block, &mut squared);
            for lane in 0..block {
                let squared = &mut squared[lane * stride..lane * stride + n];
                self.categories(query + lane, squared);
                self.texts(query + lane, squared);
                if let Skip::Own(own) = self.skip
                    && let Some(own) = squared.get_mut(own[query + lane] as usize)
                {
                    *own = f32::INFINITY;
                }
                let from = at.len();
                best.select(squared, &mut at, &mut distance);
                self.refine(query + lane, &mut at[from..], &mut distance[from..]);
            }
            query += block;
        }
        (at, distance)
    }

    fn dense(&self, query: usize, block: usize, squared: &mut [f32]) {
        let d = self.tiles.d;
        if d == 0 {
            squared.iter_mut().for_each(|x| *x = 0.0);
            return;
        }
        // A short block repeats its last query, whose lanes are not looked at.
        let point = |lane: usize| self.queries.point(query + lane.min(block - 1));
        let own: [f32; BLOCK] = std::array::from_fn(|lane| dot_f32(point(lane), point(lane)));
        let stride = self.tiles.squares.len() * TILE;
        let tiles = self.tiles.columns.chunks_exact(d).zip(&self.tiles.squares);
        for (tile, (columns, squares)) in tiles.enumerate() {
            for (lane, own) in own.iter().enumerate() {
                let dots = dots(columns, point(lane));
                let from = lane * stride + tile * TILE;
                let to = squared[from..from + TILE].iter_mut();
                for ((to, square), dot) in to.zip(squares).zip(dots) {
                    *to = own + square - 2.0 * dot;
                }
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

/// Products of the points of a tile with a query, four columns at a time.
fn dots(columns: &[[f32; TILE]], point: &[f32]) -> [f32; TILE] {
    let mut sums = [0.0_f32; TILE];
    let (fours, rest) = columns.as_chunks::<4>();
    let (point, last) = point.as_chunks::<4>();
    for ([a, b, c, d], [p, q, r, s]) in fours.iter().zip(point) {
        for lane in 0..TILE {
            sums[lane] += (a[lane] * p + b[lane] * q) + (c[lane] * r + d[lane] * s);
        }
    }
    for (column, value) in rest.iter().zip(last) {
        for (sum, x) in sums.iter_mut().zip(column) {
            *sum += x * value;
        }
    }
    sums
}

/// The `k` nearest of one query; kept from query to query for its memory.
struct Best {
    k: usize,
    /// Candidates kept before those beyond the `k`th are dropped.
    full: usize,
    kept: Vec<(f32, u32)>,
}

impl Best {
    fn new(k: usize) -> Self {
        let full = (4 * k).max(64);
        Self { k, full, kept: Vec::with_capacity(full) }
    }

    /// Appends the `k` smallest of `squared`, ties by place.
    fn select(&mut self, squared: &[f32], at: &mut Vec<u32>, distance: &mut Vec<f32>) {
        self.kept.clear();
        let mut bound = f32::INFINITY;
        for (piece, values) in squared.chunks(SCAN).enumerate() {
            // Nearly no piece holds a near one.
            if !values.iter().fold(false, |any, value| any | (*value < bound)) {
                continue;
            }
            for (lane, value) in values.iter().enumerate() {
                if *value < bound {
                    self.kept.push((*value, (piece * SCAN + lane) as u32));
                    if self.kept.len() == self.full {
                        bound = self.cut();
                    }
                }
            }
        }
        self.cut();
        self.kept.sort_unstable_by(nearer);
        self.kept.resize(self.k, (f32::INFINITY, u32::MAX));
        at.extend(self.kept.iter().map(|(_, place)| *place));
        distance.extend(self.kept.iter().map(|(squared, _)| squared.max(0.0).sqrt()));
    }

    /// Drops all but the `k` nearest. Later places are farther where they are as near, so that
    /// what follows must be nearer than the `k`th, which is given back.
    fn cut(&mut self) -> f32 {
        if self.kept.len() <= self.k || self.k == 0 {
            self.kept.truncate(self.k);
            return f32::INFINITY;
        }
        let (_, last, _) = self.kept.select_nth_unstable_by(self.k - 1, nearer);
        let bound = last.0;
        self.kept.truncate(self.k);
        bound
    }
}

fn nearer(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Few different values, so that ties are many.
    fn values(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f32>> {
        proptest::collection::vec((0_u8..40).prop_map(f32::from), n)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_selected_are_those_of_a_whole_sort(squared in values(0..700), k in 0_usize..70) {
            let mut expected: Vec<(f32, u32)> =
                squared.iter().enumerate().map(|(at, x)| (*x, at as u32)).collect();
            expected.sort_by(nearer);
            expected.resize(k.max(expected.len()), (f32::INFINITY, u32::MAX));
            let (mut at, mut distance) = (Vec::new(), Vec::new());
            let mut best = Best::new(k);
            // The second query finds the memory of the first.
            best.select(&squared, &mut at, &mut distance);
            best.select(&squared, &mut at, &mut distance);
            let once: Vec<u32> = expected[..k].iter().map(|(_, place)| *place).collect();
            prop_assert_eq!(at, [once.clone(), once].concat());
        }

        #[test]
        fn neighbours_are_those_of_every_pair_compared(
            dense in values(0..120), d in 1_usize..11, k in 1_usize..6,
        ) {
            let n = dense.len() / d;
            let dense = dense[..n * d].to_vec();
            let space = Space { n, d, dense, ..Space::default() };
            let own: Vec<u32> = (0..n as u32).collect();
            let found = nearest(&space, &space, &Skip::Own(&own), k, Threads::new(2));
            for query in 0..n {
                let far = |at: usize| -> f32 {
                    let pairs = space.point(query).iter().zip(space.point(at));
                    pairs.map(|(a, b)| (a - b) * (a - b)).sum()
                };
                let mut all: Vec<f32> = (0..n).filter(|at| *at != query).map(far).collect();
                all.sort_by(f32::total_cmp);
                let told: Vec<f32> = found.of(query).map(|(_, distance)| distance).collect();
                let expected: Vec<f32> = all.iter().take(k).map(|x| x.sqrt()).collect();
                prop_assert_eq!(told, expected, "query {}", query);
            }
        }
    }
}
