//! A vetting's report as one self-contained page. It loads nothing and runs nothing.

use std::io;

use bartizan_vet::table::{Kind, Table};
use bartizan_vet::{Issue, Item, Pattern, Report, Verdict};

use super::svg::{bars, escape, histograms, image};

/// Rows of the table of worst rows.
const WORST: usize = 25;
/// Patterns that are drawn.
const PATTERNS: usize = 6;
/// Bins of a histogram.
const BINS: usize = 40;
/// Classes whose histograms are drawn.
const CLASSES: usize = 12;
/// Sources and columns that are drawn.
const BARS: usize = 20;

const STYLE: &str = "
:root{--ink:#1c2330;--soft:#5b6577;--line:#dde2ea;--ground:#fff;--panel:#f6f8fb;--ok:#7f9cc0;--bad:#c8372d;--good:#2c7a4b}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf1;--soft:#9aa5b8;--line:#323a48;--ground:#14181f;--panel:#1c222c;--ok:#5878a3;--bad:#ff6b5e;--good:#5fc48a}}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:24px}
h1{font-size:22px;margin:0;overflow-wrap:anywhere}h2{font-size:17px;margin:32px 0 8px}
.verdict{display:inline-block;padding:4px 14px;border-radius:4px;color:#fff;font-weight:600;margin:12px 0}
.verdict.not-covered{background:var(--soft)}.verdict.clean{background:var(--good)}.verdict.findings{background:var(--bad)}
.finding{border:1px solid var(--line);border-left:4px solid var(--ok);background:var(--panel);padding:10px 14px;margin:8px 0;border-radius:4px;overflow-wrap:anywhere}
.finding.blocks{border-left-color:var(--bad)}.finding small,.soft{color:var(--soft)}
.pair{display:flex;gap:24px;flex-wrap:wrap}.pair figure{margin:0;width:180px}figcaption{color:var(--soft);font-size:13px}
svg{width:100%;max-width:760px;font:12px system-ui,sans-serif}svg.pixels{width:180px}svg text{fill:var(--ink)}
.ok{fill:var(--ok)}.bad{fill:var(--bad)}.axis{stroke:var(--line)}.mark{fill:none;stroke:#ff3b30;stroke-width:2.5}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:4px 10px;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;vertical-align:top}
td.n{text-align:right}";

/// Writes the page.
pub(crate) fn page(
    name: &str,
    report: &Report,
    table: &Table,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let (title, verdict) = (escape(name), report.verdict.as_str());
    let class = verdict.replace(' ', "-");
    let meaning = match report.verdict {
        Verdict::Clean => "nothing that blocks was found",
        Verdict::NotCovered => "what was asked for could not be looked at",
        Verdict::Findings => "something that blocks was found",
    };
    write!(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Vetting of {title}</title><style>{STYLE}</style></head><body><main>\
         <h1>{title}</h1><div class=\"soft\">{} rows, {} columns</div>\
         <div class=\"verdict {class}\">{verdict}: {meaning}</div>",
        report.n_rows, report.n_columns
    )?;
    findings(report, out)?;
    patterns(report, table, out)?;
    labels(report, out)?;
    sources(report, out)?;
    columns(report, out)?;
    worst(report, table, out)?;
    write!(out, "<h2>Not covered</h2><ul>")?;
    for missing in &report.not_covered {
        write!(out, "<li><b>{}</b>: {}</li>", escape(&missing.what), escape(&missing.why))?;
    }
    writeln!(out, "</ul></main></body></html>")
}

fn findings(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    write!(out, "<h2>Findings</h2>")?;
    if report.findings.is_empty() {
        write!(out, "<p>None.</p>")?;
    }
    for finding in &report.findings {
        let (class, word) = if finding.blocks {
            ("finding blocks", "blocks")
        } else {
            ("finding", "for information")
        };
        write!(
            out,
            "<div class=\"{class}\"><small>{} · {} · {word}</small><br><b>{}</b><br>{}<br><small>What to do: {}</small></div>",
            finding.rule.severity.as_str(),
            finding.rule.id,
            escape(&finding.claim),
            escape(finding.rule.why),
            escape(finding.rule.remedy),
        )?;
    }
    Ok(())
}

fn patterns(report: &Report, table: &Table, out: &mut dyn io::Write) -> io::Result<()> {
    let planted = || report.facts.patterns.iter().filter(|p| !p.is_shortcut && report.reports(p));
    if planted().next().is_none() {
        return Ok(());
    }
    write!(out, "<h2>Patterns that carry a label</h2>")?;
    for pattern in planted().take(PATTERNS) {
        let items: Vec<String> = pattern.items.iter().map(ToString::to_string).collect();
        let class = report.facts.classes.get(pattern.class).map_or("?", String::as_str);
        let share = |name: &str, share: f64, is_bad| {
            (name.to_owned(), share, format!("{:.0} %", 100.0 * share), is_bad)
        };
        write!(
            out,
            "<p><b>{}</b> goes with \"{}\"</p>{}",
            escape(&items.join(" and ")),
            escape(class),
            bars(&[
                share("rows with it", pattern.observed, true),
                share("rows alike without it", pattern.expected, false),
            ]),
        )?;
        drawn(report, table, pattern, out)?;
    }
    Ok(())
}

/// An image's pattern: its rows on average, its label's other rows on average, and the marks.
fn drawn(
    report: &Report,
    table: &Table,
    pattern: &Pattern,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let Some(side) = report.facts.image_side else { return Ok(()) };
    let pixels: Vec<(&str, &Vec<f32>)> = table
        .features
        .iter()
        .filter(|feature| feature.is_bytes)
        .filter_map(|feature| match &feature.kind {
            Kind::Number(values) => Some((feature.name.as_str(), values)),
            Kind::Code(_) | Kind::Text(_) | Kind::Vector { .. } => None,
        })
        .collect();
    let mean = |rows: &[u32]| -> Vec<f32> {
        let n = rows.len().max(1) as f32;
        let of = |(_, values): &(&str, &Vec<f32>)| {
            rows.iter().map(|row| values[*row as usize]).sum::<f32>() / n
        };
        pixels.iter().map(of).collect()
    };
    let is_marked = |name: &str| {
        pattern
            .items
            .iter()
            .any(|item| matches!(item, Item::Number { column, .. } if column == name))
    };
    let marked: Vec<usize> = (0..pixels.len()).filter(|at| is_marked(pixels[*at].0)).collect();
    let labels = report.labels.as_deref().unwrap_or_default();
    let others: Vec<u32> = (0..table.n_rows as u32)
        .filter(|row| labels.get(*row as usize).is_some_and(|c| *c as usize == pattern.class))
        .filter(|row| pattern.rows.binary_search(row).is_err())
        .collect();
    write!(
        out,
        "<div class=\"pair\"><figure>{}<figcaption>mean of its {} rows, the pattern framed</figcaption></figure>\
         <figure>{}<figcaption>one of them, row {}</figcaption></figure>\
         <figure>{}<figcaption>mean of the label's other rows</figcaption></figure></div>",
        image(side, &mean(&pattern.rows), &marked),
        pattern.rows.len(),
        image(side, &mean(&pattern.rows[..pattern.rows.len().min(1)]), &marked),
        pattern.rows.first().unwrap_or(&0),
        image(side, &mean(&others), &[]),
    )
}

fn labels(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let (Some(labels), Some(scores)) = (&report.labels, report.scores.get(&Issue::Label)) else {
        return Ok(());
    };
    let mut flagged = vec![false; report.n_rows];
    report.quarantined().iter().for_each(|row| flagged[*row as usize] = true);
    let n_classes = report.facts.classes.len().min(CLASSES);
    let mut classes: Vec<(String, Vec<usize>, Vec<usize>)> = report.facts.classes[..n_classes]
        .iter()
        .map(|name| (name.clone(), vec![0; BINS], vec![0; BINS]))
        .collect();
    for (row, (class, score)) in labels.iter().zip(scores).enumerate() {
        let Some((_, all, bad)) = classes.get_mut(*class as usize) else { continue };
        let bin = ((score * BINS as f32) as usize).min(BINS - 1);
        all[bin] += 1;
        bad[bin] += usize::from(flagged[row]);
    }
    write!(
        out,
        "<h2>How well labels fit, by class</h2><p class=\"soft\">Every row judged by models that \
         have not seen it. Red: rows under findings that block. Heights are square roots.</p>{}",
        histograms(&classes)
    )?;
    if CLASSES < report.facts.classes.len() {
        write!(out, "<p class=\"soft\">The first {CLASSES} classes.</p>")?;
    }
    Ok(())
}

fn sources(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    if report.facts.sources.is_empty() {
        return Ok(());
    }
    let mut sources: Vec<_> = report.facts.sources.iter().collect();
    sources.sort_by(|a, b| b.suspicion().total_cmp(&a.suspicion()).then(a.name.cmp(&b.name)));
    let rows: Vec<_> = sources
        .iter()
        .take(BARS)
        .map(|s| {
            let beside =
                format!("{:.1} % of {} (z {:.1})", 100.0 * s.error_share, s.n_rows, s.label_z);
            (s.name.clone(), s.error_share, beside, s.is_bad())
        })
        .collect();
    write!(out, "<h2>Sources: labels contradicted</h2>{}", bars(&rows))?;
    let rows: Vec<_> = sources
        .iter()
        .take(BARS)
        .map(|s| {
            let beside = format!("{:.1} {}", s.shift_z, s.shift_column.as_deref().unwrap_or(""));
            (s.name.clone(), s.shift_z, beside, 3.0 <= s.shift_z)
        })
        .collect();
    let picture = if rows.iter().all(|row| row.1 <= 0.0) {
        "<p>None is far.</p>".into()
    } else {
        bars(&rows)
    };
    write!(out, "<h2>Sources: distance from the others, farthest column</h2>{picture}")
}

fn columns(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    if report.facts.columns.is_empty() {
        return Ok(());
    }
    let mut columns: Vec<_> = report.facts.columns.iter().collect();
    columns.sort_by(|a, b| b.z.total_cmp(&a.z).then(a.name.cmp(&b.name)));
    let rows: Vec<_> = columns
        .iter()
        .take(BARS)
        .map(|c| {
            let beside = format!("z {:.1}, {} rows", c.z, c.n_strange);
            (c.name.clone(), c.z.max(0.0), beside, 6.0 <= c.z)
        })
        .collect();
    let picture =
        if rows.iter().all(|row| row.1 < 1.0) { "<p>None.</p>".into() } else { bars(&rows) };
    write!(out, "<h2>Columns: values the baseline cannot explain</h2>{picture}")
}

fn worst(report: &Report, table: &Table, out: &mut dyn io::Write) -> io::Result<()> {
    let mut rows: Vec<u32> = (0..report.n_rows as u32).collect();
    let risk = |row: &u32| report.risk[*row as usize];
    rows.sort_by(|a, b| risk(b).total_cmp(&risk(a)).then(a.cmp(b)));
    write!(
        out,
        "<h2>Worst rows</h2><div class=\"scroll\"><table><tr><th>row</th><th>risk</th>\
         <th>label</th><th>judges say</th><th>why</th><th>values</th></tr>"
    )?;
    for row in rows.iter().take(WORST) {
        let at = *row as usize;
        let class = |classes: &Option<Vec<u32>>| {
            let class = classes.as_ref().and_then(|classes| classes.get(at));
            let name = class.and_then(|class| report.facts.classes.get(*class as usize));
            escape(name.map_or("", String::as_str))
        };
        let why = report.findings.iter().find(|finding| finding.rows.contains(row));
        let values: Vec<String> = table.features.iter().take(8).map(|f| shown(f, at)).collect();
        write!(
            out,
            "<tr><td class=\"n\">{row}</td><td class=\"n\">{:.2}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"soft\">{}</td></tr>",
            risk(row),
            class(&report.labels),
            class(&report.guesses),
            escape(why.map_or("", |finding| finding.rule.id)),
            escape(&values.join(", ")),
        )?;
    }
    write!(out, "</table></div>")
}

fn shown(feature: &bartizan_vet::table::Feature, row: usize) -> String {
    match &feature.kind {
        Kind::Number(values) => values[row].to_string(),
        Kind::Code(coded) => coded.name(row).chars().take(40).collect(),
        Kind::Text(texts) => String::from_utf8_lossy(texts.row(row)).chars().take(160).collect(),
        Kind::Vector { width, .. } => format!("[{width} numbers]"),
    }
}
