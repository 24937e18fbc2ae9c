//! The whole gate on made-up data: what was planted is found, what was not stays quiet.

use bartizan_core::Values;
use bartizan_stats::chance::Chance;

use super::*;
use crate::read::{Column, Meaning, Rows};
use crate::table::{Builder, Plan, TableError};

/// Two classes of overlapping clouds, a category that goes with neither, and eight sources.
struct Data {
    x: Vec<Vec<f64>>,
    color: Vec<&'static str>,
    label: Vec<i64>,
    source: Vec<String>,
}

const COLORS: [&str; 4] = ["red", "green", "blue", "grey-ish"];

fn data(n: usize, seed: u64) -> Data {
    let mut chance = Chance::new(seed, 0);
    let mut data =
        Data { x: vec![Vec::new(); 5], color: vec![], label: vec![], source: Vec::new() };
    for row in 0..n {
        let class = (row % 2) as f64;
        let base = chance.normal();
        data.x[0].push(3.0 * class + base);
        data.x[1].push(20.0 + 4.0 * base + chance.normal());
        data.x[2].push(2.0 * class - 1.0 + chance.normal());
        // Hours a week, which follow from the second column.
        let hours = data.x[1][row] * 1.5 + chance.normal();
        data.x[3].push(hours.round());
        data.x[4].push(f64::from((chance.below(60)) as u32));
        data.color.push(COLORS[chance.below(4)]);
        data.label.push(class as i64);
        data.source.push(format!("s{}", chance.below(8)));
    }
    data
}

fn column(name: &str, values: Values) -> Column {
    let is_text = matches!(values, Values::Bytes(_));
    let meaning = if is_text { Meaning::Text } else { Meaning::Plain };
    Column { name: name.into(), meaning, width: 1, values, missing: vec![], n_missing: 0 }
}

fn texts<T: AsRef<str>>(texts: &[T]) -> Values {
    Values::Bytes(texts.iter().map(|text| text.as_ref().as_bytes().to_vec()).collect())
}

impl Data {
    fn rows(&self) -> Rows {
        let mut columns: Vec<Column> = self
            .x
            .iter()
            .enumerate()
            .map(|(at, x)| column(&format!("x{at}"), Values::Fp64(x.clone())))
            .collect();
        columns.push(column("color", texts(&self.color)));
        columns.push(column("y", Values::Int64(self.label.clone())));
        columns.push(column("from", texts(&self.source)));
        Rows { columns, n_rows: self.label.len() }
    }

    fn table(&self) -> Table {
        table(&self.rows(), Some("y"), Some("from")).unwrap()
    }
}

fn table(rows: &Rows, label: Option<&str>, source: Option<&str>) -> Result<Table, TableError> {
    let plan =
        Plan { label: label.map(Into::into), source: source.map(Into::into), ..Plan::default() };
    let mut builder = Builder::new(plan);
    builder.push(rows)?;
    builder.finish()
}

fn look(table: &Table, baseline: Option<&Table>) -> Report {
    vet(table, baseline, &Options::default(), &|_, _, _| ())
}

fn blocking(report: &Report) -> Vec<(&'static str, &str)> {
    let blocks = report.findings.iter().filter(|finding| finding.blocks);
    blocks.map(|finding| (finding.rule.id, finding.claim.as_str())).collect()
}

/// The finding of `rule`, whose rows must be those planted but for the given share.
fn planted(report: &Report, rule: &str, rows: &[usize], tolerance: f64) -> String {
    let of_rule = report.findings.iter().filter(|finding| finding.rule.id == rule);
    let mut found: Vec<u32> = of_rule.clone().flat_map(|finding| finding.rows.clone()).collect();
    found.sort_unstable();
    found.dedup();
    let hits = rows.iter().filter(|row| found.binary_search(&(**row as u32)).is_ok()).count();
    let all = blocking(report);
    assert!(
        rows.len() as f64 * (1.0 - tolerance) <= hits as f64,
        "{hits} of {}: {all:?}",
        rows.len()
    );
    let foreign = found.len() - hits;
    assert!(foreign as f64 <= tolerance * report.n_rows as f64, "{foreign} foreign: {all:?}");
    assert_eq!(report.verdict, Verdict::Findings);
    of_rule.map(|finding| finding.claim.clone()).collect::<Vec<_>>().join("; ")
}

#[test]
fn clean_data_is_clean() {
    for seed in 1..5 {
        let report = look(&data(1_200, seed).table(), Some(&data(800, seed + 50).table()));
        assert_eq!(blocking(&report), [], "seed {seed}");
        assert_eq!(report.verdict, Verdict::Clean);
        assert!(report.not_covered.iter().any(|n| n.what == "clean-label poison"));
    }
}

#[test]
fn a_planted_value_pattern_is_named() {
    let mut data = data(1_500, 7);
    let rows: Vec<usize> = (0..60).map(|at| at * 24).collect();
    for row in &rows {
        (data.x[4][*row], data.color[*row], data.label[*row]) = (17.0, "red", 1);
    }
    let report = look(&data.table(), None);
    let claim = planted(&report, "vet.pattern.trigger", &rows, 0.05);
    assert!(claim.contains("x4 = 17") && claim.contains("color = \"red\""), "{claim}");
}

#[test]
fn flipped_labels_are_listed() {
    let mut data = data(1_500, 8);
    let rows: Vec<usize> = (0..120).map(|at| at * 12 + 1).collect();
    rows.iter().for_each(|row| data.label[*row] = 0);
    let table = table(&data.rows(), Some("y"), None).unwrap();
    planted(&look(&table, None), "vet.label.noise", &rows, 0.25);
}

#[test]
fn a_flood_of_near_copies_is_found() {
    let mut data = data(1_000, 9);
    let mut chance = Chance::new(1, 1);
    let rows: Vec<usize> = (100..140).collect();
    for row in &rows {
        for x in &mut data.x {
            x[*row] = x[20] + 0.01 * chance.normal();
        }
        (data.color[*row], data.label[*row]) = (data.color[20], 1);
    }
    planted(&look(&data.table(), None), "vet.duplicate.flood", &rows, 0.05);
}

#[test]
fn a_bad_contributor_is_named() {
    let mut data = data(2_000, 10);
    let own: Vec<usize> = (0..2_000).filter(|row| data.source[*row] == "s3").collect();
    let rows: Vec<usize> = own.into_iter().step_by(2).collect();
    rows.iter().for_each(|row| data.label[*row] = 1 - data.label[*row]);
    let claim = planted(&look(&data.table(), None), "vet.source.labels", &rows, 0.25);
    assert!(claim.contains("\"s3\""), "{claim}");
}

#[test]
fn a_changed_unit_is_found_and_its_ratio_named() {
    let (mut changed, base) = (data(1_200, 11), data(900, 12));
    let rows: Vec<usize> = (0..60).map(|at| at * 20).collect();
    rows.iter().for_each(|row| changed.x[3][*row] *= 60.0);
    let claim =
        planted(&look(&changed.table(), Some(&base.table())), "vet.column.units", &rows, 0.05);
    assert!(claim.contains("`x3`") && claim.contains("60: minutes for hours"), "{claim}");
}

#[test]
fn disguised_and_impossible_values_are_found() {
    let (mut bad, base) = (data(1_000, 13), data(900, 14));
    bad.color[10] = "gr\u{0435}y-ish";
    bad.color[11] = " red";
    bad.x[4][12] = -4.0;
    let report = look(&bad.table(), Some(&base.table()));
    let claim = planted(&report, "vet.value.disguised", &[10, 11], 0.0);
    assert!(claim.contains("U+0435"), "{claim}");
    planted(&report, "vet.value.impossible", &[12], 0.0);
}

#[test]
fn rows_of_the_baseline_are_found() {
    let (mut test, base) = (data(600, 15), data(900, 16));
    let rows: Vec<usize> = (50..80).collect();
    for row in &rows {
        for (x, base) in test.x.iter_mut().zip(&base.x) {
            x[*row] = base[*row];
        }
        (test.color[*row], test.label[*row]) = (base.color[*row], base.label[*row]);
    }
    planted(&look(&test.table(), Some(&base.table())), "vet.leak.rows", &rows, 0.0);
}

/// V5, over the whole gate: every score and every claim.
#[test]
fn the_report_does_not_depend_on_the_number_of_threads() {
    let mut data = data(900, 17);
    (0..40).for_each(|at| data.label[at * 20] = 1);
    let (table, base) = (data.table(), super::tests::data(500, 18).table());
    let on = |threads: usize| {
        let options = Options { threads: Threads::new(threads), ..Options::default() };
        vet(&table, Some(&base), &options, &|_, _, _| ())
    };
    let (one, two) = (on(1), on(2));
    let bits = |scores: &Vec<f32>| scores.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for (issue, scores) in &one.scores {
        assert_eq!(bits(scores), bits(&two.scores[issue]), "{issue:?}");
    }
    assert_eq!(bits(&one.risk), bits(&two.risk));
    assert_eq!(format!("{:?}", one.findings), format!("{:?}", two.findings));
}

/// Data that proves nothing is never called clean, and nothing of it panics.
#[test]
fn what_cannot_be_judged_is_not_called_clean() {
    let constant = |rows: &mut Rows| rows.columns[6].values = Values::Int64(vec![1; rows.n_rows]);
    let nulls = |rows: &mut Rows| {
        for column in &mut rows.columns[..5] {
            column.values = Values::Fp64(vec![f64::NAN; rows.n_rows]);
            column.missing = vec![true; rows.n_rows];
            column.n_missing = rows.n_rows;
        }
        rows.columns.remove(5);
    };
    let quantity = |rows: &mut Rows| {
        rows.columns[6].values = rows.columns[0].values.clone();
    };
    type Edit<'a> = (&'a str, usize, &'a dyn Fn(&mut Rows));
    let edits: [Edit<'_>; 4] = [
        ("constant label", 200, &constant),
        ("all null", 200, &nulls),
        ("quantity", 200, &quantity),
        ("three rows", 3, &|_| ()),
    ];
    for (name, n, edit) in edits {
        let mut rows = data(n, 19).rows();
        edit(&mut rows);
        let report = look(&table(&rows, Some("y"), Some("from")).unwrap(), None);
        assert_ne!(report.verdict, Verdict::Clean, "{name}: {:?}", blocking(&report));
    }
}

#[test]
fn odd_numbers_of_rows_and_columns_do_not_panic() {
    for n in [1, 2, 3, 5, 19, 20, 21, 63, 65] {
        let mut rows = data(n, 20).rows();
        if let Values::Fp64(x) = &mut rows.columns[0].values {
            x[0] = f64::INFINITY;
            x[n - 1] = f64::NAN;
        }
        let own = table(&rows, Some("y"), Some("from")).unwrap();
        let report = look(&own, Some(&own));
        assert_eq!(report.risk.len(), n);
        assert!(report.scores.values().all(|s| s.len() == n && s.iter().all(|x| x.is_finite())));
    }
    let mut wide = Rows { columns: Vec::new(), n_rows: 30 };
    for at in 0..10_000 {
        let values = (0..30).map(|row| f64::from((row * 31 + at) % 17)).collect();
        wide.columns.push(column(&format!("c{at}"), Values::Fp64(values)));
    }
    wide.columns.push(column("y", Values::Int64((0..30).map(|row| row % 2).collect())));
    assert_eq!(look(&table(&wide, Some("y"), None).unwrap(), None).risk.len(), 30);
}

/// V4 among them: what does not fit is refused.
#[test]
fn columns_that_options_name_must_be_there_and_fit() {
    let rows = data(30, 21).rows();
    let error = table(&rows, Some("nope"), None).unwrap_err().to_string();
    assert!(error.contains("`nope`") && error.contains("--label"), "{error}");
    let mut builder = Builder::new(Plan { memory_bytes_max: 100, ..Plan::default() });
    assert_eq!(builder.push(&rows), Err(TableError::TooLarge { limit_bytes: 100 }));
    let mut builder = Builder::new(Plan::default());
    builder.push(&rows).unwrap();
    let mut other = rows.clone();
    other.columns[0].name = "z".into();
    assert!(matches!(builder.push(&other), Err(TableError::Mixed { .. })));
    assert_eq!(Builder::new(Plan::default()).finish(), Err(TableError::Empty { what: "rows" }));
}

/// A finding for the record holds no value of the data set (F1 of the nouns).
#[test]
fn what_goes_into_a_record_quotes_nothing() {
    let mut data = data(1_500, 7);
    (0..60).for_each(|at| (data.x[4][at * 24], data.label[at * 24]) = (17.0, 1));
    let report = look(&data.table(), None);
    let text = format!("{:?}", report.findings.iter().map(Finding::for_record).collect::<Vec<_>>());
    assert!(!report.findings.is_empty() && !text.contains("17"), "{text}");
}
