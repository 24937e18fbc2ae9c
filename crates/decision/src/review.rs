//! Least disclosure: what of a model's answer a permit lets through.

use std::cmp::Ordering;

use bartizan_core::contract::Role;
use bartizan_core::{Obligations, Tensor, Values};

/// Keeps of `outputs` what `obligations` and `wanted` (the request's own choice) allow, each cut
/// down as the obligations say. `role` is an output's role in the contract, `None` for one that
/// the contract does not give.
pub(crate) fn disclose(
    outputs: &[Tensor],
    obligations: &Obligations,
    wanted: Option<&[Box<str>]>,
    role: impl Fn(&str) -> Option<Role>,
) -> Vec<Tensor> {
    let is_given = |name: &str, role: Role| {
        let granted = obligations.outputs.as_ref().is_none_or(|names| names.contains(name));
        let asked = wanted.is_none_or(|names| names.iter().any(|wanted| **wanted == *name));
        granted && asked && (!obligations.label_only || role == Role::Label)
    };
    let mut given = Vec::with_capacity(outputs.len());
    for whole in outputs {
        let Some(role) = role(whole.name()).filter(|role| is_given(whole.name(), *role)) else {
            continue;
        };
        let mut tensor = whole.clone();
        if let (Role::Probabilities, Some(k)) = (role, obligations.top_k) {
            let row_len = tensor.row_len();
            keep_top(tensor.values_mut(), row_len, k as usize);
        }
        if let (Role::Probabilities | Role::Scores, Some(digits)) = (role, obligations.digits) {
            round(tensor.values_mut(), digits);
        }
        given.push(tensor);
    }
    given
}

/// Sets all but the `k` largest values of each row to 0; of equal values the first stays.
fn keep_top(values: &mut Values, row_len: usize, k: usize) {
    match values {
        Values::Fp32(v) => keep_top_of(v, row_len, k, 0.0, f32::total_cmp),
        Values::Fp64(v) => keep_top_of(v, row_len, k, 0.0, f64::total_cmp),
        Values::Bool(_)
        | Values::Uint8(_)
        | Values::Uint16(_)
        | Values::Uint32(_)
        | Values::Uint64(_)
        | Values::Int8(_)
        | Values::Int16(_)
        | Values::Int32(_)
        | Values::Int64(_)
        | Values::Fp16(_)
        | Values::Bf16(_)
        | Values::Bytes(_) => {}
    }
}

fn keep_top_of<T: Copy>(
    values: &mut [T],
    row_len: usize,
    k: usize,
    zero: T,
    compare: impl Fn(&T, &T) -> Ordering,
) {
    if row_len <= k {
        return;
    }
    let mut order: Vec<usize> = Vec::with_capacity(row_len);
    for row in values.chunks_mut(row_len) {
        order.clear();
        order.extend(0..row.len());
        // A stable sort: of equal values the first stays in front.
        order.sort_by(|a, b| compare(&row[*b], &row[*a]));
        for column_idx in order.iter().skip(k) {
            row[*column_idx] = zero;
        }
    }
}

/// Rounds to `digits` decimal digits, halves away from zero.
fn round(values: &mut Values, digits: u8) {
    let scale = 10_f64.powi(i32::from(digits));
    let rounded = |x: f64| {
        let y = (x * scale).round() / scale;
        if y.is_finite() { y } else { x }
    };
    match values {
        Values::Fp32(v) => v.iter_mut().for_each(|x| *x = rounded(f64::from(*x)) as f32),
        Values::Fp64(v) => v.iter_mut().for_each(|x| *x = rounded(*x)),
        Values::Bool(_)
        | Values::Uint8(_)
        | Values::Uint16(_)
        | Values::Uint32(_)
        | Values::Uint64(_)
        | Values::Int8(_)
        | Values::Int16(_)
        | Values::Int32(_)
        | Values::Int64(_)
        | Values::Fp16(_)
        | Values::Bf16(_)
        | Values::Bytes(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs() -> Vec<Tensor> {
        let label = Values::Int64(vec![2, 0]);
        let probs = Values::Fp32(vec![0.123_456, 0.3, 0.6, 0.4, 0.4, 0.2]);
        vec![
            Tensor::new("label", vec![2], label).unwrap(),
            Tensor::new("probs", vec![2, 3], probs).unwrap(),
            Tensor::new("hidden", vec![2], Values::Int64(vec![7, 7])).unwrap(),
        ]
    }

    fn role(name: &str) -> Option<Role> {
        match name {
            "label" => Some(Role::Label),
            "probs" => Some(Role::Probabilities),
            _ => None,
        }
    }

    fn names(tensors: &[Tensor]) -> Vec<&str> {
        tensors.iter().map(Tensor::name).collect()
    }

    #[test]
    fn an_output_that_the_contract_does_not_give_never_leaves() {
        let given = disclose(&outputs(), &Obligations::default(), None, role);
        assert_eq!(names(&given), ["label", "probs"]);
        let wanted: Vec<Box<str>> = vec!["hidden".into(), "label".into()];
        let given = disclose(&outputs(), &Obligations::default(), Some(&wanted), role);
        assert_eq!(names(&given), ["label"]);
    }

    #[test]
    fn each_obligation_withholds_what_it_says() {
        let only = |obligations| disclose(&outputs(), &obligations, None, role);
        let label = only(Obligations { label_only: true, ..Obligations::default() });
        assert_eq!(names(&label), ["label"]);
        let names_only = Some(["probs".to_owned()].into());
        let named = only(Obligations { outputs: names_only, ..Obligations::default() });
        assert_eq!(names(&named), ["probs"]);
        let top = only(Obligations { top_k: Some(1), ..Obligations::default() });
        assert_eq!(*top[1].values(), Values::Fp32(vec![0.0, 0.0, 0.6, 0.4, 0.0, 0.0]));
        let all = only(Obligations { top_k: Some(3), ..Obligations::default() });
        assert_eq!(all[1], outputs()[1]);
        let rounded = only(Obligations { digits: Some(2), ..Obligations::default() });
        assert_eq!(*rounded[1].values(), Values::Fp32(vec![0.12, 0.3, 0.6, 0.4, 0.4, 0.2]));
        assert_eq!(*rounded[0].values(), Values::Int64(vec![2, 0]));
    }
}
