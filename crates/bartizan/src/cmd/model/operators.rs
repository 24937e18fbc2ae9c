//! `bartizan model inspect --operators`: what a file is made of, whether or not it loads.

use std::io;

use bartizan_engine::Inspection;

use crate::answer::Answer;
use crate::cmd::Outcome;
use crate::render::table::Table;

/// One line an operator on `out`; what is missing, or what a row costs, to the operator.
///
/// The answer is no where the model does not load.
pub(super) fn show(found: &Inspection, out: &mut dyn io::Write) -> Outcome {
    let mut table = Table::new(&["OPERATOR", "SET", "NODES", "RUNS ON", "NS A ROW"]);
    for operator in &found.operators {
        table.push(vec![
            operator.name.clone(),
            format!("{} {}", operator.domain, operator.version),
            operator.n_nodes.to_string(),
            if operator.is_run { found.engine.into() } else { "-".into() },
            operator.row_cost_ns.to_string(),
        ]);
    }
    write!(out, "{table}")?;
    match &found.model {
        Ok(model) => {
            eprintln!(
                "It loads: {} bytes in memory, about {} ns a row.",
                model.resident_bytes(),
                model.row_cost_ns()
            );
            Ok(Answer::Yes)
        }
        Err(error) => {
            eprintln!("It does not load: {error}.");
            Ok(Answer::No)
        }
    }
}
