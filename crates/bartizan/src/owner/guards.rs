//! The request gate's guards: one for each model version with a profile, kept over restarts.
//!
//! Invariants
//! - Q1: what a guard knows is kept sealed under the day key, by every upkeep and at an orderly
//!   stop, and is put back before the model answers; what cannot be put back is said.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_core::entropy::random;
use bartizan_core::{DecisionId, Digest, Entropy, ModelName, ModelVersion, Principal, Pseudonym};
use bartizan_decision::{Model, Watch};
use bartizan_guard::{Asker, Guard};
use bartizan_ledger::{Payload, RecordSecret};
use tracing::{info, warn};

use super::operation::{GuardRelease, Outcome};
use super::store::Act;
use super::{OperationError, Owner, State};
use crate::files;
use crate::log::Chain;
use crate::models::prepare::{self, PrepareError};
use crate::models::{Files, Shelved};

/// Folder in the store where guards are kept.
const GUARDS_DIR: &str = "guards";
/// Longest kept guard, in bytes.
const KEPT_BYTES_MAX: u64 = 8 << 30;
/// Bytes of the id before the sealed part.
const ID_BYTES: usize = 16;

/// Guards by model version, with the digest of the profile they were made from.
pub(super) type Guards = BTreeMap<(ModelName, ModelVersion), (Digest, Arc<Guard>)>;

impl Owner {
    /// `model` with a guard, where it has a profile; the guard that there is goes on.
    pub(super) fn watched(
        &self,
        state: &mut State,
        shelved: &Shelved,
        files: &Files,
        model: Model,
    ) -> Result<Model, OperationError> {
        let config = &self.environment.config().guard;
        let Some(bytes) = &files.profile else {
            if config.may_lack_profile(shelved.name.as_str()) {
                return Ok(model);
            }
            return Err(OperationError::Unprofiled { name: shelved.name.clone() });
        };
        let profile = prepare::read_profile(bytes, shelved.entry.model, model.contract())
            .map_err(PrepareError::Profile)?;
        let digest = Digest::of(bytes);
        let key = (shelved.name.clone(), shelved.version);
        let known = state.guards.get(&key).filter(|(known, _)| *known == digest);
        let guard = match known {
            Some((_, guard)) => guard.clone(),
            None => {
                let seed = random::<16>(&*self.world.entropy);
                let [low, high] = [0, 8].map(|at| {
                    let mut half = [0; 8];
                    half.copy_from_slice(&seed[at..at + 8]);
                    u64::from_le_bytes(half)
                });
                let policy = config.policy(shelved.name.as_str());
                let mut guard = Guard::new(Arc::new(profile), policy, [low, high]);
                self.put_back(&key, &mut guard);
                let guard = Arc::new(guard);
                state.guards.insert(key, (digest, guard.clone()));
                guard
            }
        };
        let channels = config.channels.iter().cloned().collect();
        Ok(model.watched(Watch { guard, profile: digest, channels }))
    }

    fn kept_file(&self, name: &ModelName, version: ModelVersion) -> PathBuf {
        self.environment.store_dir().join(GUARDS_DIR).join(format!("{name}-{version}"))
    }

    /// Q1: what was kept goes on; what is damaged or of another shape is said and left.
    fn put_back(&self, (name, version): &(ModelName, ModelVersion), guard: &mut Guard) {
        let path = self.kept_file(name, *version);
        let kept = match files::read_bounded(&path, KEPT_BYTES_MAX) {
            Ok(kept) => kept,
            Err(error) => {
                if !error.is_absent() {
                    warn!(model = %name, error = %Chain(&error), "guard.state.lost");
                }
                return;
            }
        };
        let opened = kept
            .split_first_chunk::<ID_BYTES>()
            .and_then(|(id, sealed)| self.store.sealer().open(DecisionId::from(*id), sealed).ok());
        let Some(opened) = opened else {
            warn!(model = %name, version = %version, "guard.state.lost");
            return;
        };
        match guard.restore(&opened.received) {
            Ok(()) => info!(model = %name, version = %version, "guard.state.restored"),
            Err(error) => {
                warn!(model = %name, version = %version, error = %error, "guard.state.lost");
            }
        }
    }

    /// Keeps what every guard knows; see Q1. Writes all of it, so a few seconds for millions of
    /// rows.
    pub(crate) fn keep_guards(&self) {
        let guards: Vec<_> = {
            let state = self.state();
            state.guards.iter().map(|(key, (_, guard))| (key.clone(), guard.clone())).collect()
        };
        for ((name, version), guard) in guards {
            if let Err(error) = self.keep_guard(&name, version, &guard) {
                warn!(model = %name, version = %version, %error, "guard.state.not-kept");
            }
        }
    }

    fn keep_guard(
        &self,
        name: &ModelName,
        version: ModelVersion,
        guard: &Guard,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let snapshot = guard.snapshot()?;
        let now = self.clock().now();
        let entropy: &dyn Entropy = &*self.world.entropy;
        let id = DecisionId::new(now.wall_ns, random(entropy));
        let secret = RecordSecret::from(random::<32>(entropy));
        let payload = Payload {
            secret: &secret,
            retained: &[],
            received: &snapshot,
            outputs: &[],
            reply: &[],
            principal: None,
            subject: None,
            end_user: None,
            purpose: None,
            correlation_id: None,
        };
        let sealer = self.store.sealer();
        let sealed = sealer.key(None, now.day())?.seal(id, &payload, random(entropy))?;
        let path = self.kept_file(name, version);
        if let Some(folder) = path.parent() {
            files::make_private_dir(folder)?;
        }
        let mut kept = id.as_bytes().to_vec();
        kept.extend_from_slice(&sealed);
        files::replace(&path, &kept)?;
        Ok(())
    }

    /// Has every guard forget the rows that it remembers, whoever they are about: it does not
    /// know. Evidence, budgets and whom it holds stay.
    pub(super) fn forget_remembered_rows(&self, state: &State) {
        for ((name, version), (_, guard)) in &state.guards {
            guard.forget_rows();
            if let Err(error) = self.keep_guard(name, *version, guard) {
                warn!(model = %name, version = %version, %error, "guard.state.not-kept");
                // What is on disk still holds the rows.
                let _left_over = fs::remove_file(self.kept_file(name, *version));
            }
        }
    }

    /// Removes what was kept of a version that is gone.
    pub(super) fn forget_guard(&self, state: &mut State, shelved: &Shelved) {
        state.guards.remove(&(shelved.name.clone(), shelved.version));
        // What stays behind is of a profile that is gone, and is never put back.
        let _left_over = fs::remove_file(self.kept_file(&shelved.name, shelved.version));
    }

    pub(super) fn release_guarded(
        &self,
        caller: &Principal,
        release: &GuardRelease,
    ) -> Result<Outcome, OperationError> {
        let (pseudonyms, guards) = {
            let mut state = self.state();
            if state.publish.is_none() {
                // No server here has loaded what was kept; what does not load holds nobody.
                let _faults = self.load_all(&mut state);
            }
            let federated = state.keys.ring().federated_pseudonym(&release.principal);
            let own = state.keys.pseudonym_of(&release.principal);
            let pseudonyms: Vec<Pseudonym> = own.into_iter().chain([federated]).collect();
            let guards: Vec<_> = state.guards.values().map(|(_, guard)| guard.clone()).collect();
            (pseudonyms, guards)
        };
        let principal = pseudonyms.first().map(ToString::to_string).unwrap_or_default();
        let act = Act::GuardReleased { principal, reason: release.reason.clone() };
        let receipt = self.record(caller, &act)?;
        for guard in &guards {
            for pseudonym in &pseudonyms {
                let asker = Asker {
                    principal: pseudonym.0,
                    end_user: release.end_user.as_deref(),
                    is_channel: release.end_user.is_some(),
                };
                guard.release(&asker);
            }
        }
        self.keep_guards();
        Ok(Outcome::Done { receipt: receipt.to_string() })
    }
}
