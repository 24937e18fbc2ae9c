//! One row on its way through the detectors, in memory that is taken once.

use bartizan_core::{Tensor, Values, half};

use crate::keyed;
use crate::profile::WIDTH_MAX;

/// Key of the hash that stands for a text; not secret, since profiles are made with it.
const TEXT_KEY: [u64; 2] = [0x6261_7274_697a_616e, 0x7465_7874];

/// A row as numbers, as a point, as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// The values as they came, inputs one after the other; NaN where missing.
    pub(crate) raw: Vec<f64>,
    /// The point, in spans of the reference.
    pub(crate) spot: [f32; WIDTH_MAX],
    /// What is remembered of it.
    pub(crate) bytes: [u8; WIDTH_MAX],
    /// Hash of the exact values.
    pub(crate) print: u32,
    /// Values beyond their range.
    pub(crate) n_range: u32,
    /// Values off their step.
    pub(crate) n_step: u32,
    /// Values missing that never are.
    pub(crate) n_missing: u32,
    /// The first column with one of these.
    pub(crate) first_odd: Option<u32>,
}

impl Point {
    /// Room for rows of `n_columns` values.
    pub(crate) fn new(n_columns: usize) -> Self {
        Self {
            raw: vec![0.0; n_columns],
            spot: [0.0; WIDTH_MAX],
            bytes: [0; WIDTH_MAX],
            print: 0,
            n_range: 0,
            n_step: 0,
            n_missing: 0,
            first_odd: None,
        }
    }

    /// Takes row `row_idx` of `inputs`; `false` where it has another length.
    pub(crate) fn read(&mut self, inputs: &[Tensor], row_idx: usize) -> bool {
        let mut at = 0;
        for tensor in inputs {
            let len = tensor.row_len();
            let Some(out) = self.raw.get_mut(at..at + len) else { return false };
            let from = row_idx * len;
            if tensor.values().len() < from + len {
                return false;
            }
            copy(tensor.values(), from, out);
            at += len;
        }
        at == self.raw.len()
    }
}

fn copy(values: &Values, from: usize, out: &mut [f64]) {
    macro_rules! each {
        ($v:expr, $widen:expr) => {
            out.iter_mut().zip(&$v[from..]).for_each(|(out, x)| *out = $widen(*x))
        };
    }
    match values {
        Values::Bool(v) => each!(v, |x| f64::from(u8::from(x))),
        Values::Uint8(v) => each!(v, f64::from),
        Values::Uint16(v) => each!(v, f64::from),
        Values::Uint32(v) => each!(v, f64::from),
        Values::Uint64(v) => each!(v, |x| x as f64),
        Values::Int8(v) => each!(v, f64::from),
        Values::Int16(v) => each!(v, f64::from),
        Values::Int32(v) => each!(v, f64::from),
        Values::Int64(v) => each!(v, |x| x as f64),
        Values::Fp16(v) => each!(v, |x| f64::from(half::fp16_to_f32(x))),
        Values::Bf16(v) => each!(v, |x| f64::from(half::bf16_to_f32(x))),
        Values::Fp32(v) => each!(v, f64::from),
        Values::Fp64(v) => each!(v, |x: f64| x),
        Values::Bytes(v) => out.iter_mut().zip(&v[from..]).for_each(|(out, text)| {
            // 53 bits in `0.0..1.0`: exact, and different for nearly all texts.
            *out = (keyed::hash(TEXT_KEY, text) >> 11) as f64 / (1_u64 << 53) as f64;
        }),
    }
}
