//! Columns that changed: against a trusted baseline, and from source to source.
//!
//! Against the baseline each number is guessed from the other columns by trees fitted on the
//! baseline, in a signed logarithmic scale; a change of unit leaves residuals that no row of the
//! baseline has. Where one ratio brings the rows back, it is named. From source to source columns
//! are compared by the two-sample statistic of Kolmogorov and Smirnov (F. J. Massey, 1951).

use bartizan_stats::exp::exp;
use bartizan_stats::ln::ln;
use bartizan_stats::quantile::{quantile, sorted};
use bartizan_stats::tail::binomial_z;

use crate::sample::Means;
use crate::source::SourceFacts;
use crate::table::{Coded, Kind, Table};
use crate::trees::{Binner, Bins, Forest, Growth};

/// Rows of the baseline that trees are fitted to.
const BASE_ROWS: usize = 8_000;
/// Columns of numbers that are guessed; beyond, none is.
pub(crate) const COLUMNS_MAX: usize = 64;
/// Least z of the count of strange residuals of a changed column.
pub(crate) const Z_MIN: f64 = 6.0;
/// Least statistic (distance times the root of the effective number of rows) of a shifted source:
/// by chance once in 3e7.
pub(crate) const LAMBDA_MIN: f64 = 3.0;
/// Least distance between the distributions of a shifted source.
pub(crate) const DISTANCE_MIN: f64 = 0.15;
/// Ratios between units, and what they are.
const RATIOS: &[(f32, &str)] = &[
    (60.0, "60: minutes for hours, or seconds for minutes"),
    (3_600.0, "3600: seconds for hours"),
    (24.0, "24: hours for days"),
    (7.0, "7: days for weeks"),
    (12.0, "12: months for years, or inches for feet"),
    (365.25, "365.25: days for years"),
    (52.0, "52: weeks for years"),
    (10.0, "10"),
    (100.0, "100: percent for shares, or cents for units"),
    (1_000.0, "1000"),
    (1_024.0, "1024: bytes for kibibytes"),
    (25.4, "25.4: millimetres for inches"),
    (2.54, "2.54: centimetres for inches"),
    (30.48, "30.48: centimetres for feet"),
    (3.280_84, "3.28: feet for metres"),
    (1.609_34, "1.609: kilometres for miles"),
    (2.204_62, "2.205: pounds for kilograms"),
    (28.349_5, "28.35: grams for ounces"),
    (57.295_78, "57.3: degrees for radians"),
];

/// A column against the baseline.
#[derive(Clone, Debug)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// How many deviations the count of strange residuals is above the baseline's.
    pub z: f64,
    /// Rows beyond the baseline's 99.5th percentile.
    pub n_strange: usize,
    /// What they were multiplied by, if one ratio explains them.
    pub ratio: Option<String>,
}

/// What was found.
pub(crate) struct Shift {
    pub(crate) columns: Vec<ColumnFacts>,
    pub(crate) scores: Vec<f32>,
    /// Rows of each changed column, by its place in `columns`.
    pub(crate) strange: Vec<(usize, Vec<u32>)>,
}

/// Signed logarithm of a number in units of `scale`.
fn squeeze(x: f32, scale: f32) -> f32 {
    let size = ln(1.0 + f64::from(x.abs() / scale)) as f32;
    if x < 0.0 { -size } else { size }
}

/// Residuals of one column.
struct Residuals {
    feature: usize,
    scale: f32,
    /// 95th and 99.5th percentile of the baseline's own.
    usual: (f32, f32),
    /// Guess, squeezed, of each row.
    guess: Vec<f32>,
    /// Absolute residual of each row; 0 where the value is missing.
    size: Vec<f32>,
}

/// Compares `table` with `baseline`.
pub(crate) fn against(table: &Table, baseline: &Table, means: Means) -> Shift {
    let places: Vec<(usize, usize)> = table
        .features
        .iter()
        .enumerate()
        .filter(|(_, feature)| matches!(feature.kind, Kind::Number(_)))
        .filter_map(|(at, feature)| {
            let same = |base: &crate::table::Feature| {
                base.name == feature.name && matches!(base.kind, Kind::Number(_))
            };
            Some((at, baseline.features.iter().position(same)?))
        })
        .collect();
    let aligned = table.features.len() == baseline.features.len()
        && table.features.iter().zip(&baseline.features).all(|(a, b)| a.name == b.name);
    if COLUMNS_MAX < places.len() || !aligned {
        return Shift { columns: Vec::new(), scores: vec![0.0; table.n_rows], strange: Vec::new() };
    }
    let found =
        means.threads.map(places.len(), |at| residuals(table, baseline, places[at].0, means.seed));
    let mut shift =
        Shift { columns: Vec::new(), scores: vec![0.0; table.n_rows], strange: Vec::new() };
    for found in found.iter().flatten() {
        let count = found.size.iter().filter(|size| found.usual.1 < **size).count();
        let z = binomial_z(count as f64, table.n_rows as f64, 0.008);
        let name = table.features[found.feature].name.clone();
        shift.columns.push(ColumnFacts { name, z, n_strange: count, ratio: None });
    }
    let most = shift.columns.iter().map(|column| column.z).fold(0.0, f64::max);
    for (at, found) in found.iter().flatten().enumerate() {
        let column = &mut shift.columns[at];
        if column.z < Z_MIN || column.z < 0.5 * most {
            continue;
        }
        let rows: Vec<u32> = (0..table.n_rows as u32)
            .filter(|row| found.usual.1 < found.size[*row as usize])
            .collect();
        column.ratio = ratio(table, found, &rows);
        for (score, size) in shift.scores.iter_mut().zip(&found.size) {
            *score = score.max(size / found.usual.1 / 4.0);
        }
        shift.strange.push((at, rows));
    }
    shift
}

fn growth(seed: u64) -> Growth {
    Growth {
        rounds: 40,
        leaves: 12,
        rate: 0.15,
        leaf_rows_min: 8.0,
        ridge: 1.0,
        columns_share: 0.8,
        seed,
    }
}

fn residuals(table: &Table, baseline: &Table, feature: usize, seed: u64) -> Option<Residuals> {
    let name = &table.features[feature].name;
    let base_at = baseline.features.iter().position(|f| f.name == *name)?;
    let (Kind::Number(values), Kind::Number(known)) =
        (&table.features[feature].kind, &baseline.features[base_at].kind)
    else {
        return None;
    };
    let mut chance = bartizan_stats::chance::Chance::new(seed, 11);
    let rows: Vec<u32> = chance
        .sample(baseline.n_rows, BASE_ROWS)
        .into_iter()
        .map(|row| row as u32)
        .filter(|row| !known[*row as usize].is_nan())
        .collect();
    if rows.len() < 50 {
        return None;
    }
    let sizes = sorted(known.iter().map(|x| f64::from(x.abs())).filter(|x| 0.0 < *x));
    let scale = if sizes.is_empty() { 1.0 } else { (0.1 * quantile(&sizes, 0.5)) as f32 };
    let order = |row: usize| if known[row].is_nan() { 0.0 } else { squeeze(known[row], scale) };
    let binner = Binner::learn(baseline, &rows, &order, Some(base_at));
    let bins = binner.map(baseline, &rows);
    let targets: Vec<f32> = rows.iter().map(|row| squeeze(known[*row as usize], scale)).collect();
    let places = |parity: u32| (0..rows.len() as u32).filter(move |at| at % 3 != parity);
    let forests: Vec<Forest> = (0..3)
        .map(|parity| {
            let learnt: Vec<u32> = places(parity).collect();
            Forest::numbers(&bins, &targets, &learnt, &growth(seed))
        })
        .collect();
    let own = |at: usize| (targets[at] - forests[at % 3].number(&bins, at)).abs();
    let errors = sorted((0..rows.len()).map(|at| f64::from(own(at))));
    let floor = 1e-3 + 0.02 * spread(&targets);
    let usual = (quantile(&errors, 0.95) as f32, quantile(&errors, 0.995) as f32);
    let usual = (usual.0.max(floor), usual.1.max(floor));
    let all: Vec<u32> = (0..table.n_rows as u32).collect();
    let mut guess = Vec::with_capacity(all.len());
    for rows in all.chunks(crate::sample::PIECE) {
        let bins: Bins = binner.map(table, rows);
        let mean = |at: usize| forests.iter().map(|f| f.number(&bins, at)).sum::<f32>() / 3.0;
        guess.extend((0..rows.len()).map(mean));
    }
    let size = |(x, guess): (&f32, &f32)| {
        if x.is_nan() { 0.0 } else { (squeeze(*x, scale) - guess).abs() }
    };
    let size = values.iter().zip(&guess).map(size).collect();
    Some(Residuals { feature, scale, usual, guess, size })
}

fn spread(values: &[f32]) -> f32 {
    let sorted = sorted(values.iter().map(|x| f64::from(*x)));
    (quantile(&sorted, 0.9) - quantile(&sorted, 0.1)) as f32
}

/// The ratio under which most strange rows are ordinary again.
fn ratio(table: &Table, found: &Residuals, rows: &[u32]) -> Option<String> {
    let Kind::Number(values) = &table.features[found.feature].kind else { return None };
    let back = |ratio: &dyn Fn(f32) -> f32| {
        let fits = |row: &&u32| {
            let x = ratio(values[**row as usize]);
            (squeeze(x, found.scale) - found.guess[**row as usize]).abs() <= found.usual.0
        };
        rows.iter().filter(fits).count() as f64 / rows.len().max(1) as f64
    };
    let distance = |ratio: &dyn Fn(f32) -> f32| {
        let off = |row: &u32| {
            let x = ratio(values[*row as usize]);
            f64::from((squeeze(x, found.scale) - found.guess[*row as usize]).abs())
        };
        bartizan_stats::quantile::median(rows.iter().map(off))
    };
    let mut best: Option<(f64, String)> = None;
    let mut consider = |name: String, ratio: &dyn Fn(f32) -> f32| {
        if back(ratio) < 0.5 {
            return;
        }
        let off = distance(ratio);
        if best.as_ref().is_none_or(|(least, _)| off < *least) {
            best = Some((off, name));
        }
    };
    for (ratio, name) in RATIOS {
        consider(format!("x {name}"), &|x| x / ratio);
        consider(format!("/ {name}"), &|x| x * ratio);
    }
    consider("degrees Fahrenheit for Celsius".into(), &|x| (x - 32.0) / 1.8);
    consider("degrees Celsius for Fahrenheit".into(), &|x| x * 1.8 + 32.0);
    consider("kelvins for degrees Celsius".into(), &|x| x - 273.15);
    consider("the sign".into(), &|x| -x);
    best.map(|(_, name)| name)
}

/// Two-sample distance of ascending values: largest gap between their distribution functions.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    let (mut i, mut j, mut most) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let x = a[i].min(b[j]);
        while i < a.len() && a[i] <= x {
            i += 1;
        }
        while j < b.len() && b[j] <= x {
            j += 1;
        }
        most = most.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    most
}

/// Adds to `facts` how far each source's columns are from the other sources'. Gives each row its
/// source's share of that.
pub(crate) fn by_source(
    table: &Table,
    source: &Coded,
    facts: &mut [SourceFacts],
    means: Means,
) -> Vec<f32> {
    let n = source.names.len();
    let columns = means.threads.map(table.features.len(), |at| {
        let feature = &table.features[at];
        let tests = match &feature.kind {
            Kind::Number(values) => compare_numbers(values, source, n),
            Kind::Code(coded) => compare_codes(coded, source, n),
            Kind::Text(_) | Kind::Vector { .. } => vec![0.0; n],
        };
        (feature.name.clone(), tests)
    });
    for (name, tests) in columns {
        for (facts, lambda) in facts.iter_mut().zip(tests) {
            if facts.shift_z < lambda {
                facts.shift_z = lambda;
                facts.shift_column = Some(name.clone());
            }
        }
    }
    let score = |code: &u32| {
        let lambda = facts.get(*code as usize).map_or(0.0, |facts| facts.shift_z);
        (lambda / (lambda + LAMBDA_MIN)) as f32
    };
    source.codes.iter().map(score).collect()
}

fn compare_numbers(values: &[f32], source: &Coded, n: usize) -> Vec<f64> {
    let mut order: Vec<u32> =
        (0..values.len() as u32).filter(|row| !values[*row as usize].is_nan()).collect();
    order.sort_unstable_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
    let of = |wanted: u32| {
        let (mut own, mut rest) = (Vec::new(), Vec::new());
        for row in &order {
            let x = f64::from(values[*row as usize]);
            if source.codes[*row as usize] == wanted { own.push(x) } else { rest.push(x) }
        }
        significant(distance(&own, &rest), own.len(), rest.len())
    };
    (0..n as u32).map(of).collect()
}

fn compare_codes(coded: &Coded, source: &Coded, n: usize) -> Vec<f64> {
    let k = coded.names.len() + 1;
    let mut counts = vec![0.0_f64; n * k];
    for (code, source) in coded.codes.iter().zip(&source.codes) {
        if (*source as usize) < n {
            counts[*source as usize * k + (*code as usize).min(k - 1)] += 1.0;
        }
    }
    let of = |wanted: usize| {
        let own = &counts[wanted * k..(wanted + 1) * k];
        let sum = |at: usize| (0..n).map(|s| counts[s * k + at]).sum::<f64>() - own[at];
        let n_own: f64 = own.iter().sum();
        let n_rest: f64 = (0..k).map(sum).sum();
        let gap = |at: usize| (own[at] / n_own.max(1.0) - sum(at) / n_rest.max(1.0)).max(0.0);
        let most = (0..k).map(gap).fold(0.0, f64::max);
        significant(most, n_own as usize, n_rest as usize)
    };
    (0..n).map(of).collect()
}

/// The statistic, or 0 where the distance is too small to matter.
fn significant(distance: f64, a: usize, b: usize) -> f64 {
    let effective = a as f64 * b as f64 / ((a + b) as f64).max(1.0);
    if distance < DISTANCE_MIN { 0.0 } else { distance * effective.sqrt() }
}

/// Chance of a statistic at least `lambda`: first term of Kolmogorov's series.
pub(crate) fn chance_of(lambda: f64) -> f64 {
    (2.0 * exp(-2.0 * lambda * lambda)).min(1.0)
}
