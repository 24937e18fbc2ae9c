//! A contract made sharper by what a reference data set says about its columns.

use std::collections::BTreeSet;

use bartizan_core::Datatype;
use bartizan_core::contract::{ContractFile, Feature, Input, Missing};

/// What is known of one column of a reference data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// In how many rows it has no value.
    pub n_missing: u64,
    /// Type of its values.
    pub datatype: Datatype,
}

/// `contract` with what `columns` add; `columns` are those of a reference data set in its order,
/// without label and prediction.
///
/// - A sole input whose features have no names yet gets the names of the columns, where these
///   are as many as the input has and all can feed it.
/// - A floating-point feature (or input of one column) that has a column's name may be missing
///   where the reference has rows without a value.
///
/// Hard limits and categories are never derived: what was merely not seen in the reference never
/// refuses. What is no contract stays none: no invariant is checked here.
pub fn sharpen(mut contract: ContractFile, columns: &[ColumnFacts]) -> ContractFile {
    if let [input] = contract.inputs.as_mut_slice() {
        name_features(input, columns);
    }
    for input in &mut contract.inputs {
        allow_missing(input, columns);
    }
    contract
}

fn name_features(input: &mut Input, columns: &[ColumnFacts]) {
    // `Contract::infer` gives an input that copes with missing values one feature of its name.
    let template = match input.features.as_slice() {
        [] => Feature::default(),
        [sole] if sole.name == input.name => sole.clone(),
        _ => return,
    };
    let n_columns = columns.len() as u64;
    let names: BTreeSet<_> = columns.iter().map(|column| column.name.as_str()).collect();
    let usable = names.len() == columns.len() && !names.contains("");
    let feeds = |column: &ColumnFacts| {
        (column.datatype == Datatype::Bytes) == (input.datatype == Datatype::Bytes)
    };
    if input.row_len() != Some(n_columns) || !usable || !columns.iter().all(feeds) {
        return;
    }
    let named = |column: &ColumnFacts| Feature { name: column.name.clone(), ..template.clone() };
    input.features = columns.iter().map(named).collect();
}

fn allow_missing(input: &mut Input, columns: &[ColumnFacts]) {
    let is_float = match input.datatype {
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => true,
        Datatype::Bool
        | Datatype::Uint8
        | Datatype::Uint16
        | Datatype::Uint32
        | Datatype::Uint64
        | Datatype::Int8
        | Datatype::Int16
        | Datatype::Int32
        | Datatype::Int64
        | Datatype::Bytes => false,
    };
    if !is_float {
        return;
    }
    let has_nulls =
        |name: &str| columns.iter().any(|column| column.name == name && 0 < column.n_missing);
    if input.features.is_empty() && input.row_len() == Some(1) && has_nulls(&input.name) {
        input.features.push(Feature { name: input.name.clone(), ..Feature::default() });
    }
    for feature in &mut input.features {
        if has_nulls(&feature.name) {
            feature.missing = Missing::Allowed;
        }
    }
}

#[cfg(test)]
mod tests;
