//! A profile of honest rows, for people.

use std::fmt::Write as _;

use bartizan_core::Digest;
use bartizan_guard::{Policy, Profile};

use super::table::Table;

/// Rows a year by which false quarantines are told.
const ROWS_PER_YEAR: f64 = 1e8;
/// Most columns that are listed.
const COLUMNS_MAX: usize = 256;
/// Heights of a bar, lowest first.
const BARS: [char; 8] = [
    '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}',
];

/// `profile` as text.
pub(crate) fn text(profile: &Profile, digest: Digest) -> String {
    let mut out = String::new();
    let parts = &profile.parts;
    // Writing into a text cannot fail.
    let mut line = |text: String| {
        let _infallible = writeln!(out, "{text}");
    };
    line(format!("profile    {digest}"));
    line(format!("model      {}", profile.model));
    line(format!("contract   {}", profile.contract));
    line(format!(
        "reference  {} rows, {} different: {} to fit, {} for thresholds, {} for rates",
        parts.n_rows, parts.n_distinct, parts.n_fit, parts.n_threshold, parts.n_rate
    ));
    if profile.is_calibrated {
        calibrated(profile, &mut line);
    } else {
        line("not calibrated: too few different rows; only ranges and steps are known".to_owned());
    }
    let mut table = Table::new(&["COLUMN", "ACCEPTED", "STEP", "MISSING", "REFERENCE"]);
    for column in profile.columns.iter().take(COLUMNS_MAX) {
        let step = column.step.map_or_else(|| "-".to_owned(), |step| step.to_string());
        table.push(vec![
            column.name.clone(),
            format!("{:.4} to {:.4}", column.accept_low, column.accept_high),
            step,
            format!("{:.1} %", 100.0 * column.missing_rate),
            bars(&column.histogram),
        ]);
    }
    let _infallible = write!(out, "\n{table}");
    let n_more = profile.columns.len().saturating_sub(COLUMNS_MAX);
    if 0 < n_more {
        let _infallible = writeln!(out, "and {n_more} columns more");
    }
    out
}

fn calibrated(profile: &Profile, line: &mut impl FnMut(String)) {
    let rates = &profile.rates;
    let percent = |rate: f64| format!("{:.2} %", 100.0 * rate);
    line("honest rows flagged, measured on rows that nothing was fitted to:".to_owned());
    for (name, rate) in [
        ("range", rates.range),
        ("step", rates.step),
        ("missing", rates.missing),
        ("distance", rates.distance),
        ("odd: any of these", rates.odd),
        ("near", rates.near),
        ("between two", rates.line),
        ("similar: either", rates.similar),
    ] {
        line(format!("  {name:<18}{:>8}", percent(rate)));
    }
    line(format!(
        "evidence bets against {} odd and {} similar rows; a caller is quarantined by mistake at \
         most {} times in {ROWS_PER_YEAR:.0e} honest rows, while that holds",
        percent(Policy::null_rate(rates.odd)),
        percent(Policy::null_rate(rates.similar)),
        Policy::default().false_quarantines_per_year(ROWS_PER_YEAR),
    ));
    if profile.thresholds.near == 0 {
        line("near: not used, since honest rows of this reference repeat each other".to_owned());
    }
}

fn bars(histogram: &[u32]) -> String {
    let most = histogram.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: &u32| match count {
        0 => ' ',
        count => {
            BARS[(*count as usize * (BARS.len() - 1)).div_ceil(most as usize).min(BARS.len() - 1)]
        }
    };
    histogram.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_becomes_bars() {
        assert_eq!(bars(&[0, 1, 7]), " \u{2582}\u{2588}");
        assert_eq!(bars(&[]), "");
    }
}
