//! Operations on the repository of models.

use std::sync::Arc;

use bartizan_core::{ModelName, ModelVersion, Principal};
use bartizan_decision::Model;

use super::operation::{ModelAdd, ModelRef, Outcome};
use super::store::{self, Act};
use super::{OperationError, Owner, State};
use crate::models::prepare::{self, PrepareError};
use crate::models::{Entry, Files, RepositoryError, Shelved, State as ModelState};
use crate::upstreams;

impl Owner {
    pub(super) fn add_model(
        &self,
        caller: &Principal,
        add: &ModelAdd,
    ) -> Result<Outcome, OperationError> {
        let files = self.repository.read_staged(&add.staged, add.model, add.contract)?;
        let mut state = self.state();
        let version = self.repository.free_version(&add.name, add.version)?;
        let entry = Entry {
            format: 1,
            model: add.model,
            model_bytes: files.model.len() as u64,
            contract: add.contract,
            profile: add.profile,
            added_s: self.now_s(),
            state: if add.unserved { ModelState::Unloaded } else { ModelState::Loaded },
            registered_by: Some(caller.name.to_string()),
        };
        let shelved = Shelved { name: add.name.clone(), version, entry };
        if files.profile.as_deref().map(bartizan_core::Digest::of) != add.profile {
            return Err(RepositoryError::NotStaged { staged: add.staged.clone() }.into());
        }
        let model = self.prepare(&mut state, caller, &shelved, &files)?;
        if !add.unserved {
            self.check_memory(&state, &model)?;
        }
        let receipt = self.record(caller, &Act::ModelAdded(shelved.clone()))?;
        self.repository.adopt(&add.staged, &shelved)?;
        if !add.unserved {
            self.enter(&mut state, model);
        }
        Ok(Outcome::Model(shelved.row(Some(receipt.to_string()))))
    }

    pub(super) fn remove_model(
        &self,
        caller: &Principal,
        model: &ModelRef,
    ) -> Result<Outcome, OperationError> {
        let mut state = self.state();
        let shelved = self.repository.get(&model.name, model.version)?;
        let receipt = self.record(caller, &Act::ModelRemoved(shelved.clone()))?;
        self.repository.remove(&shelved)?;
        self.leave(&mut state, &shelved);
        self.forget_guard(&mut state, &shelved);
        Ok(Outcome::Model(shelved.row(Some(receipt.to_string()))))
    }

    pub(super) fn load_model(
        &self,
        caller: &Principal,
        model: &ModelRef,
    ) -> Result<Outcome, OperationError> {
        let mut state = self.state();
        let mut shelved = self.repository.get(&model.name, model.version)?;
        let files = self.repository.read(&shelved)?;
        let loaded = self.prepare(&mut state, caller, &shelved, &files)?;
        self.check_memory(&state, &loaded)?;
        let receipt = self.record(caller, &Act::ModelLoaded(shelved.clone()))?;
        self.repository.set_state(&shelved, ModelState::Loaded)?;
        shelved.entry.state = ModelState::Loaded;
        self.enter(&mut state, loaded);
        Ok(Outcome::Model(shelved.row(Some(receipt.to_string()))))
    }

    pub(super) fn unload_model(
        &self,
        caller: &Principal,
        model: &ModelRef,
    ) -> Result<Outcome, OperationError> {
        let mut state = self.state();
        let mut shelved = self.repository.get(&model.name, model.version)?;
        let receipt = self.record(caller, &Act::ModelUnloaded(shelved.clone()))?;
        self.repository.set_state(&shelved, ModelState::Unloaded)?;
        shelved.entry.state = ModelState::Unloaded;
        self.leave(&mut state, &shelved);
        Ok(Outcome::Model(shelved.row(Some(receipt.to_string()))))
    }

    pub(super) fn list_models(&self) -> Result<Outcome, OperationError> {
        let models = self.repository.list()?.iter().map(|shelved| shelved.row(None)).collect();
        Ok(Outcome::Models { models })
    }

    /// Loads every version that is to be served; says which could not be.
    pub(super) fn load_all(
        &self,
        state: &mut State,
    ) -> Vec<(ModelName, ModelVersion, OperationError)> {
        let mut faults = Vec::new();
        let all = match self.repository.list() {
            Ok(all) => all,
            Err(error) => {
                tracing::error!(error = %crate::log::Chain(&error), "engine.repository.unreadable");
                return faults;
            }
        };
        // Not `local_principal`: the state is locked here.
        let caller = match store::local_principal(&self.environment, &state.keys.ring()) {
            Ok(caller) => caller,
            Err(error) => {
                tracing::error!(error = %crate::log::Chain(&error), "engine.repository.unreadable");
                return faults;
            }
        };
        for shelved in all.iter().filter(|one| one.entry.state == ModelState::Loaded) {
            let loaded =
                self.repository.read(shelved).map_err(OperationError::from).and_then(|files| {
                    let model = self.prepare(state, &caller, shelved, &files)?;
                    self.check_memory(state, &model)?;
                    Ok(model)
                });
            match loaded {
                Ok(model) => {
                    state.models.insert((shelved.name.clone(), shelved.version), model);
                }
                Err(error) => faults.push((shelved.name.clone(), shelved.version, error)),
            }
        }
        self.load_upstreams(state, &mut faults);
        faults
    }

    /// Loads every model that has not moved; see [`upstreams`].
    fn load_upstreams(
        &self,
        state: &mut State,
        faults: &mut Vec<(ModelName, ModelVersion, OperationError)>,
    ) {
        let config = self.environment.config();
        let rows_max = u64::from(config.limits.rows_max);
        let found = match upstreams::load_all(self.environment.root(), rows_max) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(error = %crate::log::Chain(&error), "engine.upstreams.unreadable");
                return;
            }
        };
        for upstreams::Found { name, version, outcome } in found {
            let key = (name.clone(), version);
            let made = outcome.map_err(OperationError::from).and_then(|made| {
                if state.models.contains_key(&key) {
                    let (name, version) = key.clone();
                    return Err(RepositoryError::Present { name, version }.into());
                }
                let (predictor, contract, digest) = made;
                let in_flight_max = config.models.concurrency_max as usize;
                let terms = bartizan_decision::ModelTerms { name, version, digest, in_flight_max };
                Ok(Model::new(terms, predictor, contract).map_err(PrepareError::Contract)?)
            });
            match made {
                Ok(model) => {
                    state.models.insert(key, Arc::new(model));
                }
                Err(error) => faults.push((key.0, key.1, error)),
            }
        }
    }

    /// Scans and loads the very bytes of `files`; see the gate's G1 and G2.
    fn prepare(
        &self,
        state: &mut State,
        caller: &Principal,
        shelved: &Shelved,
        files: &Files,
    ) -> Result<Arc<Model>, OperationError> {
        self.pass_gate(caller, shelved, files)?;
        let config = self.environment.config();
        let bounds = &config.models;
        let rows_max = u64::from(config.limits.rows_max);
        let (predictor, contract) = prepare::load(files, bounds, rows_max)?;
        let terms = bartizan_decision::ModelTerms {
            name: shelved.name.clone(),
            version: shelved.version,
            digest: shelved.entry.model,
            in_flight_max: bounds.concurrency_max as usize,
        };
        let model = Model::new(terms, predictor, contract).map_err(PrepareError::Contract)?;
        Ok(Arc::new(self.watched(state, shelved, files, model)?))
    }

    /// Whether `model` fits beside those that are loaded; of its own version only one counts.
    fn check_memory(&self, state: &State, model: &Model) -> Result<(), OperationError> {
        let limit_bytes = self.environment.config().models.resident_bytes_max;
        let (name, version) = (model.name(), model.version());
        let others = state.models.iter().filter(|(key, _)| (&key.0, key.1) != (name, version));
        let held: u64 = others.map(|(_, other)| other.resident_bytes() as u64).sum();
        let bytes = held.saturating_add(model.resident_bytes() as u64);
        if limit_bytes < bytes {
            let name = name.clone();
            return Err(OperationError::Memory { name, version, bytes, limit_bytes });
        }
        Ok(())
    }

    /// Puts a model into service, where there is one.
    fn enter(&self, state: &mut State, model: Arc<Model>) {
        if state.publish.is_some() {
            state.models.insert((model.name().clone(), model.version()), model);
            self.publish(state);
        }
    }

    /// Takes a model out of service; requests that have it keep it until they are done.
    fn leave(&self, state: &mut State, shelved: &Shelved) {
        if state.models.remove(&(shelved.name.clone(), shelved.version)).is_some() {
            self.publish(state);
        }
    }
}
