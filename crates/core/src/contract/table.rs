//! The part of a contract for protocols that send tables: Azure ML, MLflow, KServe v1, CSV.

use super::{ContractError, Output};
use crate::limits;

/// What happens to a column that the contract does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtraColumns {
    /// The request is refused.
    #[default]
    Refused,
    /// The column is read over.
    Dropped,
}

/// How an answer of several rows is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerShape {
    /// One list of one output: `[0, 1]`, or `[[0.9, 0.1], [0.2, 0.8]]`.
    Values,
    /// An object a row: `[{"label": 0, "score": 0.9}, ..]`.
    Records,
    /// A list an output: `{"label": [0, 1], "score": [0.9, 0.8]}`.
    Columns,
}

/// How tables meet the model; what is absent is as callers of each protocol expect it.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Table {
    /// What happens to columns that the contract does not name.
    #[serde(skip_serializing_if = "ExtraColumns::is_refused")]
    pub extra_columns: ExtraColumns,
    /// Keys that lead to the rows of a body of Azure ML's `/score`, outermost first, where it is
    /// none of the usual ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows_at: Vec<String>,
    /// The outputs that stand in an answer, in this order: the label alone where absent, or all
    /// outputs where there is no label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<String>>,
    /// How they are written: `values` for one output, `columns` for several, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerShape>,
    /// Key of the object around an answer to Azure ML's `/score`; where absent, as the request's
    /// own form has it. The empty text means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_key: Option<String>,
}

impl ExtraColumns {
    fn is_refused(&self) -> bool {
        *self == Self::Refused
    }
}

impl Table {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// C6.
pub(super) fn check(table: &Table, outputs: &[Output]) -> Result<(), ContractError> {
    let broken =
        |reason: &str| Err(ContractError::Broken { place: "table".into(), reason: reason.into() });
    let texts = table.rows_at.iter().chain(&table.answer_key);
    if texts.clone().any(|text| limits::ASSERTED_BYTES_MAX < text.len()) {
        return broken("a key has more than 256 bytes");
    }
    if limits::DIMS_MAX < table.rows_at.len() || table.rows_at.iter().any(String::is_empty) {
        return broken("`rows_at` has at most 8 keys, none of them empty");
    }
    let Some(names) = &table.outputs else { return Ok(()) };
    let known = |name: &String| outputs.iter().any(|output| output.name == *name);
    let twice = names.iter().enumerate().any(|(idx, name)| names[..idx].contains(name));
    if names.is_empty() || twice || !names.iter().all(known) {
        return broken("`outputs` must name outputs of this contract, each once");
    }
    if table.answer == Some(AnswerShape::Values) && names.len() != 1 {
        return broken("`answer = \"values\"` takes one output; use `records` or `columns`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Datatype;
    use crate::contract::Role;

    /// C6 from both sides.
    #[test]
    fn a_table_names_outputs_of_its_contract_and_short_keys() {
        let output = |name: &str| Output {
            name: name.into(),
            datatype: Datatype::Int64,
            shape: vec![-1],
            role: Role::Label,
        };
        let outputs = [output("a"), output("b")];
        let names = |names: &[&str], answer| Table {
            outputs: Some(names.iter().map(|name| (*name).into()).collect()),
            answer,
            ..Table::default()
        };
        let keys = |key: String, n: usize| Table { rows_at: vec![key; n], ..Table::default() };
        let values = Some(AnswerShape::Values);
        for good in [
            Table::default(),
            names(&["b", "a"], None),
            names(&["b"], values),
            keys("k".repeat(256), 8),
        ] {
            assert_eq!(check(&good, &outputs), Ok(()), "{good:?}");
        }
        for bad in [
            names(&[], None),
            names(&["c"], None),
            names(&["a", "a"], None),
            names(&["a", "b"], values),
            keys("k".repeat(257), 1),
            keys("k".into(), 9),
            keys(String::new(), 1),
        ] {
            assert!(check(&bad, &outputs).is_err(), "{bad:?}");
        }
    }
}
