//! The input tensors of a recorded request, read again from its bytes.

use std::borrow::Cow;
use std::path::PathBuf;

use bartizan_core::contract::{Contract, ContractFile};
use bartizan_core::{Digest, ModelName, Tensor};
use bartizan_guard::ContractGuard;
use bartizan_ledger::Decision;
use bartizan_wire::coding::{self, Coding};
use bartizan_wire::table::{self, Plan};
use bartizan_wire::{InferRequest, Limits, WireError, azure_ml, grpc, kserve_v1, mlflow, oip};

use super::version_of;
use crate::files;
use crate::models::CONTRACT_FILE;

/// Longest body after it was decoded, in bytes.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Longest contract, in bytes.
const CONTRACT_BYTES_MAX: u64 = 1 << 20;

/// Reads inputs again, with the contracts in the folder of models.
pub(super) struct Inputs {
    models: PathBuf,
}

impl Inputs {
    /// With the contracts of the folder `models`.
    pub(super) fn new(models: PathBuf) -> Self {
        Self { models }
    }

    /// The tensors of `received` in the contract's order, and in the request's own, which a
    /// refusal may have been committed to; none where they cannot be read. A table (Azure ML,
    /// MLflow, KServe's first protocol) is read by the contract that was in force.
    pub(super) fn of(&self, decision: &Decision<'_>, received: &[u8]) -> Vec<Vec<Tensor>> {
        let contract = self.contract(decision);
        let guard = contract.as_ref().map(ContractGuard::new);
        let mut orders = Vec::new();
        for tensors in read(&decision.protocol, received, contract.as_ref()) {
            if let Some(guard) = &guard
                && let Ok(arranged) = guard.arrange(tensors.clone())
            {
                orders.push(arranged);
            }
            orders.push(tensors);
        }
        orders
    }

    /// The contract that was in force, by its digest.
    fn contract(&self, decision: &Decision<'_>) -> Option<Contract> {
        let model = decision.model.as_ref()?;
        let name: ModelName = model.name.parse().ok()?;
        let version = version_of(model.version)?;
        let path = self.models.join(name.as_str()).join(version.to_string()).join(CONTRACT_FILE);
        let bytes = files::read_bounded(&path, CONTRACT_BYTES_MAX).ok()?;
        if decision.digests.contract != Some(Digest::of(&bytes)) {
            return None;
        }
        let file: ContractFile = toml::from_str(std::str::from_utf8(&bytes).ok()?).ok()?;
        Contract::new(file, &bytes).ok()
    }
}

/// What a body may mean in the words of `protocol`, as the record says how it is read
/// (`oip-rest;gzip;json=312`). The record does not say a table's media type: where both JSON and
/// CSV may come, both readings are given, and the commitment says which it was.
fn read(protocol: &str, received: &[u8], contract: Option<&Contract>) -> Vec<Vec<Tensor>> {
    let mut words = protocol.split(';');
    let name = words.next().unwrap_or_default();
    let Some((body, json_bytes)) = decoded(words, received) else { return Vec::new() };
    let limits = Limits { body_bytes_max: BODY_BYTES_MAX, ..Limits::default() };
    let plan = contract.map(Plan::new);
    let inputs = |request: Result<InferRequest, WireError>| request.ok().map(|it| it.inputs);
    let readings = match (name, plan) {
        ("oip-rest", _) => {
            let request = match json_bytes {
                None => oip::parse_infer(&body, &limits),
                Some(json_bytes) => oip::parse_infer_binary(&body, json_bytes, &limits),
            };
            [inputs(request), None]
        }
        ("oip-grpc", _) => {
            [inputs(grpc::parse_infer(&body, &limits).map(|read| read.request)), None]
        }
        ("azure-ml", Some(plan)) => {
            let rows = azure_ml::parse_score(&body, &plan, &limits);
            [inputs(rows.map(|(rows, _)| rows)), inputs(table::parse_csv(&body, &plan, &limits))]
        }
        ("mlflow", Some(plan)) => [
            inputs(mlflow::parse_invocation(&body, &plan, &limits)),
            inputs(table::parse_csv(&body, &plan, &limits)),
        ],
        ("kserve-v1", Some(plan)) => {
            [inputs(kserve_v1::parse_predict(&body, &plan, &limits)), None]
        }
        _ => [None, None],
    };
    readings.into_iter().flatten().collect()
}

/// A body with its content codings undone, and the bytes of its head of JSON where it has one.
fn decoded<'a, 'w>(
    words: impl Iterator<Item = &'w str>,
    received: &'a [u8],
) -> Option<(Cow<'a, [u8]>, Option<usize>)> {
    let (mut body, mut json_bytes) = (Cow::Borrowed(received), None);
    for word in words {
        match word.split_once('=') {
            Some(("json", bytes)) => json_bytes = Some(bytes.parse().ok()?),
            Some(_) => return None,
            None => {
                let coding: Coding = Coding::of_content(word).ok()??;
                body = coding::decode(coding, &body, BODY_BYTES_MAX).ok()?.into();
            }
        }
    }
    Some((body, json_bytes))
}
