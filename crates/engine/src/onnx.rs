//! ONNX files, read within bounds.
//!
//! Only what a model's graph needs is read (`onnx.proto3` of ONNX 1.23); doc strings, training
//! information and other annotations are skipped. Nothing is executed here and nothing else is
//! opened: a tensor that lies in another file is refused.
//!
//! Invariants
//! - O1: any bytes give a `Model` or an [`OnnxError`], never a panic;
//! - O2: memory is bounded by the length of the bytes: a length that they claim is never
//!   allocated before that many bytes are seen;
//! - O3: messages nest five deep (model, graph, node, attribute, tensor): graphs inside
//!   attributes are not followed.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::collections::BTreeMap;

mod graph;
mod tensor;
mod wire;

pub(crate) use tensor::{Constant, RawTensor, datatype};
use wire::Fields;

/// Largest file that is read, in bytes, unless the caller says less.
pub const FILE_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Most nodes of a graph.
pub const NODES_MAX: usize = 10_000;
/// Most attributes of all nodes together.
pub const ATTRIBUTES_MAX: usize = 100_000;
/// Most attributes of one node.
pub const ATTRIBUTES_PER_NODE_MAX: usize = 64;
/// Most inputs and outputs of all nodes together.
pub const EDGES_MAX: usize = 100_000;
/// Most tensors that a graph carries.
pub const INITIALIZERS_MAX: usize = 50_000;
/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Most operator sets that a model imports.
pub const OPSETS_MAX: usize = 64;
/// Oldest and newest version of the file format that is read.
pub const IR_VERSIONS: std::ops::RangeInclusive<i64> = 3..=14;

/// Why bytes are no ONNX model that could be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// Not the wire format, or not ONNX's messages.
    #[error("not a valid ONNX file: in a {message}, {reason}; export the model again")]
    Malformed {
        /// Kind of message, by ONNX's name.
        message: &'static str,
        /// What is wrong there.
        reason: &'static str,
    },
    /// More of something than the bound allows.
    #[error("the ONNX file has {found} {what}, the limit is {limit}")]
    Limit {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// How much there is (at least).
        found: u64,
        /// The bound.
        limit: u64,
    },
    /// A version of the file format that is not read.
    #[error(
        "the ONNX file has IR version {found}, versions {} to {} are read; export with another `onnx`",
        IR_VERSIONS.start(), IR_VERSIONS.end()
    )]
    IrVersion {
        /// What the file says.
        found: i64,
    },
    /// A tensor's values are in another file.
    #[error(
        "tensor `{tensor}` lies in another file (external data), which is not read; \
         save the model as one file (`onnx.save(model, path, save_as_external_data=False)`)"
    )]
    ExternalData {
        /// The tensor.
        tensor: String,
    },
    /// A tensor that contradicts itself or has a type that is not read.
    #[error("tensor `{tensor}`: {reason}")]
    Tensor {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
}

/// What a file says, borrowed from its bytes.
#[derive(Debug)]
pub(crate) struct Model<'a> {
    /// Versions of the imported operator sets by domain; `ai.onnx` is the empty domain.
    pub(crate) opsets: BTreeMap<&'a str, i64>,
    pub(crate) graph: Graph<'a>,
}

#[derive(Debug, Default)]
pub(crate) struct Graph<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) initializers: Vec<RawTensor<'a>>,
    pub(crate) inputs: Vec<ValueInfo<'a>>,
    pub(crate) outputs: Vec<ValueInfo<'a>>,
}

#[derive(Debug, Default)]
pub(crate) struct Node<'a> {
    pub(crate) name: &'a str,
    pub(crate) op: &'a str,
    /// `ai.onnx` is the empty domain.
    pub(crate) domain: &'a str,
    /// An empty name is an absent optional input.
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
    pub(crate) attributes: Vec<Attribute<'a>>,
}

#[derive(Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: AttributeValue<'a>,
}

#[derive(Debug)]
pub(crate) enum AttributeValue<'a> {
    Float(f32),
    Int(i64),
    Text(&'a [u8]),
    Tensor(RawTensor<'a>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<&'a [u8]>),
    /// Graphs, types, sparse tensors, references: none of which an operator here takes.
    Other,
}

/// A graph's input or output.
#[derive(Debug, Default)]
pub(crate) struct ValueInfo<'a> {
    pub(crate) name: &'a str,
    /// Element type by ONNX's number; `None` where it is no tensor (a map, a sequence).
    pub(crate) elem_type: Option<i64>,
    /// `None` where the file does not say; a dimension is `None` where it has a name or nothing.
    pub(crate) shape: Option<Vec<Option<i64>>>,
}

/// Reads a model; see the module invariants.
///
/// # Errors
/// [`OnnxError`] naming what is wrong.
pub(crate) fn read(bytes: &[u8], file_bytes_max: usize) -> Result<Model<'_>, OnnxError> {
    let limit = file_bytes_max.min(FILE_BYTES_MAX);
    check_limit("bytes", bytes.len(), limit)?;
    let mut fields = Fields::new(bytes, "ModelProto");
    let mut ir_version = None;
    let mut opsets = BTreeMap::new();
    let mut graph = None;
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => ir_version = Some(fields.int(payload)?),
            7 if graph.is_some() => return Err(fields.fault("there are two graphs")),
            7 => graph = Some(fields.bytes(payload)?),
            8 => {
                let (domain, version) = read_opset(fields.bytes(payload)?)?;
                check_limit("operator sets", opsets.len(), OPSETS_MAX)?;
                if opsets.insert(domain, version).is_some_and(|before| before != version) {
                    return Err(fields.fault("one operator set is imported in two versions"));
                }
            }
            _ => {}
        }
    }
    match ir_version {
        None => return Err(fields.fault("the IR version is missing")),
        Some(found) if !IR_VERSIONS.contains(&found) => return Err(OnnxError::IrVersion { found }),
        Some(_) => {}
    }
    let Some(graph) = graph else { return Err(fields.fault("the graph is missing")) };
    if opsets.is_empty() {
        return Err(fields.fault("no operator set is imported"));
    }
    Ok(Model { opsets, graph: graph::read(graph)? })
}

fn read_opset(bytes: &[u8]) -> Result<(&str, i64), OnnxError> {
    let mut fields = Fields::new(bytes, "OperatorSetIdProto");
    let (mut domain, mut version) = ("", 0);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => domain = fields.text(payload)?,
            2 => version = fields.int(payload)?,
            _ => {}
        }
    }
    Ok((plain_domain(domain), version))
}

/// `ai.onnx` is another name of the empty domain.
fn plain_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// Refuses more than `limit` of `what`.
fn check_limit(what: &'static str, found: usize, limit: usize) -> Result<(), OnnxError> {
    if limit < found {
        return Err(OnnxError::Limit { what, found: found as u64, limit: limit as u64 });
    }
    Ok(())
}
