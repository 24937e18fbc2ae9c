//! All detectors over one data set, and what they conclude together.

use std::collections::BTreeMap;

use bartizan_stats::quantile::{quantile, sorted};
use bartizan_stats::tail::{normal_upper, step_up};

use crate::duplicate::{self, Copies};
use crate::knn::{Skip, nearest};
use crate::label::{self, Judged, Labels, Panel};
use crate::leak;
use crate::noise;
use crate::outlier;
use crate::parallel::Threads;
use crate::policy::Policy;
use crate::report::{Facts, Finding, Issue, NotCovered, Report, Verdict};
use crate::rules;
use crate::sample::{Graph, Means, Sample};
use crate::schema::{self, Flaw};
use crate::shift;
use crate::source;
use crate::space;
use crate::spectral;
use crate::table::{CLASSES_MAX, Coded, Kind, Table};
use crate::trigger;

/// Fewest rows that are worth a statistic.
const ROWS_MIN: usize = 20;
/// Fewest rows of a class that is judged.
const CLASS_ROWS_MIN: usize = 5;
/// Outliers that a finding lists at most, as a share of the rows.
const OUTLIER_SHARE_MAX: f64 = 0.01;

/// How to look.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most threads; the result does not depend on it.
    pub threads: Threads,
    /// Where chance begins.
    pub seed: u64,
    /// What blocks.
    pub policy: Policy,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: Threads::available(), seed: 1, policy: Policy::default() }
    }
}

/// What is being done, of how many steps.
pub type Progress<'a> = &'a (dyn Fn(&'static str, u32, u32) + Sync);
/// Steps of a vetting.
const STEPS: u32 = 8;

struct Work<'a> {
    table: &'a Table,
    findings: Vec<Finding>,
    scores: BTreeMap<Issue, Vec<f32>>,
    not_covered: Vec<NotCovered>,
    facts: Facts,
    n_tests: usize,
    /// Whether what was asked for could not be looked at.
    is_blind: bool,
}

impl Work<'_> {
    fn not_covered(&mut self, what: &str, why: impl Into<String>) {
        self.not_covered.push(NotCovered { what: what.into(), why: why.into() });
    }

    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

fn finding(
    rule: &'static bartizan_core::Rule,
    issue: Issue,
    claim: String,
    rows: Vec<u32>,
) -> Finding {
    Finding {
        rule,
        issue,
        claim,
        p_value: 0.0,
        strength: 1.0,
        column: None,
        source: None,
        rows,
        blocks: false,
    }
}

/// Vets `table`, against `baseline` if there is one.
///
/// Cost: all pairs of at most the sample's rows, models on it, one look at each row beyond.
pub fn vet(
    table: &Table,
    baseline: Option<&Table>,
    options: &Options,
    progress: Progress<'_>,
) -> Report {
    let means = Means { threads: options.threads, seed: options.seed };
    let mut work = Work {
        table,
        findings: Vec::new(),
        scores: BTreeMap::new(),
        not_covered: Vec::new(),
        facts: Facts::default(),
        n_tests: 0,
        is_blind: false,
    };
    work.facts.image_side = image_side(table);
    never_covered(&mut work, baseline.is_some());
    progress("values", 0, STEPS);
    check_values(&mut work, baseline);
    progress("sample and neighbours", 1, STEPS);
    let sample = Sample::take(table, means);
    let graph = Graph::new(table, &sample, means);
    progress("copies", 2, STEPS);
    check_copies(&mut work, &sample, &graph);
    progress("models", 3, STEPS);
    let label = judgeable(&mut work);
    let labels = label.map(|label| Labels::new(label, table.source.as_ref(), &sample, means.seed));
    let few = Graph::few(table, &sample, means);
    let near = few.as_ref().unwrap_or(&graph);
    let panel = labels.as_ref().map(|labels| Panel::learn(table, &sample, near, labels, means));
    progress("rows", 4, STEPS);
    let (views, probs) = judge_rows(table, &sample, near, panel.as_ref(), means);
    check_outliers(&mut work, outlier::scores(&views));
    let judged = panel.as_ref().map(|panel| panel.verdict(probs));
    progress("patterns", 5, STEPS);
    if let (Some(labels), Some(label), Some(judged)) = (&labels, label, &judged) {
        check_labels(&mut work, label, judged);
        work.facts.spectral_share = spectral::share(&sample, labels);
        check_patterns(&mut work, &sample, &graph, labels, label, means);
    }
    progress("sources", 6, STEPS);
    check_sources(&mut work, judged.as_ref(), means);
    progress("baseline", 7, STEPS);
    if let Some(baseline) = baseline {
        check_baseline(&mut work, baseline, means);
    }
    progress("done", STEPS, STEPS);
    conclude(work, judged.as_ref(), &options.policy)
}

fn image_side(table: &Table) -> Option<usize> {
    if !space::has_pixels(&table.features) {
        return None;
    }
    let n = table.features.iter().filter(|feature| feature.is_bytes).count();
    let side = n.isqrt();
    (side * side == n).then_some(side)
}

fn never_covered(work: &mut Work<'_>, has_baseline: bool) {
    work.not_covered(
        "clean-label poison",
        "rows whose label fits what they show teach nothing that can be told from the rows alone; \
         train on rows from trusted sources, or test the finished model",
    );
    work.not_covered(
        "triggers that differ in every row",
        "only patterns that repeat exactly are mined; normalise the data first if marks may vary",
    );
    if !has_baseline {
        let why = "there is no trusted data to compare with: give `--baseline`";
        work.not_covered("changes of unit, new values, leaks", why);
    }
    let features = &work.table.features;
    if features.iter().any(|feature| matches!(feature.kind, Kind::Vector { .. })) {
        let why = "a mark in the image leaves no exact value in its embedding; vet the images too";
        work.not_covered("triggers in embedded images", why);
    }
    let mut n_missing = 0;
    for feature in features.iter() {
        let why = match &feature.kind {
            Kind::Number(values) if values.iter().all(|x| x.is_nan()) => {
                "all its values are missing"
            }
            Kind::Code(coded) if coded.names.is_empty() => "all its values are missing",
            Kind::Code(coded) if 1_000 < coded.names.len() => {
                "it has over 1,000 different values: it names rows, it does not describe them"
            }
            Kind::Number(_) | Kind::Code(_) | Kind::Text(_) | Kind::Vector { .. } => continue,
        };
        n_missing += usize::from(why.starts_with("all"));
        let what = format!("column `{}`", feature.name);
        work.not_covered.push(NotCovered { what, why: why.into() });
    }
    work.is_blind = n_missing == features.len();
    if work.table.n_rows < ROWS_MIN {
        let why = format!("{} rows prove nothing: {ROWS_MIN} are needed", work.table.n_rows);
        work.not_covered("everything statistical", why);
        work.is_blind = true;
    }
}

fn check_values(work: &mut Work<'_>, baseline: Option<&Table>) {
    let (flaws, mut scores) = schema::find(work.table, baseline);
    for flaw in flaws {
        let (rule, strength) = match flaw.flaw {
            Flaw::LookAlike | Flaw::Blanks => (rules::VALUE_DISGUISED, 1.0),
            Flaw::Impossible => (rules::VALUE_IMPOSSIBLE, 1.0),
            Flaw::Null | Flaw::NotFinite => (rules::VALUE_MISSING, 1.0),
            Flaw::Unknown | Flaw::Beyond => (rules::VALUE_UNKNOWN, 0.1),
        };
        let example = flaw.example.as_ref().map_or_else(String::new, |(found, plain)| {
            format!(", such as {} for {}", quoted(found), quoted(plain))
        });
        let (n, column) = (flaw.rows.len(), &flaw.column);
        let claim = format!("{n} rows have {} in `{column}`{example}", flaw.flaw.as_str());
        let mut finding = finding(rule, Issue::Schema, claim, flaw.rows);
        finding.column = Some(flaw.column);
        finding.strength = strength;
        work.find(finding);
    }
    let mut without_baseline = Vec::new();
    for feature in &work.table.features {
        if baseline.is_none() && feature.n_not_finite != 0 {
            let Kind::Number(values) = &feature.kind else { continue };
            let rows: Vec<u32> =
                (0..values.len() as u32).filter(|row| values[*row as usize].is_nan()).collect();
            rows.iter().for_each(|row| scores[*row as usize] += 0.5);
            let (n, column) = (feature.n_not_finite, &feature.name);
            let claim = format!("{n} values of `{column}` are NaN or infinite");
            let mut finding = finding(rules::VALUE_MISSING, Issue::Schema, claim, rows);
            finding.column = Some(feature.name.clone());
            without_baseline.push(finding);
        }
        if feature.n_not_utf8 != 0 {
            let (n, column) = (feature.n_not_utf8, &feature.name);
            let claim = format!("{n} texts of `{column}` are not UTF-8");
            let mut finding = finding(rules::VALUE_DISGUISED, Issue::Schema, claim, Vec::new());
            finding.column = Some(feature.name.clone());
            without_baseline.push(finding);
        }
    }
    work.findings.extend(without_baseline);
    work.scores.insert(Issue::Schema, scores);
}

/// `text` between quotation marks, with what is not ASCII named by its code point.
fn quoted(text: &str) -> String {
    let shown: String = text
        .chars()
        .take(40)
        .map(|c| {
            let is_plain = c == ' ' || c.is_ascii_graphic();
            if is_plain { c.to_string() } else { format!("{c}(U+{:04X})", u32::from(c)) }
        })
        .filter(|shown| !shown.starts_with(|c: char| c.is_control()))
        .collect();
    format!("\"{shown}\"")
}

fn check_copies(work: &mut Work<'_>, sample: &Sample, graph: &Graph) {
    let Copies { scores, n_equal, floods, contradictions } =
        duplicate::find(work.table, sample, graph);
    let n = work.table.n_rows;
    let repeated: Vec<u32> = (0..n as u32).filter(|row| 1 < n_equal[*row as usize]).collect();
    if !repeated.is_empty() {
        let claim = format!("{} rows are equal to another row", repeated.len());
        work.find(finding(rules::DUPLICATE_EXACT, Issue::Duplicate, claim, repeated));
    }
    if !contradictions.is_empty() {
        let claim = format!("{} rows are equal to a row with another label", contradictions.len());
        work.find(finding(rules::DUPLICATE_CONTRADICTION, Issue::Duplicate, claim, contradictions));
    }
    if !floods.is_empty() {
        let rows: Vec<u32> = floods.iter().flatten().copied().collect();
        let largest = floods.first().map_or(0, Vec::len);
        let claim = format!(
            "{} rows crowd in {} places where nothing else lies, the largest crowd has {largest}",
            rows.len(),
            floods.len(),
        );
        let mut finding = finding(rules::DUPLICATE_FLOOD, Issue::Duplicate, claim, rows);
        finding.strength = largest as f64;
        work.find(finding);
    }
    work.scores.insert(Issue::Duplicate, scores);
}

/// Views of all rows for outliers, and probabilities of their classes; neighbours of rows beyond
/// the sample are looked up once for both.
fn judge_rows(
    table: &Table,
    sample: &Sample,
    graph: &Graph,
    panel: Option<&Panel<'_>>,
    means: Means,
) -> (Vec<f32>, Vec<f32>) {
    let watch = outlier::Watch::new(sample, means);
    let views = watch.look(&sample.space, &graph.neighbours, means.threads);
    let probs = panel.map(Panel::own).unwrap_or_default();
    let k = probs.len() / sample.rows.len().max(1);
    let width = outlier::VIEWS + k;
    let join = |views: &[f32], probs: &[f32]| -> Vec<f32> {
        let mut joined = Vec::with_capacity(views.len() / outlier::VIEWS * width);
        for (at, views) in views.chunks_exact(outlier::VIEWS).enumerate() {
            joined.extend_from_slice(views);
            joined.extend_from_slice(&probs[at * k..(at + 1) * k]);
        }
        joined
    };
    if sample.is_all(table) {
        return (views, probs);
    }
    let all = sample.spread(table, join(&views, &probs), width, means, |rows, space| {
        let one = Threads::new(1);
        let near = nearest(&graph.space, space, &Skip::Nothing, label::VOTERS, one);
        let views = watch.look(space, &near, one);
        let probs = panel.map(|panel| panel.judge(table, rows, space, &near)).unwrap_or_default();
        join(&views, &probs)
    });
    let rows = || all.chunks_exact(width);
    (
        rows().flat_map(|row| &row[..outlier::VIEWS]).copied().collect(),
        rows().flat_map(|row| &row[outlier::VIEWS..]).copied().collect(),
    )
}

fn check_outliers(work: &mut Work<'_>, scores: Vec<f32>) {
    let ascending = sorted(scores.iter().map(|x| f64::from(*x)));
    // The tail beyond the 95th percentile, taken for exponential; a row beyond it all is far.
    let (from, to) = (quantile(&ascending, 0.5), quantile(&ascending, 0.95));
    let far = to + 8.0 * (to - from).max(1e-6);
    let mut rows: Vec<u32> =
        (0..scores.len() as u32).filter(|row| far < f64::from(scores[*row as usize])).collect();
    rows.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b)));
    rows.truncate((OUTLIER_SHARE_MAX * scores.len() as f64).ceil() as usize);
    if !rows.is_empty() {
        let claim = format!("{} rows lie far from all others", rows.len());
        work.find(finding(rules::OUTLIER_ROWS, Issue::Outlier, claim, rows));
    }
    work.scores.insert(Issue::Outlier, scores);
}

/// Whether labels can be judged at all, and why not.
fn judgeable<'a>(work: &mut Work<'a>) -> Option<&'a Coded> {
    let what = "labels, triggers, sources' labels";
    let table = work.table;
    let Some(label) = &table.label else {
        work.not_covered(what, "no label was named: give `--label`");
        return None;
    };
    let counts = label.counts();
    let n_sound = counts.iter().filter(|count| CLASS_ROWS_MIN <= **count).count();
    let why = if table.label_is_quantity {
        "the label is a quantity, not a class: bin it to have it judged".into()
    } else if CLASSES_MAX < label.names.len() {
        format!("the label has {} values, {CLASSES_MAX} are judged at most", label.names.len())
    } else if label.names.len() < 2 {
        "the label is constant or missing: there is nothing to tell apart".into()
    } else if n_sound < 2 || table.n_rows < ROWS_MIN {
        format!("fewer than two classes have {CLASS_ROWS_MIN} rows")
    } else {
        return Some(label);
    };
    work.not_covered(what, why);
    work.is_blind = true;
    None
}

fn check_labels(work: &mut Work<'_>, label: &Coded, judged: &Judged) {
    let table = work.table;
    let given = |row: usize| judged.row(row).get(label.codes[row] as usize).copied();
    let score = |row: usize| given(row).map_or(0.0, |p| 1.0 - p);
    let mut scores: Vec<f32> = (0..table.n_rows).map(score).collect();
    work.facts.classes = label.names.clone();
    work.facts.class_counts = label.counts();
    work.facts.members = judged.members.clone();
    let (found, n_tests) = noise::find(judged, label);
    work.n_tests += n_tests;
    noise::sharpen(&mut scores, &found, judged, label);
    for noise in found {
        let (share, n) = (100.0 * noise.share, noise.rows.len());
        let claim = match noise.pair {
            Some((from, to)) => format!(
                "{share:.1} % of the rows that are surely {} are labelled {}; {n} rows to look at",
                quoted(&label.names[from]),
                quoted(&label.names[to]),
            ),
            None => format!(
                "{share:.1} % of the rows whose class is sure carry another label; {n} rows to \
                 look at"
            ),
        };
        let mut finding = finding(rules::LABEL_NOISE, Issue::Label, claim, noise.rows);
        finding.p_value = noise.p_value;
        finding.strength = noise.share;
        work.find(finding);
    }
    work.scores.insert(Issue::Label, scores);
}

fn check_patterns(
    work: &mut Work<'_>,
    sample: &Sample,
    graph: &Graph,
    labels: &Labels,
    label: &Coded,
    means: Means,
) {
    let patterns = trigger::mine(work.table, sample, graph, labels, means.threads);
    work.n_tests += 2 * labels.n_classes * 60;
    work.scores.insert(Issue::Trigger, trigger::scores(&patterns, label, work.table.n_rows));
    for pattern in &patterns {
        let rule =
            if pattern.is_shortcut { rules::PATTERN_SHORTCUT } else { rules::PATTERN_TRIGGER };
        let items: Vec<String> = pattern.items.iter().map(ToString::to_string).collect();
        let claim = format!(
            "{} goes with {} in {:.0} % of {} rows; rows alike without it: {:.0} %",
            items.join(" and "),
            quoted(&label.names[pattern.class]),
            100.0 * pattern.observed,
            pattern.rows.len(),
            100.0 * pattern.expected,
        );
        let carries = |row: &&u32| label.codes[**row as usize] as usize == pattern.class;
        let rows = pattern.rows.iter().filter(carries).copied().collect();
        let mut finding = finding(rule, Issue::Trigger, claim, rows);
        finding.p_value = normal_upper(pattern.z);
        finding.strength = pattern.z;
        work.find(finding);
    }
    work.facts.patterns = patterns;
}

fn check_sources(work: &mut Work<'_>, judged: Option<&Judged>, means: Means) {
    let table = work.table;
    let Some(source) = &table.source else {
        work.not_covered("bad contributors", "no source was named: give `--source`");
        return;
    };
    let (mut facts, mut scores) = source::find(table, source, judged);
    let shifted = shift::by_source(table, source, &mut facts, means);
    work.n_tests += facts.len() * (table.features.len() + 1);
    let rows_of = |name: &str| -> Vec<u32> {
        (0..table.n_rows as u32).filter(|row| source.name(*row as usize) == name).collect()
    };
    for facts in &facts {
        if facts.is_bad() {
            let mut rows = rows_of(&facts.name);
            rows.retain(|row| 0.5 < scores[*row as usize]);
            rows.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b)));
            let claim = format!(
                "{:.1} % of the labels of {} are contradicted, of the usual source {:.1} %",
                100.0 * facts.error_share,
                quoted(&facts.name),
                100.0 * facts.usual_share,
            );
            let mut finding = finding(rules::SOURCE_LABELS, Issue::Source, claim, rows);
            finding.p_value = normal_upper(facts.label_z);
            finding.strength = facts.label_z;
            finding.source = Some(facts.name.clone());
            work.find(finding);
        }
        if shift::LAMBDA_MIN <= facts.shift_z {
            let column = facts.shift_column.clone().unwrap_or_default();
            let claim = format!("{} has another distribution in `{column}`", quoted(&facts.name));
            let rows = rows_of(&facts.name);
            let mut finding = finding(rules::SOURCE_SHIFT, Issue::Source, claim, rows);
            finding.p_value = shift::chance_of(facts.shift_z);
            finding.strength = facts.shift_z;
            finding.column = Some(column);
            finding.source = Some(facts.name.clone());
            work.find(finding);
        }
    }
    // A shifted source's rows are suspect by that, unless its labels already say more.
    for (score, shifted) in scores.iter_mut().zip(&shifted) {
        *score = score.max(if 0.5 <= *shifted { *shifted } else { 0.0 });
    }
    work.scores.insert(Issue::Source, scores);
    work.facts.sources = facts;
}

fn check_baseline(work: &mut Work<'_>, baseline: &Table, means: Means) {
    let table = work.table;
    let known = |name: &str| baseline.features.iter().any(|feature| feature.name == name);
    let missing: Vec<String> = table
        .features
        .iter()
        .filter(|feature| !known(&feature.name))
        .map(|feature| format!("`{}`", feature.name))
        .take(8)
        .collect();
    if !missing.is_empty() {
        let why = format!("the baseline lacks {}", missing.join(", "));
        work.not_covered("some columns against the baseline", why);
    }
    let shift = shift::against(table, baseline, means);
    work.n_tests += shift.columns.len();
    for (at, rows) in &shift.strange {
        let column = &shift.columns[*at];
        let ratio = column.ratio.as_ref().map_or_else(String::new, |ratio| {
            format!("; most are ordinary again if this is undone: {ratio}")
        });
        let claim = format!(
            "{} rows of `{}` are beyond what the other columns and the baseline allow{ratio}",
            rows.len(),
            column.name,
        );
        let mut finding = finding(rules::COLUMN_UNITS, Issue::Shift, claim, rows.clone());
        finding.p_value = normal_upper(column.z);
        finding.strength = column.z;
        finding.column = Some(column.name.clone());
        work.find(finding);
    }
    if shift.columns.is_empty() {
        let why = "the baseline's columns are others, too many, or none is a number";
        work.not_covered("changes of unit", why);
    }
    work.facts.columns = shift.columns;
    work.scores.insert(Issue::Shift, shift.scores);
    let base = Sample::take(baseline, means);
    let graph = Graph::new(baseline, &base, means);
    let leak = leak::find(table, baseline, &base, &graph, means);
    if !leak.copies.is_empty() {
        let claim = format!("{} rows stand in the baseline too", leak.copies.len());
        let mut finding = finding(rules::LEAK_ROWS, Issue::Leak, claim, leak.copies);
        finding.p_value = normal_upper(leak.z);
        finding.strength = leak.z;
        work.find(finding);
    }
    work.scores.insert(Issue::Leak, leak.scores);
}

fn conclude(work: Work<'_>, judged: Option<&Judged>, policy: &Policy) -> Report {
    let Work { table, mut findings, scores, mut not_covered, facts, n_tests, is_blind } = work;
    let tested: Vec<f64> =
        findings.iter().map(|finding| finding.p_value).filter(|p| 0.0 < *p).collect();
    let bound = step_up(&tested, n_tests, policy.false_discovery()).unwrap_or(0.0);
    findings.retain(|finding| finding.p_value <= bound);
    for finding in &mut findings {
        finding.blocks = policy.blocks(finding.rule);
    }
    findings.sort_by(|a, b| {
        let gravity = |f: &Finding| (f.blocks, f.rule.severity);
        gravity(b)
            .cmp(&gravity(a))
            .then(b.strength.total_cmp(&a.strength))
            .then(a.rule.id.cmp(b.rule.id))
            .then(a.claim.cmp(&b.claim))
    });
    not_covered.sort();
    not_covered.dedup();
    let is_blocked = findings.iter().any(|finding| finding.blocks);
    let verdict = match (is_blocked, is_blind) {
        (true, _) => Verdict::Findings,
        (false, true) => Verdict::NotCovered,
        (false, false) => Verdict::Clean,
    };
    let mut report = Report {
        n_rows: table.n_rows,
        n_columns: table.features.len()
            + usize::from(table.label.is_some())
            + usize::from(table.source.is_some()),
        verdict,
        findings,
        scores,
        risk: Vec::new(),
        not_covered,
        facts,
        labels: table.label.as_ref().map(|label| label.codes.clone()),
        guesses: judged.map(guesses),
    };
    report.risk = risk(&report);
    report
}

fn guesses(judged: &Judged) -> Vec<u32> {
    let best = |probs: &[f32]| {
        (0..probs.len()).reduce(|a, b| if probs[a] < probs[b] { b } else { a }).unwrap_or(0) as u32
    };
    judged.probs.chunks_exact(judged.n_classes).map(best).collect()
}

/// Half by the largest score of any issue, half by whether a finding that blocks names the row.
fn risk(report: &Report) -> Vec<f32> {
    let mut risk = vec![0.0_f32; report.n_rows];
    for (issue, scores) in &report.scores {
        let ascending = sorted(scores.iter().map(|x| f64::from(*x)));
        let top = ascending.last().copied().unwrap_or(1.0).max(1e-9) as f32;
        let weight = match issue {
            Issue::Outlier | Issue::Leak => 0.25,
            Issue::Duplicate | Issue::Label | Issue::Schema | Issue::Shift => 0.4,
            Issue::Source | Issue::Trigger => 0.45,
        };
        for (risk, score) in risk.iter_mut().zip(scores) {
            *risk = risk.max(weight * score / top);
        }
    }
    for rows in report.flags().values() {
        for row in rows {
            let risk = &mut risk[*row as usize];
            *risk = if *risk < 0.5 { *risk + 0.5 } else { *risk };
        }
    }
    risk
}

#[cfg(test)]
mod tests;
