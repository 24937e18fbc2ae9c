//! TensorFlow: SavedModel, MetaGraph, frozen graphs, and the files beside them.
//!
//! A graph runs whatever its operators do, and some read and write files, run Python or talk to
//! the network: operators are judged by an allow-list, in every graph and function. Objects that
//! Keras revives from metadata are judged as its configurations.
//!
//! Invariants
//! - T1: an operator is listed, or a function of the graph, or a finding, wherever its node is;
//! - T2: metadata that Keras would turn into objects is judged.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::config;
use crate::escape;
use crate::protobuf::{self, Schema, Value, Visit};
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Head, Reader};
use crate::source::View;
use crate::zip;

pub(crate) const SAVED_MODEL: Format = Format {
    name: "saved-model",
    claims: |head| is_saved(head) || is_meta(head),
    reader: Reader::Random(read_model),
};
pub(crate) const GRAPH: Format = Format {
    name: "tensorflow graph",
    claims: is_graph,
    reader: Reader::Random(|scope, view| read(scope, view, &schema::GRAPH)),
};
pub(crate) const KERAS: Format = Format {
    name: "keras metadata",
    claims: |head| begins(head, &schema::KERAS, 1, &schema::KERAS_OBJECT, &[1]),
    reader: Reader::Random(|scope, view| read(scope, view, &schema::KERAS)),
};
pub(crate) const FINGERPRINT: Format = Format {
    name: "tensorflow fingerprint",
    claims: |head| has(head, &schema::FINGERPRINT, &[1, 2, 3, 4]),
    reader: Reader::Random(|scope, view| read(scope, view, &schema::FINGERPRINT)),
};
pub(crate) const CORE_ML: Format = Format {
    name: "coreml",
    claims: |head| has(head, &schema::CORE_ML, &[1, 2]),
    reader: Reader::None("layers and custom code of a Core ML model are not judged yet"),
};

/// Operators of TensorFlow 2.21 that compute on tensors alone, or that every SavedModel has to load
/// and save its own variables.
const OPS: &str = include_str!("tensorflow/ops.txt");
/// Parts of the names of operators that run Python, read or write files, or use the network.
const REACHING: &[&str] = &[
    "CreateSummaryDbWriter",
    "CreateSummaryFileWriter",
    "CSVDataset",
    "DataService",
    "DatasetToTFRecord",
    "DebugIdentity",
    "DebugNanCount",
    "DebugNumericSummary",
    "DistributedSave",
    "FileSystemSetConfiguration",
    "FixedLengthRecord",
    "GenerateVocabRemapping",
    "ImmutableConst",
    "LMDB",
    "LoadAndRemapMatrix",
    "LoadDataset",
    "MatchingFiles",
    "PyFunc",
    "ReadFile",
    "RpcCall",
    "RpcClient",
    "RpcServer",
    "SaveDataset",
    "SnapshotDataset",
    "SqlDataset",
    "TFRecord",
    "TextLine",
    "WholeFileReader",
    "WriteFile",
];
/// Objects that TensorFlow itself registers.
const OWN_OBJECTS: &[&[u8]] = &[b"tf.StaticHashTable", b"tf.TrackableConstant"];
/// Most distinct operators that are on no list and kept, and most functions.
const NAMES_MAX: usize = 65_536;
/// Longest metadata of an object, in bytes.
const METADATA_BYTES_MAX: u64 = 12 * 1024 * 1024;

/// Whether a message fits a schema and has these fields.
fn has(head: &Head<'_>, schema: &Schema, numbers: &[u32]) -> bool {
    let Some(met) = head.view.and_then(|view| protobuf::shape(view, schema)) else { return false };
    numbers.iter().all(|number| {
        let place = schema.fields.iter().position(|field| field.number == *number);
        let bit = place.and_then(|place| 1_u64.checked_shl(u32::try_from(place).ok()?));
        bit.is_some_and(|bit| met & bit != 0)
    })
}

/// The same, and the first field `number` in it fits the schema `inner`.
fn begins(head: &Head<'_>, schema: &Schema, number: u32, inner: &Schema, numbers: &[u32]) -> bool {
    has(head, schema, numbers)
        && head
            .view
            .and_then(|view| protobuf::first(view, number))
            .is_some_and(|part| part.len() > 0 && protobuf::shape(&part, inner).is_some())
}

fn is_saved(head: &Head<'_>) -> bool {
    begins(head, &schema::SAVED_MODEL, 2, &schema::META, &[1, 2])
}

/// Whether its second field is a graph with a node that has an operator.
fn is_meta(head: &Head<'_>) -> bool {
    let graph = head.view.and_then(|view| protobuf::first(view, 2));
    has(head, &schema::META, &[1, 2])
        && is_graph(&Head { bytes: &[], len: None, view: graph.as_ref() })
}

fn is_graph(head: &Head<'_>) -> bool {
    let node = head.view.and_then(|view| protobuf::first(view, 1));
    has(head, &schema::GRAPH, &[1])
        && has(&Head { bytes: &[], len: None, view: node.as_ref() }, &schema::NODE, &[2])
}

fn read_model(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    let head = Head { bytes: &[], len: None, view: Some(view) };
    let (saved, meta, graph) = (is_saved(&head), is_meta(&head), is_graph(&head));
    if saved && meta || graph {
        scope.report(&rules::FILE_POLYGLOT, 0, "it is a model and a graph");
    }
    read(scope, view, if saved { &schema::SAVED_MODEL } else { &schema::META })
}

fn read(scope: &mut Scope<'_>, view: &View<'_>, schema: &'static Schema) -> Result<(), Stop> {
    let mut judge = Judge::default();
    protobuf::walk(scope, view, schema, &mut judge)?;
    judge.finish(scope);
    Ok(())
}

#[derive(Default)]
struct Judge {
    op: Box<str>,
    /// Keys of the attributes that are open.
    keys: Vec<Box<str>>,
    functions: BTreeSet<Box<str>>,
    /// Operators on no list, and where the first node of each is.
    unlisted: BTreeMap<Box<str>, u64>,
}

impl Visit for Judge {
    fn enter(&mut self, _scope: &mut Scope<'_>, schema: &'static Schema, _number: u32) {
        match schema.name {
            "NodeDef" => self.op = "".into(),
            "AttrEntry" => self.keys.push("".into()),
            _ => {}
        }
    }

    fn leave(
        &mut self,
        scope: &mut Scope<'_>,
        schema: &'static Schema,
        at: u64,
    ) -> Result<(), Stop> {
        match schema.name {
            "NodeDef" => self.node(scope, at),
            "AttrEntry" => {
                self.keys.pop();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn field(
        &mut self,
        scope: &mut Scope<'_>,
        schema: &'static Schema,
        number: u32,
        value: Value<'_>,
        at: u64,
    ) -> Result<(), Stop> {
        let Value::Bytes(bytes) = value else { return Ok(()) };
        match (schema.name, number) {
            ("NodeDef", 2) => self.op = bytes.name(),
            ("AttrEntry", 1) => {
                if let Some(key) = self.keys.last_mut() {
                    *key = bytes.name();
                }
            }
            ("AttrValue", 2) => {
                let is_stream = self.keys.last().is_some_and(|key| &**key == "output_stream");
                if is_stream && bytes.head.starts_with(b"file:") {
                    let what = format!("an operator writes to `{}`", escape::bytes(bytes.head));
                    scope.report(&rules::TENSORFLOW_OP, at, what);
                }
            }
            ("TensorProto", 8) => constant(scope, bytes.head, at),
            ("OpDef", 1) => {
                if NAMES_MAX <= self.functions.len() {
                    return Err(Stop::Budget("functions of a graph"));
                }
                self.functions.insert(bytes.name());
            }
            ("AssetFileDef", 2) => {
                let name = bytes.name();
                if zip::leads_out(&name) || name.contains("://") {
                    let what = format!("an asset is read from `{}`", escape::text(&name));
                    scope.report(&rules::CONFIG_PATH, at, what);
                }
            }
            ("SavedObject", 13 | 16)
                if !bytes.head.is_empty() && !OWN_OBJECTS.contains(&bytes.head) =>
            {
                let what = format!("an object of `{}`", escape::bytes(bytes.head));
                scope.report(&rules::TENSORFLOW_UNLISTED, at, what);
            }
            // T2
            ("SavedUserObject", 3) | ("SavedMetadata.SavedObject", 5) if bytes.view.len() > 0 => {
                return config::judge_json(scope, bytes.whole(METADATA_BYTES_MAX)?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// A text that the graph holds: a file of the machine has no place in it.
fn constant(scope: &mut Scope<'_>, text: &[u8], at: u64) {
    let Ok(shown) = std::str::from_utf8(text) else { return };
    let folders = ["/etc/", "/home/", "/proc/", "/tmp/", "/usr/", "/var/", "~/", "../"];
    if folders.iter().any(|folder| shown.starts_with(folder)) || shown.contains("://") {
        let what = format!("the graph holds the path `{}`", escape::text(shown));
        scope.report(&rules::TENSORFLOW_UNLISTED, at, what);
    }
}

impl Judge {
    /// T1
    fn node(&mut self, scope: &mut Scope<'_>, at: u64) -> Result<(), Stop> {
        let op = std::mem::take(&mut self.op);
        if is_listed(&op) {
            return Ok(());
        }
        if REACHING.iter().any(|part| op.contains(part)) {
            let what = format!("operator `{}`", escape::text(&op));
            scope.report(&rules::TENSORFLOW_OP, at, what);
            return Ok(());
        }
        if NAMES_MAX <= self.unlisted.len() {
            return Err(Stop::Budget("operators on no list"));
        }
        self.unlisted.entry(op).or_insert(at);
        Ok(())
    }

    fn finish(self, scope: &mut Scope<'_>) {
        for (op, at) in &self.unlisted {
            if !self.functions.contains(op) {
                let what = format!("operator `{}`", escape::text(op));
                scope.report(&rules::TENSORFLOW_UNLISTED, *at, what);
            }
        }
    }
}

fn is_listed(op: &str) -> bool {
    static LIST: OnceLock<BTreeSet<&str>> = OnceLock::new();
    LIST.get_or_init(|| OPS.lines().collect()).contains(op)
}

#[cfg(test)]
mod tests;
