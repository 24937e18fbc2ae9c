//! Reading a kind: its files, the rows, what its library answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bartizan_core::{Tensor, Values};
use bartizan_engine::LoadLimits;
use bartizan_engine::sniff::sniff;
use bartizan_engine::trees::{TreesModel, load};

/// One kind of model.
pub(crate) struct Kind {
    pub(crate) name: String,
    /// The model's files: one of LightGBM, two of XGBoost.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) rows: Tensor,
    pub(crate) told: BTreeMap<String, Tensor>,
}

/// The folder of the committed files.
pub(crate) fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/libraries/data")
}

/// The folder that is asked for, or else the committed one.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("BARTIZAN_ENGINE_LIBRARIES").map_or_else(committed, Into::into)
}

/// All kinds of a folder, by name.
pub(crate) fn kinds(folder: &Path) -> Vec<Kind> {
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let mut names: Vec<_> =
        names.filter_map(|name| Some(name.strip_suffix(".answers")?.to_owned())).collect();
    names.sort();
    assert!(50 < names.len(), "{} kinds", names.len());
    names.into_iter().map(|name| kind(folder, name)).collect()
}

fn kind(folder: &Path, name: String) -> Kind {
    let text = std::fs::read_to_string(folder.join(format!("{name}.answers"))).unwrap();
    let mut told: BTreeMap<_, _> = text.lines().map(tensor).collect();
    let read = |ending: &str| {
        let file = format!("{name}.{ending}");
        std::fs::read(folder.join(&file)).ok().map(|bytes| (file, bytes))
    };
    let files = ["txt", "json", "ubj"].into_iter().filter_map(read).collect();
    Kind { rows: told.remove("features").unwrap(), files, told, name }
}

/// `KEY TYPE SHAPE HEX`; the rows are named as the models name them.
fn tensor(line: &str) -> (String, Tensor) {
    let [key, datatype, shape, hex] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let values = match datatype {
        "FP32" => Values::Fp32(
            bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        ),
        "FP64" => Values::Fp64(
            bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
        ),
        other => panic!("{key} is {other}"),
    };
    let shape = shape.split(',').map(|dim| dim.parse().unwrap()).collect();
    let name = if key == "rows" { "features" } else { key };
    (name.into(), Tensor::new(name, shape, values).unwrap())
}

/// Loads a file as a server does: by what it is.
pub(crate) fn open(name: &str, bytes: &[u8]) -> TreesModel {
    load(bytes, sniff(bytes, name), &LoadLimits::default())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Values as doubles.
pub(crate) fn doubles(values: &Values) -> Vec<f64> {
    match values {
        Values::Fp32(list) => list.iter().map(|x| f64::from(*x)).collect(),
        Values::Fp64(list) => list.clone(),
        Values::Int64(list) => list.iter().map(|x| *x as f64).collect(),
        other => panic!("{} are no numbers", other.datatype()),
    }
}
