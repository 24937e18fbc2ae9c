//! How far answers are from onnxruntime's and from the original library's.

use std::path::PathBuf;

use bartizan_core::{Predictor, Tensor, Values};
use bartizan_engine::LoadLimits;
use bartizan_engine::conformance;
use bartizan_engine::native::load;

use super::files::{Kind, committed, kinds};

/// Largest difference from onnxruntime that is forgiven, of 1 or of the largest value.
const TOLERANCE: f64 = 1e-5;
/// The same from the original library, which computes in doubles where an export does in floats.
const TOLERANCE_ORIGINAL: f64 = 1e-4;
/// Where the export itself differs from the library (a threshold that rounds to the other side of
/// a value, a rule for missing values that is lost), this many times onnxruntime's distance.
const EXPORT_FACTOR: f64 = 1.5;
/// Two scores nearer than this may make another label.
const MARGIN: f64 = 1e-5;

/// Kinds that are exported but not run, with the words of the refusal.
const REFUSED: &[(&str, &str)] = &[
    // A loop over the rows; `options={"optim": "cdist"}` exports the same model without one.
    ("knn-regressor-scan", "operator `Scan`"),
];

fn numbers(values: &Values) -> Option<Vec<f64>> {
    Some(if let Values::Fp32(values) = values {
        values.iter().copied().map(f64::from).collect()
    } else if let Values::Fp64(values) = values {
        values.clone()
    } else {
        return None;
    })
}

/// Largest difference, relative to the largest value where that is above 1; infinite where one is
/// NaN and the other is not, or lengths differ.
fn distance(found: &[f64], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let finite = expected.iter().filter(|value| value.is_finite());
    let scale = finite.fold(1.0_f64, |scale, value| scale.max(value.abs()));
    let pairs = found.iter().zip(expected);
    let one = |(a, b): (&f64, &f64)| match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) if a == b => 0.0,
        (false, false) => (a - b).abs() / scale,
        (true, false) | (false, true) => f64::INFINITY,
    };
    pairs.map(one).fold(0.0, f64::max)
}

/// Labels as text, one for each element.
fn labels(values: &Values) -> Vec<String> {
    if let Values::Bytes(values) = values {
        return values.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    }
    if let Values::Int64(values) = values {
        return values.iter().map(i64::to_string).collect();
    }
    if let Values::Int32(values) = values {
        return values.iter().map(i32::to_string).collect();
    }
    if let Values::Bool(values) = values {
        return values.iter().map(bool::to_string).collect();
    }
    numbers(values).unwrap_or_default().iter().map(f64::to_string).collect()
}

/// Rows whose two best scores, in any output of several columns, are nearer than [`MARGIN`].
fn near(outputs: &[Tensor], n_rows: usize) -> Vec<bool> {
    let mut near = vec![false; n_rows];
    for output in outputs {
        let Some(values) = numbers(output.values()) else { continue };
        let width = values.len() / n_rows.max(1);
        if width < 2 {
            continue;
        }
        for (row, scores) in values.chunks_exact(width).enumerate() {
            let mut sorted = scores.to_vec();
            sorted.sort_by(f64::total_cmp);
            near[row] |= sorted[width - 1] - sorted[width - 2] <= MARGIN;
        }
    }
    near
}

/// Largest difference of numbers, and how many labels differ outside the margin.
fn difference(found: &[Tensor], expected: &[Option<&Tensor>]) -> (f64, usize) {
    let n_rows = found.first().map_or(0, Tensor::n_rows);
    let near = near(found, n_rows);
    let (mut largest, mut n_changed) = (0.0_f64, 0);
    for (found, expected) in found.iter().zip(expected) {
        let Some(expected) = expected else { continue };
        match (numbers(found.values()), numbers(expected.values())) {
            (Some(a), Some(b)) => largest = largest.max(distance(&a, &b)),
            _ => {
                let (a, b) = (labels(found.values()), labels(expected.values()));
                if a.len() != b.len() {
                    return (f64::INFINITY, a.len());
                }
                let per_row = (a.len() / n_rows.max(1)).max(1);
                let differs = |at: &usize| a[*at] != b[*at] && !near[at / per_row];
                n_changed += (0..a.len()).filter(differs).count();
            }
        }
    }
    (largest, n_changed)
}

fn judge(kind: &Kind, print: bool, faults: &mut Vec<String>) {
    let name = &kind.name;
    let model = match load(&kind.bytes, &LoadLimits::default()) {
        Ok(model) => model,
        Err(error) => {
            let words =
                REFUSED.iter().find(|(refused, _)| refused == name).map(|(_, words)| *words);
            if !words.is_some_and(|words| error.to_string().contains(words)) {
                faults.push(format!("{name}: {error}"));
            }
            return;
        }
    };
    let found = match model.predict(&kind.inputs) {
        Ok(found) => found,
        Err(error) => return faults.push(format!("{name}: {error}")),
    };
    let expected: Vec<_> = kind.expected.iter().map(Some).collect();
    let (ort, n_ort) = difference(&found, &expected);
    let original: Vec<_> = kind.original.iter().map(Option::as_ref).collect();
    let (library, n_library) = difference(&found, &original);
    let (export, n_export) = difference(&kind.expected, &original);
    if print {
        eprintln!("{name:34} {ort:10.1e} {n_ort:5} {library:10.1e} {n_library:5}");
    }
    // Kernel machines are computed in `f64` here: nearer to the library than onnxruntime is.
    if (TOLERANCE < ort && export < library) || 0 < n_ort {
        faults.push(format!("{name}: {ort:e} from onnxruntime, {n_ort} other labels"));
    }
    if TOLERANCE_ORIGINAL.max(EXPORT_FACTOR * export) < library || n_export < n_library {
        faults.push(format!("{name}: {library:e} from the library, {n_library} other labels"));
    }
    if let Err(broken) = conformance::check(&model, &kind.inputs) {
        faults.push(format!("{name}: {broken}"));
    }
}

/// E2 and E3, and the answers themselves, for every kind.
#[test]
fn answers_are_those_of_onnxruntime_and_of_the_original_library() {
    let other = std::env::var_os("BARTIZAN_ENGINE_ZOO").map(PathBuf::from);
    let all = kinds(&other.clone().unwrap_or_else(committed));
    assert!(100 < all.len() || other.is_some(), "only {} kinds are there", all.len());
    if other.is_some() {
        eprintln!("{:34} {:>10} {:>5} {:>10} {:>5}", "kind", "ort", "labels", "library", "labels");
    }
    let mut faults = Vec::new();
    for kind in &all {
        judge(kind, other.is_some(), &mut faults);
    }
    assert!(faults.is_empty(), "{} of {} kinds:\n{}", faults.len(), all.len(), faults.join("\n"));
}
