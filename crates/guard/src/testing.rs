//! Data sets and callers for the tests of this crate.

use std::sync::Arc;

use bartizan_core::contract::ContractFile;
use bartizan_core::{Contract, Digest, Findings, Tensor, Values, Verdict};
use bartizan_stats::chance::Chance;

use crate::{Answers, Asker, Guard, Judgement, Mode, Policy, Profile, Reference, fit};

/// Where rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// 12 correlated reals, three of them heavy-tailed.
    Reals,
    /// 64 small integers around ten patterns, like digits.
    Pixels,
    /// 20 columns: amounts in cents, counts, flags.
    Amounts,
}

impl Source {
    pub(crate) const ALL: [Self; 3] = [Self::Reals, Self::Pixels, Self::Amounts];

    pub(crate) fn width(self) -> usize {
        match self {
            Self::Reals => 12,
            Self::Pixels => 64,
            Self::Amounts => 20,
        }
    }

    pub(crate) fn row(self, chance: &mut Chance) -> Vec<f32> {
        match self {
            Self::Reals => {
                let common = chance.normal();
                (0..12)
                    .map(|at| {
                        let x = 0.6 * common + chance.normal();
                        let x = if at < 3 { x * x * x } else { x };
                        (10.0 * x + at as f64) as f32
                    })
                    .collect()
            }
            Self::Pixels => {
                let class = chance.below(10) as u64;
                (0..64)
                    .map(|at| {
                        let mut pattern = Chance::new(class, at);
                        let x = 16.0 * pattern.unit() + 3.0 * chance.normal();
                        if at % 8 == 0 { 0.0 } else { x.round().clamp(0.0, 16.0) as f32 }
                    })
                    .collect()
            }
            Self::Amounts => (0..20)
                .map(|at| match at % 4 {
                    0 => ((chance.normal() * 800.0 + 4_000.0).abs() * 100.0).round() as f32 / 100.0,
                    1 => chance.below(40) as f32,
                    2 => (chance.unit() * 1_000.0).round() as f32 / 10.0,
                    _ => f32::from(u8::from(chance.unit() < 0.3)),
                })
                .collect(),
        }
    }

    pub(crate) fn rows(self, n: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut chance = Chance::new(seed, self.width() as u64);
        (0..n).map(|_| self.row(&mut chance)).collect()
    }

    /// Class 1 where the sum of the standardised first columns is positive.
    pub(crate) fn label(self, row: &[f32]) -> i64 {
        let mean = match self {
            Self::Reals => 4.0,
            Self::Pixels => 7.0,
            Self::Amounts => 250.0,
        };
        let used = if self == Self::Amounts { &row[1..3] } else { row };
        let sum: f32 = used.iter().sum();
        i64::from(mean * used.len() as f32 / if self == Self::Amounts { 7.0 } else { 1.0 } < sum)
    }

    pub(crate) fn contract(self) -> Contract {
        contract(self.width())
    }

    pub(crate) fn profile(self) -> Arc<Profile> {
        let contract = self.contract();
        let inputs = [tensor(&self.rows(1_200, 77))];
        let model = Digest::of(b"model");
        let reference = Reference { inputs: &inputs, contract: &contract, model, seed: 5 };
        Arc::new(fit(&reference).unwrap())
    }

    pub(crate) fn guard(self, mode: Mode) -> Guard {
        let policy =
            Policy { mode, remembered_rows: 1 << 14, callers_max: 2_000, ..Policy::default() };
        Guard::new(self.profile(), policy, [3, 4])
    }
}

pub(crate) fn contract(width: usize) -> Contract {
    let text = format!(
        "format = 1\ninputs = [{{ name = \"x\", datatype = \"FP32\", shape = [-1, {width}] }}]\n\
         outputs = [{{ name = \"y\", datatype = \"INT64\", shape = [-1] }}]\n"
    );
    let file: ContractFile = toml::from_str(&text).unwrap();
    Contract::new(file, text.as_bytes()).unwrap()
}

pub(crate) fn tensor(rows: &[Vec<f32>]) -> Tensor {
    let width = rows.first().map_or(0, Vec::len) as u64;
    Tensor::new("x", vec![rows.len() as u64, width], Values::Fp32(rows.concat())).unwrap()
}

pub(crate) fn asker(id: u64) -> Asker<'static> {
    let mut principal = [0; 16];
    principal[..8].copy_from_slice(&id.to_le_bytes());
    Asker { principal, end_user: None, is_channel: false }
}

/// Asks about `rows`, answers by `label`, and says what was concluded at last.
pub(crate) fn ask(
    guard: &Guard,
    asker: &Asker<'_>,
    rows: &[Vec<f32>],
    now_s: u64,
    label: &dyn Fn(&[f32]) -> i64,
) -> (Verdict, Judgement, Findings) {
    let mut findings = Findings::default();
    let mut judgement = guard.before(asker, &[tensor(rows)], now_s, &mut findings);
    if judgement.verdict <= Verdict::Degrade {
        let labels: Vec<i64> = rows.iter().map(|row| label(row)).collect();
        let labels = Tensor::new("y", vec![rows.len() as u64], Values::Int64(labels)).unwrap();
        let answers = Answers { label: Some(&labels), scores: None };
        guard.after(&mut judgement, asker, answers, &mut findings);
    }
    (judgement.verdict, judgement, findings)
}
