//! The input tensors of a recorded request, read again from its bytes.

use std::path::PathBuf;

use bartizan_core::contract::{Contract, ContractFile};
use bartizan_core::{Digest, ModelName, Tensor};
use bartizan_guard::ContractGuard;
use bartizan_ledger::Decision;
use bartizan_wire::coding::{self, Coding};
use bartizan_wire::{Limits, oip};

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
    /// refusal may have been committed to; none where they cannot be read.
    pub(super) fn of(&self, decision: &Decision<'_>, received: &[u8]) -> Vec<Vec<Tensor>> {
        let Some(tensors) = read(&decision.protocol, received) else { return Vec::new() };
        let mut orders = Vec::new();
        if let Some(contract) = self.contract(decision)
            && let Ok(arranged) = ContractGuard::new(&contract).arrange(tensors.clone())
        {
            orders.push(arranged);
        }
        orders.push(tensors);
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

/// The tensors of a body in the words of `protocol`, as the record says how it is read
/// (`oip-rest;gzip;json=312`).
fn read(protocol: &str, received: &[u8]) -> Option<Vec<Tensor>> {
    let mut words = protocol.split(';');
    if words.next()? != "oip-rest" {
        return None;
    }
    let (mut body, mut json_bytes) = (std::borrow::Cow::Borrowed(received), None);
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
    let limits = Limits { body_bytes_max: BODY_BYTES_MAX, ..Limits::default() };
    let request = match json_bytes {
        None => oip::parse_infer(&body, &limits),
        Some(json_bytes) => oip::parse_infer_binary(&body, json_bytes, &limits),
    };
    request.ok().map(|request| request.inputs)
}
