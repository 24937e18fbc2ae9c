//! The models and rows of the demo: those of `examples/`, built into the binary, so that the demo
//! needs no file but itself.

use std::fs;
use std::path::{Path, PathBuf};

use bartizan_core::contract::{Category, Role};
use bartizan_core::{Contract, ModelName, Tensor, Values};
use bartizan_vet::read::{ReadLimits, read};
use bartizan_wire::oip;

use crate::cmd::Failure;
use crate::files;

/// One example as it is built in.
struct BuiltIn {
    name: &'static str,
    model: &'static [u8],
    contract: &'static [u8],
    heldout: &'static [u8],
}

macro_rules! built_in {
    ($name:literal) => {
        BuiltIn {
            name: $name,
            model: include_bytes!(concat!("../../../../../examples/", $name, "/model.onnx")),
            contract: include_bytes!(concat!("../../../../../examples/", $name, "/contract.toml")),
            heldout: include_bytes!(concat!("../../../../../examples/", $name, "/heldout.parquet")),
        }
    };
}

static BUILT_IN: [BuiltIn; 4] = [
    built_in!("cancer-logistic"),
    built_in!("cancer-lightgbm"),
    built_in!("digits-forest"),
    built_in!("digits-mlp"),
];

/// Column of the held-out rows that says what is true.
const TRUTH: &str = "target";

/// One example, with rows that its model was not trained on.
pub(crate) struct Example {
    /// Its name.
    pub(crate) name: ModelName,
    /// The model's file.
    pub(crate) model_file: PathBuf,
    /// The contract's file.
    pub(crate) contract_file: PathBuf,
    contract: Contract,
    rows: Vec<f32>,
    row_len: usize,
    truth: Vec<i64>,
}

/// Writes the examples below `folder` and reads their rows.
///
/// # Errors
/// What cannot be written, or is damaged.
pub(crate) fn unpack(folder: &Path) -> Result<Vec<Example>, Failure> {
    BUILT_IN.iter().map(|built_in| unpack_one(built_in, &folder.join(built_in.name))).collect()
}

fn unpack_one(built_in: &BuiltIn, folder: &Path) -> Result<Example, Failure> {
    files::make_private_dir(folder).map_err(Failure::unknown)?;
    let write = |name: &str, bytes: &[u8]| -> Result<PathBuf, Failure> {
        let path = folder.join(name);
        files::replace(&path, bytes).map_err(Failure::unknown)?;
        Ok(path)
    };
    let model_file = write("model.onnx", built_in.model)?;
    let contract_file = write("contract.toml", built_in.contract)?;
    let heldout_file = write("heldout.parquet", built_in.heldout)?;
    let text = fs::read_to_string(&contract_file)?;
    let file = toml::from_str(&text).map_err(Failure::unknown)?;
    let contract = Contract::new(file, text.as_bytes()).map_err(Failure::unknown)?;
    let rows = read(&heldout_file, &ReadLimits::default()).map_err(Failure::unknown)?;
    let odd = || Failure::unknown("the built-in example is damaged");
    let input = rows.to_inputs(&contract).map_err(Failure::unknown)?.remove(0);
    let truth = rows.column(TRUTH).ok_or_else(odd)?;
    let Values::Int64(truth) = &truth.values else { return Err(odd()) };
    let (row_len, truth) = (input.row_len(), truth.clone());
    let Values::Fp32(rows) = input.values() else { return Err(odd()) };
    let name = built_in.name.parse().map_err(Failure::unknown)?;
    Ok(Example { name, model_file, contract_file, contract, rows: rows.clone(), row_len, truth })
}

impl Example {
    /// Rows that there are.
    pub(crate) fn n_rows(&self) -> usize {
        self.truth.len()
    }

    /// The values of row `row_idx`, to be changed at will.
    pub(crate) fn row(&self, row_idx: usize) -> Vec<f32> {
        let start = row_idx % self.n_rows() * self.row_len;
        self.rows[start..start + self.row_len].to_vec()
    }

    /// The body that asks about `row`.
    ///
    /// # Errors
    /// None that a row of numbers can cause.
    pub(crate) fn body(&self, row: &[f32]) -> Result<Vec<u8>, Failure> {
        let name = self.contract.inputs()[0].name.as_str();
        let (shape, values) = (vec![1, row.len() as u64], Values::Fp32(row.to_vec()));
        let input = Tensor::new(name, shape, values).map_err(Failure::unknown)?;
        let mut body = Vec::new();
        oip::render_request(&[input], &mut body).map_err(Failure::unknown)?;
        Ok(body)
    }

    /// The place of the first feature with a hard limit, and a value beyond it.
    pub(crate) fn beyond_limit(&self) -> Option<(usize, f32)> {
        let input = &self.contract.inputs()[0];
        let beyond = |column: usize| {
            let feature = input.feature(column)?;
            let value = feature.max.map(|max| max + 1.0).or(feature.min.map(|min| min - 1.0))?;
            Some((column, value as f32))
        };
        (0..self.row_len).find_map(beyond)
    }

    /// What the true class of row `row_idx` means.
    pub(crate) fn truth(&self, row_idx: usize) -> String {
        self.meaning(self.truth[row_idx % self.n_rows()])
    }

    /// What the label in an answer means.
    pub(crate) fn answer(&self, body: &serde_json::Value) -> String {
        let label = self.contract.outputs().iter().find(|output| output.role == Role::Label);
        let outputs = body["outputs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of_label = outputs.iter().find(|one| {
            label.is_some_and(|label| one["name"].as_str() == Some(label.name.as_str()))
        });
        let value = of_label.and_then(|output| output["data"][0].as_i64());
        value.map_or_else(|| "?".to_owned(), |value| self.meaning(value))
    }

    fn meaning(&self, value: i64) -> String {
        let classes = &self.contract.file().classes;
        let class = classes.iter().find(|class| class.value == Category::Number(value));
        class.map_or_else(|| value.to_string(), |class| class.meaning.clone())
    }
}
