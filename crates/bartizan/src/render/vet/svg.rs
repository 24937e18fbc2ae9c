//! Small pictures as SVG.

use std::fmt::Write as _;

/// Text as it stands between tags.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                escaped.push('\u{fffd}');
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Horizontal bars: name, value, what stands beside it, whether it is bad.
pub(super) fn bars(rows: &[(String, f64, String, bool)]) -> String {
    let most = rows.iter().map(|row| row.1).fold(1e-12, f64::max);
    let height = rows.len() * 24 + 4;
    let mut svg = format!("<svg viewBox=\"0 0 640 {height}\" role=\"img\">");
    for (at, (name, value, beside, is_bad)) in rows.iter().enumerate() {
        let (y, width) = (at * 24 + 2, (value.max(0.0) / most * 300.0).max(1.0));
        let class = if *is_bad { "bad" } else { "ok" };
        let (name, beside) = (escape(&cut(name, 24)), escape(beside));
        let (text_y, beside_x) = (y + 14, 188.0 + width);
        let _always = write!(
            svg,
            "<text x=\"172\" y=\"{text_y}\" text-anchor=\"end\">{name}</text>\
             <rect class=\"{class}\" x=\"180\" y=\"{y}\" width=\"{width:.1}\" height=\"18\" rx=\"2\"/>\
             <text x=\"{beside_x:.1}\" y=\"{text_y}\">{beside}</text>"
        );
    }
    svg.push_str("</svg>");
    svg
}

fn cut(text: &str, len: usize) -> String {
    if text.chars().count() <= len {
        return text.into();
    }
    text.chars().take(len - 1).chain(['…']).collect()
}

/// One row of a histogram a class: counts of equal bins over `0..1`, of all rows and, in red, of
/// those that are flagged; heights are square roots, so that few stay visible.
pub(super) fn histograms(classes: &[(String, Vec<usize>, Vec<usize>)]) -> String {
    let height = classes.len() * 64 + 24;
    let mut svg = format!("<svg viewBox=\"0 0 640 {height}\" role=\"img\">");
    for (at, (name, all, flagged)) in classes.iter().enumerate() {
        let base = at * 64 + 58;
        let most = all.iter().copied().max().unwrap_or(1).max(1) as f64;
        let width = 460.0 / all.len().max(1) as f64;
        let name = escape(&cut(name, 22));
        let _always = write!(svg, "<text x=\"152\" y=\"{base}\" text-anchor=\"end\">{name}</text>");
        for (bins, class) in [(all, "ok"), (flagged, "bad")] {
            for (bin, count) in bins.iter().enumerate().filter(|(_, count)| 0 < **count) {
                let tall = ((*count as f64 / most).sqrt() * 52.0).max(1.0);
                let (x, y) = (160.0 + bin as f64 * width, base as f64 - tall);
                let _always = write!(
                    svg,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
                    (width - 1.0).max(0.5)
                );
            }
        }
        let _always =
            write!(svg, "<line class=\"axis\" x1=\"160\" x2=\"620\" y1=\"{base}\" y2=\"{base}\"/>");
    }
    let y = classes.len() * 64 + 18;
    let _always = write!(
        svg,
        "<text x=\"160\" y=\"{y}\">0: the label fits</text>\
         <text x=\"620\" y=\"{y}\" text-anchor=\"end\">1: contradicted</text></svg>"
    );
    svg
}

/// A square picture of bytes, brightest 1; marked pixels are framed.
pub(super) fn image(side: usize, values: &[f32], marked: &[usize]) -> String {
    let most = values.iter().copied().fold(1e-6_f32, f32::max);
    let cell = 160.0 / side.max(1) as f64;
    let mut svg = String::from("<svg class=\"pixels\" viewBox=\"-2 -2 164 164\" role=\"img\">");
    for (at, value) in values.iter().enumerate() {
        let (x, y) = ((at % side) as f64 * cell, (at / side) as f64 * cell);
        let shade = (value / most).clamp(0.0, 1.0) * 255.0;
        let shade = shade as u8;
        let _always = write!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{cell:.1}\" height=\"{cell:.1}\" fill=\"rgb({shade},{shade},{shade})\"/>"
        );
    }
    for at in marked {
        let (x, y) = ((at % side) as f64 * cell, (at / side) as f64 * cell);
        let _always = write!(
            svg,
            "<rect class=\"mark\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{cell:.1}\" height=\"{cell:.1}\"/>"
        );
    }
    svg.push_str("</svg>");
    svg
}
