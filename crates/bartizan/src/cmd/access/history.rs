//! What was asked lately, as the ledger has it: the questions that policies can be asked again.
//!
//! A record holds no name and no group of a token, and not where the caller's address lay. So a
//! question is complete for holders of API keys whose book still knows them; of all others it is
//! only counted that they could not be asked again.

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_access::{Keys, PolicyAction, Zone};
use bartizan_core::clock::NS_PER_S;
use bartizan_core::{ModelName, ModelVersion};
use bartizan_ledger::{Body, Decision, FileDisk, Reader, Record};

use super::question::{Object, Question};
use crate::cmd::{Failure, now_s};
use crate::config::LedgerDisk;
use crate::environment::Environment;
use crate::files::failed;

/// Most different questions that are kept: beyond, the rest is counted.
const QUESTIONS_MAX: usize = 262_144;
/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// One question, and how often it was asked.
pub(super) struct Asked {
    /// Without its time and place.
    pub(super) principal: String,
    /// How it proved itself.
    pub(super) method: &'static str,
    /// What its key's scopes name.
    pub(super) scopes: Vec<String>,
    /// The model's name.
    pub(super) model: ModelName,
    /// Its version; none where there was no such.
    pub(super) version: Option<ModelVersion>,
    /// What for.
    pub(super) purpose: Option<String>,
    /// The listener.
    pub(super) listener: String,
    /// How many requests.
    pub(super) n_requests: u64,
    /// How many of them were answered or refused by something other than access.
    pub(super) n_admitted: u64,
    /// When it was asked last, in nanoseconds since the Unix epoch.
    pub(super) last_ns: u64,
}

impl Asked {
    /// The question, from a zone.
    pub(super) fn question(&self, zone: Zone) -> Question {
        Question {
            principal: self.principal.clone(),
            groups: Vec::new(),
            method: self.method.to_owned(),
            strength: 0,
            scopes: self.scopes.clone(),
            action: PolicyAction::Infer,
            object: Object::Model(self.model.clone(), self.version),
            purpose: self.purpose.clone(),
            listener: self.listener.clone(),
            zone,
            wall_ns: self.last_ns,
        }
    }
}

/// The questions of some days.
pub(super) struct History {
    /// Different ones, in order of who, what and why.
    pub(super) asked: Vec<Asked>,
    /// All requests of these days.
    pub(super) n_requests: u64,
    /// Those of principals whose groups or names are not on record.
    pub(super) n_unknown: u64,
}

type Key = (String, String, String, u32, Option<String>, String);

/// The decisions of the last `days` days in the ledger of `environment`. Reads the whole log, about
/// a million records a second of them.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn read(environment: &Environment, days: u32) -> Result<History, Failure> {
    if environment.config().ledger.disk == LedgerDisk::Memory {
        return Err(Failure::unknown(
            "this ledger is in memory (`ledger.disk`), where only its own process sees it",
        ));
    }
    let path = environment.store_dir();
    let disk = FileDisk::open(&path).map_err(failed("open", &path)).map_err(Failure::unknown)?;
    let reader = Reader::open(Arc::new(disk)).map_err(Failure::unknown)?;
    let keys = environment.key_book().map_err(Failure::unknown)?;
    let from_ns = now_s().saturating_sub(u64::from(days) * DAY_S).saturating_mul(NS_PER_S);
    let mut all: BTreeMap<Key, Asked> = BTreeMap::new();
    let (mut n_requests, mut n_unknown) = (0, 0);
    for entry in reader.entries() {
        let entry = entry.map_err(Failure::unknown)?;
        let record = Record::decode(&entry.leaf).map_err(Failure::unknown)?;
        let Body::Decision(decision) = &record.body else { continue };
        // Refusals of requests that name no model that is there have none on record.
        if record.at.wall_ns < from_ns || decision.model.is_none() {
            continue;
        }
        n_requests += 1;
        let asked = asked(decision, record.at.wall_ns, &keys);
        match asked {
            Some((key, one)) if all.len() < QUESTIONS_MAX || all.contains_key(&key) => {
                let kept = all.entry(key).or_insert(one);
                kept.n_requests += 1;
                kept.n_admitted += u64::from(decision.refusal.as_deref() != Some("forbidden"));
                kept.last_ns = record.at.wall_ns;
            }
            Some(_) | None => n_unknown += 1,
        }
    }
    Ok(History { asked: all.into_values().collect(), n_requests, n_unknown })
}

/// The question of a decision, where its key is known still.
fn asked(decision: &Decision<'_>, last_ns: u64, keys: &Keys) -> Option<(Key, Asked)> {
    let id = decision.proof.as_deref()?.strip_prefix("api-key:")?.to_owned();
    let principal = keys.name_of(decision.principal?)?.to_string();
    let info = keys.list(0).find(|info| info.id.to_string() == id)?;
    let model = decision.model.as_ref()?;
    let version = model.version.to_string().parse().ok();
    let one = Asked {
        principal,
        method: "api-key",
        scopes: info.scopes.actions.iter().map(ToString::to_string).collect(),
        model: model.name.parse().ok()?,
        version,
        purpose: decision.purpose.as_deref().map(str::to_owned),
        listener: decision.listener.to_string(),
        n_requests: 0,
        n_admitted: 0,
        last_ns,
    };
    let key = (
        one.principal.clone(),
        id,
        one.model.to_string(),
        model.version,
        one.purpose.clone(),
        one.listener.clone(),
    );
    Some((key, one))
}
