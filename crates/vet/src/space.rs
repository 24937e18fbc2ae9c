//! Rows as points: where detectors that measure distances or fit planes look at them.
//!
//! Numbers are centred and divided by their spread, missing ones stand at the mean. Pixels and
//! vectors are divided by one common spread, since their zeros and small values mean something
//! together. Categories differ by [`MISMATCH`] (squared). Texts are weighted words (term
//! frequency times inverse document frequency, sublinear, of length 1: G. Salton and C. Buckley,
//! *Term-weighting approaches in automatic text retrieval*, 1988) and differ by two less twice
//! their cosine, times [`TEXT`].

use std::collections::HashMap;

use bartizan_stats::ln::ln;

use crate::table::{Feature, Kind, Table};
use crate::tokens;

/// Squared distance between two categories.
pub(crate) const MISMATCH: f32 = 1.0;
/// Weight of the squared distance between two texts.
pub(crate) const TEXT: f32 = 8.0;
/// Byte columns from which on they are taken for pixels.
const PIXELS_MIN: usize = 16;
/// A column of categories with more different values than this names rows, it does not describe
/// them.
const DESCRIBES_MAX: usize = 1_000;

/// Texts as weights of words: row `r` has entries `starts[r]..starts[r + 1]`, ascending by term.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sparse {
    pub(crate) starts: Vec<usize>,
    pub(crate) terms: Vec<u32>,
    pub(crate) weights: Vec<f32>,
    pub(crate) n_terms: usize,
}

impl Sparse {
    /// Terms and weights of one row.
    pub(crate) fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.starts[row]..self.starts[row + 1];
        (&self.terms[range.clone()], &self.weights[range])
    }
}

/// Points; see the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space {
    pub(crate) n: usize,
    /// Numbers a point.
    pub(crate) d: usize,
    pub(crate) dense: Vec<f32>,
    /// Categories a point.
    pub(crate) c: usize,
    pub(crate) codes: Vec<u16>,
    pub(crate) text: Option<Sparse>,
}

impl Space {
    pub(crate) fn point(&self, at: usize) -> &[f32] {
        &self.dense[at * self.d..(at + 1) * self.d]
    }

    pub(crate) fn categories(&self, at: usize) -> &[u16] {
        &self.codes[at * self.c..(at + 1) * self.c]
    }
}

/// How one column becomes part of a point.
enum Part {
    /// `width` numbers: less the means, divided by the spreads.
    Dense(Vec<(f32, f32)>),
    /// A code by the name.
    Code(HashMap<String, u16>),
    Text,
    Unused,
}

/// How tables become points.
pub(crate) struct Scales {
    parts: Vec<(String, Part)>,
    vocabulary: HashMap<u64, u32>,
    /// Inverse document frequency of each term.
    idf: Vec<f32>,
}

/// Mean and spread of the finite ones of `values`; spread 1 where there is none.
fn mean_spread(values: impl Iterator<Item = f32> + Clone) -> (f32, f32) {
    let (mut n, mut sum) = (0.0_f64, 0.0_f64);
    for x in values.clone().filter(|x| x.is_finite()) {
        n += 1.0;
        sum += f64::from(x);
    }
    let mean = if n == 0.0 { 0.0 } else { sum / n };
    let squares: f64 =
        values.filter(|x| x.is_finite()).map(|x| (f64::from(x) - mean).powi(2)).sum();
    let spread = if n == 0.0 { 0.0 } else { (squares / n).sqrt() };
    (mean as f32, if spread > 0.0 { spread as f32 } else { 1.0 })
}

/// Whether `features` holds an image, a byte a pixel.
pub(crate) fn has_pixels(features: &[Feature]) -> bool {
    let is_pixel = |f: &&Feature| f.is_bytes && matches!(f.kind, Kind::Number(_));
    PIXELS_MIN <= features.iter().filter(is_pixel).count()
}

impl Scales {
    /// Learns from `rows` of `table`.
    pub(crate) fn learn(table: &Table, rows: &[u32]) -> Self {
        let is_pixels = has_pixels(&table.features);
        let mut parts: Vec<(String, Part)> = Vec::new();
        for feature in &table.features {
            let part = match &feature.kind {
                Kind::Number(values) => {
                    let taken = rows.iter().map(|row| values[*row as usize]);
                    Part::Dense(vec![mean_spread(taken)])
                }
                Kind::Vector { width, values } => {
                    let of = |at: usize| {
                        mean_spread(rows.iter().map(move |row| values[*row as usize * width + at]))
                    };
                    Part::Dense((0..*width).map(of).collect())
                }
                Kind::Code(coded) if coded.names.len() <= DESCRIBES_MAX => {
                    let named = |(at, name): (usize, &String)| (name.clone(), at as u16);
                    Part::Code(coded.names.iter().enumerate().map(named).collect())
                }
                Kind::Code(_) => Part::Unused,
                Kind::Text(_) => Part::Text,
            };
            parts.push((feature.name.clone(), part));
        }
        let pixel: Vec<bool> = table.features.iter().map(|f| is_pixels && f.is_bytes).collect();
        common_spread(parts.iter_mut().zip(&pixel).filter(|(_, p)| **p).map(|(part, _)| part));
        for (at, feature) in table.features.iter().enumerate() {
            if matches!(feature.kind, Kind::Vector { .. }) {
                common_spread(parts[at..=at].iter_mut());
            }
        }
        let (vocabulary, idf) = vocabulary(table, rows);
        Self { parts, vocabulary, idf }
    }

    /// `rows` of `table` as points.
    pub(crate) fn map(&self, table: &Table, rows: &[u32]) -> Space {
        let n = rows.len();
        let width = |part: &Part| if let Part::Dense(scales) = part { scales.len() } else { 0 };
        let d = self.parts.iter().map(|(_, part)| width(part)).sum();
        let c = self.parts.iter().filter(|(_, part)| matches!(part, Part::Code(_))).count();
        let (mut dense, mut codes) = (vec![0.0; n * d], vec![0; n * c]);
        let (mut dense_at, mut code_at) = (0, 0);
        let mut has_text = false;
        for (name, part) in &self.parts {
            let feature = table.features.iter().find(|feature| feature.name == *name);
            let kind = feature.map(|feature| &feature.kind);
            match part {
                Part::Dense(scales) => {
                    let values = match kind {
                        Some(Kind::Number(values)) if scales.len() == 1 => Some(values),
                        Some(Kind::Vector { width, values }) if *width == scales.len() => {
                            Some(values)
                        }
                        Some(_) | None => None,
                    };
                    if let Some(values) = values {
                        fill(&mut dense, d, dense_at, rows, values, scales);
                    }
                    dense_at += scales.len();
                }
                Part::Code(by_name) => {
                    if let Some(Kind::Code(coded)) = kind {
                        let known: Vec<u16> = coded
                            .names
                            .iter()
                            .map(|name| by_name.get(name).copied().unwrap_or(u16::MAX - 1))
                            .collect();
                        for (at, row) in rows.iter().enumerate() {
                            let code = coded.codes[*row as usize] as usize;
                            codes[at * c + code_at] = known.get(code).copied().unwrap_or(u16::MAX);
                        }
                    }
                    code_at += 1;
                }
                Part::Text => has_text = true,
                Part::Unused => {}
            }
        }
        let text = has_text.then(|| self.weigh(table, rows));
        Space { n, d, dense, c, codes, text }
    }

    fn weigh(&self, table: &Table, rows: &[u32]) -> Sparse {
        let mut sparse = Sparse { n_terms: self.vocabulary.len(), ..Sparse::default() };
        sparse.starts.push(0);
        let mut terms: Vec<u32> = Vec::new();
        for row in rows {
            terms.clear();
            let texts = texts(table, *row as usize);
            terms.extend(
                texts
                    .flat_map(|text| tokens::runs(text, 2))
                    .filter_map(|(hash, ..)| self.vocabulary.get(&hash).copied()),
            );
            terms.sort_unstable();
            let first = sparse.terms.len();
            for group in terms.chunk_by(|a, b| a == b) {
                sparse.terms.push(group[0]);
                sparse.weights.push(1.0 + ln(group.len() as f64) as f32);
            }
            sparse.starts.push(sparse.terms.len());
            let mut squares = 0.0_f32;
            for at in first..sparse.terms.len() {
                sparse.weights[at] *= self.idf[sparse.terms[at] as usize];
                squares += sparse.weights[at] * sparse.weights[at];
            }
            let length = if squares > 0.0 { squares.sqrt() } else { 1.0 };
            sparse.weights[first..].iter_mut().for_each(|weight| *weight /= length);
        }
        sparse
    }
}

fn fill(
    dense: &mut [f32],
    d: usize,
    at: usize,
    rows: &[u32],
    values: &[f32],
    scales: &[(f32, f32)],
) {
    for (point, row) in rows.iter().enumerate() {
        let from = &values[*row as usize * scales.len()..];
        for (idx, (mean, spread)) in scales.iter().enumerate() {
            let x = (from[idx] - mean) / spread;
            dense[point * d + at + idx] = if x.is_nan() { 0.0 } else { x.clamp(-1e6, 1e6) };
        }
    }
}

/// Gives all dense parts one spread: the root of their mean square spread.
fn common_spread<'a>(parts: impl Iterator<Item = &'a mut (String, Part)>) {
    let mut parts: Vec<_> = parts.collect();
    let (mut n, mut squares) = (0.0_f64, 0.0_f64);
    for (_, part) in &parts {
        if let Part::Dense(scales) = part {
            for (_, spread) in scales {
                // A constant column was given the spread 1, which is small beside bytes.
                squares += f64::from(*spread).powi(2);
                n += 1.0;
            }
        }
    }
    let common = if n == 0.0 { 1.0 } else { (squares / n).sqrt() as f32 };
    for (_, part) in &mut parts {
        if let Part::Dense(scales) = part {
            scales.iter_mut().for_each(|(_, spread)| *spread = common);
        }
    }
}

/// The texts of one row, of all columns of free text.
pub(crate) fn texts(table: &Table, row: usize) -> impl Iterator<Item = &[u8]> {
    table.features.iter().filter_map(move |feature| match &feature.kind {
        Kind::Text(texts) => Some(texts.row(row)),
        Kind::Number(_) | Kind::Code(_) | Kind::Vector { .. } => None,
    })
}

/// Words and pairs of words that at least two of `rows` hold: term and inverse document frequency.
fn vocabulary(table: &Table, rows: &[u32]) -> (HashMap<u64, u32>, Vec<f32>) {
    let mut counts: HashMap<u64, (u32, u32)> = HashMap::new();
    for row in rows {
        for (hash, ..) in texts(table, *row as usize).flat_map(|text| tokens::runs(text, 2)) {
            let (count, last) = counts.entry(hash).or_insert((0, u32::MAX));
            if last != row {
                *last = *row;
                *count += 1;
            }
        }
    }
    let mut kept: Vec<(u64, u32)> = counts
        .into_iter()
        .filter(|(_, (count, _))| 2 <= *count)
        .map(|(hash, (count, _))| (hash, count))
        .collect();
    kept.sort_unstable();
    let n = rows.len() as f64;
    let idf = |count: u32| (ln((1.0 + n) / (1.0 + f64::from(count))) + 1.0) as f32;
    let weights = kept.iter().map(|(_, count)| idf(*count)).collect();
    let term = |(term, (hash, _)): (usize, (u64, u32))| (hash, term as u32);
    (kept.into_iter().enumerate().map(term).collect(), weights)
}
