//! Requests held against the contract of a model.
//!
//! Invariants
//! - G2: nothing that breaks the contract is allowed, and nothing else is refused;
//! - G3: a finding per rule and column, with the exact number of values and the first row;
//!   never a value.

use bartizan_core::contract::Input;
use bartizan_core::{Contract, Finding, Findings, Place, Tensor, Values, Verdict, half, limits};

use crate::arrange::{self, Mismatch};
use crate::columns::{Columns, Found, Limits, Texts, WholeLimits};
use crate::rules;

/// Columns whose findings are counted in one walk over the rows.
const BLOCK_COLUMNS: usize = 64;

/// A contract, made ready to be held against requests; see the module invariants.
#[derive(Clone, Debug)]
pub struct ContractGuard {
    inputs: Vec<InputGuard>,
    rows_max: u64,
}

#[derive(Clone, Debug)]
struct InputGuard {
    input: Input,
    columns: Columns,
}

impl ContractGuard {
    /// The guard of `contract`.
    pub fn new(contract: &Contract) -> Self {
        let guard =
            |input: &Input| InputGuard { input: input.clone(), columns: Columns::new(input) };
        let inputs = contract.inputs().iter().map(guard).collect();
        Self { inputs, rows_max: contract.rows_max() }
    }

    /// Puts `inputs` into the contract's order and checks names, datatypes, shapes, one common
    /// number of rows and its limit. An empty batch is fine. Takes no memory where all fits.
    ///
    /// # Errors
    /// [`Mismatch`] for the first that does not fit.
    pub fn arrange(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Mismatch> {
        let takes = |guard: &InputGuard, tensor: &Tensor| {
            guard.input.name == tensor.name() && arrange::check(&guard.input, tensor).is_ok()
        };
        let in_place = inputs.len() == self.inputs.len()
            && self.inputs.iter().zip(&inputs).all(|(guard, tensor)| takes(guard, tensor));
        if in_place {
            arrange::check_rows(self.rows_max, &inputs)?;
            return Ok(inputs);
        }
        let takes: Vec<_> = self.inputs.iter().map(|guard| &guard.input).collect();
        arrange::arrange(&takes, self.rows_max, inputs)
    }

    /// Holds the values of `inputs`, which [`Self::arrange`] gave, against the contract: NaN
    /// only where a value may be missing, no infinity, hard limits, categories. Whatever is
    /// found is added to `findings` and blocks.
    ///
    /// About a nanosecond a floating-point value and no memory where nothing is found.
    pub fn check(&self, inputs: &[Tensor], findings: &mut Findings) -> Verdict {
        let fits = |(guard, tensor): (&InputGuard, &Tensor)| {
            arrange::check(&guard.input, tensor).is_ok() && guard.fits_columns(tensor)
        };
        // Fails closed where the caller forgot to arrange.
        if inputs.len() != self.inputs.len() || !self.inputs.iter().zip(inputs).all(fits) {
            let place = Place::default();
            findings.push(Finding { rule: &rules::INPUT_MISMATCH, place, count: 1, score: 1.0 });
            return Verdict::Block;
        }
        let mut verdict = Verdict::Allow;
        for (guard, tensor) in self.inputs.iter().zip(inputs) {
            if !guard.check(tensor, findings) {
                verdict = Verdict::Block;
            }
        }
        verdict
    }
}

impl InputGuard {
    /// Whether there is one entry for all columns, or one for each of `tensor`'s (C2).
    fn fits_columns(&self, tensor: &Tensor) -> bool {
        let n_entries = match &self.columns {
            Columns::Single(limits) => limits.len(),
            Columns::Double(limits) => limits.len(),
            Columns::Whole(limits) => limits.len(),
            Columns::Text(texts) => texts.len(),
        };
        n_entries == 1 || tensor.values().is_empty() || n_entries == tensor.row_len()
    }

    /// Whether nothing is found in `tensor`.
    fn check(&self, tensor: &Tensor, findings: &mut Findings) -> bool {
        macro_rules! whole {
            ($values:expr, $limits:expr) => {{
                let judge = |limits: &WholeLimits, value: &_| limits.judge(i128::from(*value));
                let pass = |limits: &WholeLimits, value: &_| judge(limits, value).is_none();
                self.look(tensor, $values, $limits, pass, judge, findings)
            }};
        }
        macro_rules! half {
            ($values:expr, $limits:expr, $widen:path) => {{
                let judge = |limits: &Limits<f32>, bits: &u16| limits.judge($widen(*bits));
                let pass = |limits: &Limits<f32>, bits: &u16| limits.pass($widen(*bits));
                self.look(tensor, $values, $limits, pass, judge, findings)
            }};
        }
        match (tensor.values(), &self.columns) {
            (Values::Fp32(values), Columns::Single(limits)) => {
                let judge = |limits: &Limits<f32>, value: &f32| limits.judge(*value);
                self.look(tensor, values, limits, |l, value| l.pass(*value), judge, findings)
            }
            (Values::Fp64(values), Columns::Double(limits)) => {
                let judge = |limits: &Limits<f64>, value: &f64| limits.judge(*value);
                self.look(tensor, values, limits, |l, value| l.pass(*value), judge, findings)
            }
            (Values::Fp16(values), Columns::Single(limits)) => {
                half!(values, limits, half::fp16_to_f32)
            }
            (Values::Bf16(values), Columns::Single(limits)) => {
                half!(values, limits, half::bf16_to_f32)
            }
            (Values::Bytes(values), Columns::Text(texts)) => {
                let judge = |texts: &Texts, value: &Vec<u8>| texts.judge(value);
                let pass = |texts: &Texts, value: &Vec<u8>| judge(texts, value).is_none();
                self.look(tensor, values, texts, pass, judge, findings)
            }
            (Values::Bool(values), Columns::Whole(limits)) => whole!(values, limits),
            (Values::Uint8(values), Columns::Whole(limits)) => whole!(values, limits),
            (Values::Uint16(values), Columns::Whole(limits)) => whole!(values, limits),
            (Values::Uint32(values), Columns::Whole(limits)) => whole!(values, limits),
            (Values::Uint64(values), Columns::Whole(limits)) => whole!(values, limits),
            (Values::Int8(values), Columns::Whole(limits)) => whole!(values, limits),
            (Values::Int16(values), Columns::Whole(limits)) => whole!(values, limits),
            (Values::Int32(values), Columns::Whole(limits)) => whole!(values, limits),
            (Values::Int64(values), Columns::Whole(limits)) => whole!(values, limits),
            // `ContractGuard::check` has compared the types; fail closed all the same.
            (_, Columns::Single(_) | Columns::Double(_) | Columns::Whole(_) | Columns::Text(_)) => {
                false
            }
        }
    }

    /// Whether all values pass; where not, lists what `judge` finds (G1 says the two agree).
    fn look<V, L>(
        &self,
        tensor: &Tensor,
        values: &[V],
        entries: &[L],
        pass: impl Fn(&L, &V) -> bool,
        judge: impl Fn(&L, &V) -> Option<Found>,
        findings: &mut Findings,
    ) -> bool {
        let entry = |column: usize| &entries[if entries.len() == 1 { 0 } else { column }];
        all_pass(values, entries, tensor.row_len(), pass)
            || self.list(tensor, &|at, column| judge(entry(column), &values[at]), findings)
    }

    /// Lists what `judge` finds at (place in the values, column); whether that is nothing.
    fn list(
        &self,
        tensor: &Tensor,
        judge: &dyn Fn(usize, usize) -> Option<Found>,
        findings: &mut Findings,
    ) -> bool {
        let (n_rows, row_len) = (tensor.n_rows(), tensor.row_len());
        let mut nothing = true;
        for block_at in (0..row_len).step_by(BLOCK_COLUMNS) {
            let n_columns = BLOCK_COLUMNS.min(row_len - block_at);
            let mut tallies = [[Tally::default(); Found::RULES.len()]; BLOCK_COLUMNS];
            for row in 0..n_rows {
                let start = row * row_len + block_at;
                for (idx, tally) in tallies[..n_columns].iter_mut().enumerate() {
                    if let Some(found) = judge(start + idx, block_at + idx) {
                        tally[found as usize].add(row as u64);
                        nothing = false;
                    }
                }
            }
            for (idx, tally) in tallies[..n_columns].iter().enumerate() {
                self.push(block_at + idx, tally, findings);
            }
        }
        nothing
    }

    fn push(
        &self,
        column_idx: usize,
        tally: &[Tally; Found::RULES.len()],
        findings: &mut Findings,
    ) {
        for (rule, tally) in Found::RULES.into_iter().zip(tally).filter(|(_, t)| 0 < t.count) {
            // What is only counted needs no name.
            let named = findings.kept().len() < limits::FINDINGS_MAX;
            let field = named.then(|| self.input.column_name(column_idx).into());
            let place = Place { field, row: Some(tally.first_row) };
            findings.push(Finding { rule, place, count: tally.count, score: 1.0 });
        }
    }
}

/// How often something was found in a column, and where first.
#[derive(Clone, Copy, Default)]
struct Tally {
    count: u64,
    first_row: u64,
}

impl Tally {
    fn add(&mut self, row: u64) {
        if self.count == 0 {
            self.first_row = row;
        }
        self.count += 1;
    }
}

/// Whether every value passes its column's limits. Rows are looked at whole, without a branch,
/// so that the compiler can take several values at a time.
fn all_pass<V, L>(
    values: &[V],
    entries: &[L],
    row_len: usize,
    pass: impl Fn(&L, &V) -> bool,
) -> bool {
    if let [entry] = entries {
        let mut chunks = values.chunks(BLOCK_COLUMNS);
        return chunks.all(|chunk| chunk.iter().fold(true, |ok, value| ok & pass(entry, value)));
    }
    let mut rows = values.chunks_exact(row_len.max(1));
    rows.all(|row| row.iter().zip(entries).fold(true, |ok, (value, entry)| ok & pass(entry, value)))
}

#[cfg(test)]
mod tests;
