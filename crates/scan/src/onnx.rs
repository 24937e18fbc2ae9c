//! ONNX models: graphs, subgraphs, functions and training graphs, walked without loading.
//!
//! A model of standard operators runs no code of its own. What can hurt is data that is fetched
//! from elsewhere (`external_data`), operators that a library of somebody's would have to run, and
//! sizes that do not fit the bytes.
//!
//! Invariants
//! - O1: every tensor, in whatever graph, function or attribute, is held against its bytes, and
//!   its external data against the model's folder;
//! - O2: an operator is listed by domain and name, or is a function of the model, or is a finding.
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

use crate::escape;
use crate::protobuf::{self, Schema, Value, Visit};
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Head, Reader};
use crate::source::View;

pub(crate) const FORMAT: Format = Format { name: "onnx", claims, reader: Reader::Random(read) };

/// Operators of the standard's domains (onnx 1.23, all versions), and those of onnxruntime's own
/// domain that compute on tensors alone: domain and name.
const OPS: &str = include_str!("onnx/ops.tsv");
/// Operators that run other code: a Python function, a library, a compiled engine.
const CODE_OPS: &[&str] = &[
    "ATen",
    "EPContext",
    "PyOp",
    "PythonOp",
    "PythonOpGrad",
    "Snpe",
    "TRT_TRTEngine",
    "TRTEngine",
];
/// Number of the field of a tensor that holds entries on external data.
const EXTERNAL_DATA: u32 = 13;
/// Most distinct operators that are on no list and kept.
const CUSTOM_MAX: usize = 4096;
/// Longest path of external data, in bytes.
const PATH_BYTES_MAX: u64 = 4096;
/// Longest name of the program that wrote the model, in bytes.
const PRODUCER_BYTES_MAX: u64 = 512;

fn claims(head: &Head<'_>) -> bool {
    let Some(view) = head.view else { return false };
    let bit = |number| {
        let place = schema::MODEL.fields.iter().position(|field| field.number == number);
        place.and_then(|place| 1_u64.checked_shl(u32::try_from(place).ok()?)).unwrap_or(0)
    };
    protobuf::shape(view, &schema::MODEL)
        .is_some_and(|met| met & bit(7) != 0 && met & (bit(1) | bit(8)) != 0)
}

fn read(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    let mut judge = Judge::default();
    protobuf::walk(scope, view, &schema::MODEL, &mut judge)?;
    judge.finish(scope);
    Ok(())
}

/// What is held of the messages that are open.
#[derive(Default)]
struct Judge {
    nodes: Vec<Named>,
    tensors: Vec<Tensor>,
    function: Named,
    /// Number of the field that it is, its key and value.
    entry: (u32, Box<str>, Box<str>),
    import: Box<str>,
    /// Domains that are imported, and those that are used.
    imports: BTreeSet<Box<str>>,
    used: BTreeMap<Box<str>, u64>,
    /// Functions of the model: domain and name.
    functions: BTreeSet<(Box<str>, Box<str>)>,
    /// Operators on no list, and where the first of each is.
    custom: BTreeMap<(Box<str>, Box<str>), u64>,
}

#[derive(Default)]
struct Named {
    domain: Box<str>,
    name: Box<str>,
}

#[derive(Default)]
struct Tensor {
    name: Box<str>,
    dims: Vec<u64>,
    data_type: u64,
    raw: Option<u64>,
    is_external: bool,
    external: Vec<(Box<str>, Box<str>)>,
}

impl Visit for Judge {
    fn enter(&mut self, _scope: &mut Scope<'_>, schema: &'static Schema, number: u32) {
        match schema.name {
            "NodeProto" => self.nodes.push(Named::default()),
            "TensorProto" => self.tensors.push(Tensor::default()),
            "FunctionProto" => self.function = Named::default(),
            "StringStringEntryProto" => self.entry = (number, "".into(), "".into()),
            "OperatorSetIdProto" => self.import = "".into(),
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
            "NodeProto" => {
                let Named { domain, name } = self.nodes.pop().unwrap_or_default();
                self.node(scope, domain, name, at)?;
            }
            "TensorProto" => {
                let tensor = self.tensors.pop().unwrap_or_default();
                tensor.judge(scope, at);
            }
            "FunctionProto" => {
                let Named { domain, name } = std::mem::take(&mut self.function);
                if self.functions.len() < CUSTOM_MAX {
                    self.functions.insert((plain(domain), name));
                }
            }
            "StringStringEntryProto" => {
                let (number, key, value) = std::mem::take(&mut self.entry);
                // Other entries are metadata: texts that nothing here acts upon.
                if number == EXTERNAL_DATA
                    && let Some(tensor) = self.tensors.last_mut()
                {
                    if 16 <= tensor.external.len() {
                        return Err(Stop::Budget("external data entries"));
                    }
                    tensor.external.push((key, value));
                }
            }
            "OperatorSetIdProto" if self.imports.len() < CUSTOM_MAX => {
                self.imports.insert(plain(std::mem::take(&mut self.import)));
            }
            _ => {}
        }
        Ok(())
    }

    fn field(
        &mut self,
        scope: &mut Scope<'_>,
        schema: &'static Schema,
        number: u32,
        value: Value<'_>,
        at: u64,
    ) -> Result<(), Stop> {
        match (schema.name, number, value) {
            // As the second field of a SavedModel it would be a graph.
            ("ModelProto", 2, Value::Bytes(bytes))
                if PRODUCER_BYTES_MAX < bytes.view.len()
                    || bytes.head.iter().any(|&b| b < b' ') =>
            {
                scope.report(&rules::FILE_BROKEN, at, "the producer's name is no name");
            }
            ("NodeProto", 4, Value::Bytes(bytes)) => {
                if let Some(node) = self.nodes.last_mut() {
                    node.name = bytes.name();
                }
            }
            ("NodeProto", 7, Value::Bytes(bytes)) => {
                if let Some(node) = self.nodes.last_mut() {
                    node.domain = bytes.name();
                }
            }
            ("FunctionProto", 1, Value::Bytes(bytes)) => self.function.name = bytes.name(),
            ("FunctionProto", 10, Value::Bytes(bytes)) => self.function.domain = bytes.name(),
            ("OperatorSetIdProto", 1, Value::Bytes(bytes)) => self.import = bytes.name(),
            ("StringStringEntryProto", 1, Value::Bytes(bytes)) => self.entry.1 = bytes.name(),
            ("StringStringEntryProto", 2, Value::Bytes(bytes)) => {
                if PATH_BYTES_MAX < bytes.view.len() && self.entry.0 == EXTERNAL_DATA {
                    return Err(Stop::broken(at, "a path of external data is too long"));
                }
                self.entry.2 = bytes.name();
            }
            ("TensorProto", number, value) => {
                if let Some(tensor) = self.tensors.last_mut() {
                    return tensor.field(number, &value, at);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Judge {
    fn node(
        &mut self,
        scope: &mut Scope<'_>,
        domain: Box<str>,
        name: Box<str>,
        at: u64,
    ) -> Result<(), Stop> {
        let domain = plain(domain);
        if self.used.len() < CUSTOM_MAX {
            self.used.entry(domain.clone()).or_insert(at);
        }
        let standard = matches!(&*domain, "" | "ai.onnx.ml");
        if !standard && CODE_OPS.contains(&&*name) || name.starts_with("PyCustomOp") {
            let what = format!(
                "operator `{}` of domain `{}` runs code of its own",
                escape::text(&name),
                escape::text(&domain)
            );
            scope.report(&rules::ONNX_CODE, at, what);
        } else if !is_listed(&domain, &name) {
            if CUSTOM_MAX <= self.custom.len() {
                return Err(Stop::Budget("operators on no list"));
            }
            self.custom.entry((domain, name)).or_insert(at);
        }
        Ok(())
    }

    /// O2: what is left after the functions of the model are known.
    fn finish(self, scope: &mut Scope<'_>) {
        for (domain, at) in &self.used {
            if !self.imports.contains(domain) {
                let what = format!("domain `{}` is used and not imported", escape::text(domain));
                scope.report(&rules::FILE_BROKEN, *at, what);
            }
        }
        for ((domain, name), at) in &self.custom {
            let is_own =
                self.functions.iter().any(|(of, function)| of == domain && function == name);
            if !is_own {
                let what = format!(
                    "operator `{}` of domain `{}` is on no list",
                    escape::text(name),
                    escape::text(domain)
                );
                scope.report(&rules::ONNX_CUSTOM, *at, what);
            }
        }
    }
}

/// A domain by its shorter name.
fn plain(domain: Box<str>) -> Box<str> {
    if &*domain == "ai.onnx" { "".into() } else { domain }
}

fn is_listed(domain: &str, name: &str) -> bool {
    static LIST: OnceLock<BTreeSet<(&str, &str)>> = OnceLock::new();
    LIST.get_or_init(|| OPS.lines().filter_map(|line| line.split_once('\t')).collect())
        .contains(&(domain, name))
}

impl Tensor {
    fn field(&mut self, number: u32, value: &Value<'_>, at: u64) -> Result<(), Stop> {
        match (number, value) {
            (1, Value::Number(dim)) => self.dim(*dim)?,
            (1, Value::Bytes(bytes)) => {
                let whole = bytes.whole(1024)?;
                let mut dim = 0_u64;
                let mut shift = 0_u32;
                for byte in whole {
                    dim |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
                    shift = shift.saturating_add(7);
                    if byte & 0x80 == 0 {
                        self.dim(dim)?;
                        (dim, shift) = (0, 0);
                    }
                }
                if shift != 0 {
                    return Err(Stop::broken(at, "the sizes of a tensor are cut off"));
                }
            }
            (2, Value::Number(data_type)) => self.data_type = *data_type,
            (8, Value::Bytes(bytes)) => self.name = bytes.name(),
            (9, Value::Bytes(bytes)) => self.raw = Some(bytes.view.len()),
            (14, Value::Number(location)) => self.is_external |= *location != 0,
            _ => {}
        }
        Ok(())
    }

    fn dim(&mut self, dim: u64) -> Result<(), Stop> {
        if 64 <= self.dims.len() {
            return Err(Stop::Budget("dimensions"));
        }
        self.dims.push(dim);
        Ok(())
    }

    /// Bytes that the elements take, where each takes a fixed number of bits.
    fn bytes(&self) -> Option<u64> {
        // onnx.proto, TensorProto.DataType.
        let bits: u64 = match self.data_type {
            2 | 3 | 9 | 17..=20 | 24 => 8,
            4 | 5 | 10 | 16 => 16,
            1 | 6 | 12 => 32,
            7 | 11 | 13 | 14 => 64,
            15 => 128,
            21..=23 => 4,
            25 | 26 => 2,
            _ => return None,
        };
        let bits = self.dims.iter().try_fold(bits, |bits, &dim| {
            i64::try_from(dim).ok().and_then(|_| bits.checked_mul(dim))
        })?;
        Some(bits.div_ceil(8))
    }

    /// O1
    fn judge(&self, scope: &mut Scope<'_>, at: u64) {
        let shown = escape::text(&self.name);
        let bytes = self.bytes();
        let string = self.data_type == 8;
        if let Some(raw) = self.raw
            && bytes != Some(raw)
        {
            let what = format!("tensor `{shown}` has {raw} bytes, its shape has another number");
            scope.report(&rules::FILE_BROKEN, at, what);
        }
        if bytes.is_none() && !string && !self.dims.is_empty() {
            let what = format!("tensor `{shown}` has an impossible shape or type");
            scope.report(&rules::FILE_BROKEN, at, what);
        }
        if self.is_external || !self.external.is_empty() {
            self.judge_external(scope, at, &shown, bytes);
        }
    }

    fn judge_external(&self, scope: &mut Scope<'_>, at: u64, shown: &str, bytes: Option<u64>) {
        let mut location = None;
        let (mut offset, mut length) = (Some(0_u64), bytes);
        for (key, value) in &self.external {
            match &**key {
                "location" if location.is_none() => location = Some(&**value),
                "offset" => offset = value.parse().ok(),
                "length" => {
                    length = value.parse().ok().filter(|len| bytes.is_none_or(|b| b == *len))
                }
                "checksum" => {}
                _ => {
                    let what = format!(
                        "external data of `{shown}` has the odd key `{}`",
                        escape::text(key)
                    );
                    scope.report(&rules::ONNX_EXTERNAL, at, what);
                }
            }
        }
        let Some(location) = location else {
            let what = format!("external data of `{shown}` has no location");
            scope.report(&rules::FILE_BROKEN, at, what);
            return;
        };
        if escapes(location) {
            let what = format!("tensor `{shown}` is read from `{}`", escape::text(location));
            scope.report_known(&rules::ONNX_EXTERNAL, at, what, ADVISORIES);
            return;
        }
        let end = offset.zip(length).and_then(|(offset, length)| offset.checked_add(length));
        let size = scope.siblings.size(location);
        if end.zip(size).is_none_or(|(end, size)| size < end) {
            let what = format!(
                "external data of `{shown}` in `{}` is missing or too short",
                escape::text(location)
            );
            scope.report(&rules::FILE_BROKEN, at, what);
        }
    }
}

const ADVISORIES: &[&str] =
    &["CVE-2022-25882", "CVE-2024-27318", "CVE-2024-5187", "CVE-2025-51480"];

/// Whether a path that is joined to the model's folder may lead elsewhere, or means something else
/// to somebody (onnxruntime takes `*/_ORT_MEM_ADDR_/*` as an address in memory).
fn escapes(path: &str) -> bool {
    crate::zip::leads_out(path)
        || path.contains(['\0', '\\', ':', '*', '~', '$', '%'])
        || path.contains("_ORT_MEM_ADDR_")
        || path.is_empty()
}

#[cfg(test)]
mod tests;
