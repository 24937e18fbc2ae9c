//! What a file is made of, told without running it: which operators, which of them run here, and
//! what a row costs.

use std::collections::BTreeMap;

use super::operators::{self, domain_name};
use bartizan_core::Predictor;

use super::{LoadError, load};
use crate::load::LoadLimits;
use crate::onnx;

/// One operator of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorUse {
    /// Its operator set, as people write it.
    pub domain: String,
    /// Its name.
    pub name: String,
    /// Version of the operator set that the model imports; 0 where it imports none.
    pub version: i64,
    /// How many nodes.
    pub n_nodes: usize,
    /// Whether `native` has it in that version.
    pub is_run: bool,
    /// Rough cost of its nodes for one row, in nanoseconds; 0 where they are worked out at load,
    /// or the model does not load.
    pub row_cost_ns: u64,
}

/// What a file is made of.
pub struct Inspection {
    /// What runs the operators that are run.
    pub engine: &'static str,
    /// Its operators, by domain and name.
    pub operators: Vec<OperatorUse>,
    /// The model, or why it does not load.
    pub model: Result<Box<dyn Predictor>, LoadError>,
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let model = self.model.as_ref().map(|model| model.signature());
        f.debug_struct("Inspection")
            .field("engine", &self.engine)
            .field("operators", &self.operators)
            .field("model", &model)
            .finish()
    }
}

/// Reads a file and tells what it is made of, whether or not it loads. Costs what [`load`] does.
///
/// # Errors
/// [`LoadError`] where the bytes are no ONNX file within the bounds: then nothing can be told.
pub fn inspect(bytes: &[u8], limits: &LoadLimits) -> Result<Inspection, LoadError> {
    let file = onnx::read(bytes, limits.file_bytes_max)?;
    let model = load(bytes, limits);
    let mut costs: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    if let Ok(model) = &model {
        for (domain, name, cost) in model.plan.costs() {
            *costs.entry((domain, name)).or_default() += cost;
        }
    }
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for node in &file.graph.nodes {
        *counts.entry((node.domain, node.op)).or_default() += 1;
    }
    let told = |((domain, name), n_nodes): ((&str, &str), usize)| {
        let version = file.opsets.get(domain).copied().unwrap_or(0);
        OperatorUse {
            domain: domain_name(domain).into(),
            name: name.into(),
            version,
            n_nodes,
            is_run: operators::find(domain, name, version).is_some(),
            row_cost_ns: costs.get(&(domain, name)).copied().unwrap_or(0),
        }
    };
    let model = model.map(|model| Box::new(model) as Box<dyn Predictor>);
    let operators = counts.into_iter().map(told).collect();
    Ok(Inspection { engine: "native", operators, model })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::tests::data::{NAMES, read};

    #[test]
    fn every_operator_is_told_with_its_share_of_the_cost() {
        for name in NAMES {
            let found = inspect(&read(name).bytes, &LoadLimits::default()).unwrap();
            assert!(found.operators.iter().all(|operator| operator.is_run), "{name}");
            let model = found.model.unwrap();
            let sum: u64 = found.operators.iter().map(|operator| operator.row_cost_ns).sum();
            assert_eq!(sum.max(1), model.row_cost_ns(), "{name}");
        }
    }

    #[test]
    fn a_model_that_does_not_load_is_told_all_the_same() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zoo/data/");
        let bytes = std::fs::read(format!("{folder}knn-regressor-scan.onnx")).unwrap();
        let found = inspect(&bytes, &LoadLimits::default()).unwrap();
        let missing: Vec<_> = found.operators.iter().filter(|operator| !operator.is_run).collect();
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert_eq!((missing[0].name.as_str(), missing[0].n_nodes), ("Scan", 1));
        assert!(found.model.is_err());
        assert!(inspect(b"no model", &LoadLimits::default()).is_err());
    }
}
