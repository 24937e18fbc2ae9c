//! Answers as rows: `row`, `decision`, `refused`, then a column for each output of the contract.
//!
//! A row that was refused has the refusal's code in `refused` and no outputs; an output that the
//! credential does not cover is missing in every row.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use bartizan_core::{Contract, Datatype, Tensor, Values};
use bartizan_vet::read::{Column, Meaning, Rows};

use super::asking::Answered;
use crate::cmd::Failure;

/// The columns in front of the outputs.
const OWN: [&str; 3] = ["row", "decision", "refused"];

/// The columns of the answers.
pub(super) struct Sheet {
    outputs: Vec<Output>,
}

struct Output {
    name: String,
    datatype: Datatype,
    width: usize,
}

impl Sheet {
    /// The columns for answers under `contract`.
    ///
    /// # Errors
    /// Where an output leaves open how many values a row has, or is called like a column of ours.
    pub(super) fn new(contract: &Contract) -> Result<Self, String> {
        let output = |output: &bartizan_core::contract::Output| {
            let name = output.name.clone();
            if OWN.contains(&name.as_str()) {
                return Err(format!("output `{name}` is called like a column of the answers"));
            }
            let dims = output.shape.get(1..).unwrap_or_default().iter();
            let dims: Option<Vec<usize>> = dims.map(|dim| usize::try_from(*dim).ok()).collect();
            let width = dims.map(|dims| dims.iter().product::<usize>()).ok_or_else(|| {
                format!(
                    "output `{name}` has shape {:?}: a file needs the same columns for every row; \
                     say the number of its values in the contract",
                    output.shape
                )
            })?;
            Ok(Output { name, datatype: output.datatype, width: width.max(1) })
        };
        let outputs = contract.outputs().iter().map(output).collect::<Result<_, _>>()?;
        Ok(Self { outputs })
    }

    /// No columns but our own.
    #[cfg(test)]
    pub(super) fn of_nothing() -> Self {
        Self { outputs: Vec::new() }
    }

    /// The lines of a batch whose first row is row `first` of the file.
    ///
    /// # Errors
    /// Where an answer is not what the contract promises.
    pub(super) fn rows(&self, first: u64, answers: &[Answered]) -> Result<Rows, Failure> {
        let n_rows: usize = answers.iter().map(|answer| answer.n_rows).sum();
        let each = |of: &dyn Fn(&Answered) -> String| {
            let lines = answers.iter().flat_map(|one| {
                let text = of(one).into_bytes();
                std::iter::repeat_n(text, one.n_rows)
            });
            Values::Bytes(lines.collect())
        };
        let refused = each(&|one| one.refused.clone().unwrap_or_default());
        let column = |name: &str, meaning, values| Column {
            name: name.to_owned(),
            meaning,
            width: 1,
            values,
            missing: Vec::new(),
            n_missing: 0,
        };
        let numbers = Values::Uint64((first..first + n_rows as u64).collect());
        let mut columns = vec![
            column(OWN[0], Meaning::Plain, numbers),
            column(OWN[1], Meaning::Text, each(&|one| one.decision.clone())),
            column(OWN[2], Meaning::Text, refused),
        ];
        for output in &self.outputs {
            columns.push(output.column(answers)?);
        }
        Ok(Rows { columns, n_rows })
    }

    /// How many of `rows` were refused.
    pub(super) fn n_refused(rows: &Rows) -> u64 {
        match rows.column(OWN[2]).map(|column| &column.values) {
            Some(Values::Bytes(codes)) => {
                codes.iter().filter(|code| !code.is_empty()).count() as u64
            }
            Some(_) | None => 0,
        }
    }

    /// Writes `batches` as CSV, an output of several values as a column each; makes it durable.
    pub(super) fn write_csv(
        &self,
        path: &Path,
        batches: impl Iterator<Item = Result<Rows, Failure>>,
    ) -> Result<u64, Failure> {
        let mut out = BufWriter::new(File::options().write(true).create_new(true).open(path)?);
        let mut heads: Vec<String> = OWN.iter().map(|name| (*name).to_owned()).collect();
        for output in &self.outputs {
            match output.width {
                1 => heads.push(quoted(&output.name)),
                width => {
                    heads.extend((0..width).map(|idx| quoted(&format!("{}_{idx}", output.name))))
                }
            }
        }
        writeln!(out, "{}", heads.join(","))?;
        let mut n_refused = 0;
        for rows in batches {
            let rows = rows?;
            n_refused += Self::n_refused(&rows);
            for row_idx in 0..rows.n_rows {
                line(&rows, row_idx, &mut out)?;
            }
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(n_refused)
    }
}

fn line(rows: &Rows, row_idx: usize, out: &mut impl io::Write) -> io::Result<()> {
    let mut cells = Vec::new();
    for column in &rows.columns {
        for idx in row_idx * column.width..(row_idx + 1) * column.width {
            cells.push(if column.is_missing(idx) { String::new() } else { cell(column, idx) });
        }
    }
    writeln!(out, "{}", cells.join(","))
}

fn cell(column: &Column, idx: usize) -> String {
    match &column.values {
        Values::Bool(v) => v[idx].to_string(),
        Values::Uint8(v) => v[idx].to_string(),
        Values::Uint16(v) => v[idx].to_string(),
        Values::Uint32(v) => v[idx].to_string(),
        Values::Uint64(v) => v[idx].to_string(),
        Values::Int8(v) => v[idx].to_string(),
        Values::Int16(v) => v[idx].to_string(),
        Values::Int32(v) => v[idx].to_string(),
        Values::Int64(v) => v[idx].to_string(),
        Values::Fp16(v) => bartizan_core::half::fp16_to_f32(v[idx]).to_string(),
        Values::Bf16(v) => bartizan_core::half::bf16_to_f32(v[idx]).to_string(),
        Values::Fp32(v) => v[idx].to_string(),
        Values::Fp64(v) => v[idx].to_string(),
        Values::Bytes(v) => quoted(&String::from_utf8_lossy(&v[idx])),
    }
}

/// A text as RFC 4180 has it, in quotes where it needs them.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

impl Output {
    /// Its column for a batch.
    fn column(&self, answers: &[Answered]) -> Result<Column, Failure> {
        let mut missing = Vec::new();
        let mut parts: Vec<Tensor> = Vec::new();
        for answer in answers {
            let n_values = answer.n_rows * self.width;
            let told = answer.outputs.iter().find(|output| output.name() == self.name);
            missing.resize(missing.len() + n_values, told.is_none());
            let tensor = match told {
                None => self.nothing(n_values),
                Some(output) => Tensor::new(
                    self.name.as_str(),
                    vec![n_values as u64],
                    output.values().part(0..output.values().len()),
                ),
            };
            parts.push(tensor.map_err(|error| self.wrong(&error.to_string()))?);
        }
        let values = Tensor::stack(&parts.iter().collect::<Vec<_>>())
            .ok_or_else(|| self.wrong("its type is another than the contract's"))?;
        let n_missing = missing.iter().filter(|missing| **missing).count();
        if n_missing == 0 {
            missing.clear();
        }
        let meaning = if self.datatype == Datatype::Bytes { Meaning::Text } else { Meaning::Plain };
        Ok(Column {
            name: self.name.clone(),
            meaning,
            width: self.width,
            values: values.values().part(0..values.values().len()),
            missing,
            n_missing,
        })
    }

    fn wrong(&self, what: &str) -> Failure {
        Failure::unknown(format!("the answer's output `{}` is not as promised: {what}", self.name))
    }

    /// Values that stand where none are.
    fn nothing(&self, n: usize) -> Result<Tensor, bartizan_core::tensor::ShapeError> {
        let values = match self.datatype {
            Datatype::Bool => Values::Bool(vec![false; n]),
            Datatype::Uint8 => Values::Uint8(vec![0; n]),
            Datatype::Uint16 => Values::Uint16(vec![0; n]),
            Datatype::Uint32 => Values::Uint32(vec![0; n]),
            Datatype::Uint64 => Values::Uint64(vec![0; n]),
            Datatype::Int8 => Values::Int8(vec![0; n]),
            Datatype::Int16 => Values::Int16(vec![0; n]),
            Datatype::Int32 => Values::Int32(vec![0; n]),
            Datatype::Int64 => Values::Int64(vec![0; n]),
            Datatype::Fp16 => Values::Fp16(vec![0; n]),
            Datatype::Bf16 => Values::Bf16(vec![0; n]),
            Datatype::Fp32 => Values::Fp32(vec![0.0; n]),
            Datatype::Fp64 => Values::Fp64(vec![0.0; n]),
            Datatype::Bytes => Values::Bytes(vec![Vec::new(); n]),
        };
        Tensor::new(self.name.as_str(), vec![n as u64], values)
    }
}
