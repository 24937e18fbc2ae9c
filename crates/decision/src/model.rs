//! A model as requests meet it: its predictor, its contract, its bounds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_core::contract::{ContractError, Role};
use bartizan_core::{Contract, Digest, ModelName, ModelVersion, Predictor, Recipe, Signature};
use bartizan_guard::{ContractGuard, Guard};
use bartizan_wire::table::Plan;

use crate::case::Case;
use crate::served::{Counters, Served};
use crate::steps::{Cleared, Predicted};

/// One version of one model. Its predictor is private: the only way to it is
/// [`Model::predict`], which takes what the guard has cleared.
pub struct Model {
    name: ModelName,
    version: ModelVersion,
    digest: Digest,
    predictor: Arc<dyn Predictor>,
    contract: Contract,
    guard: ContractGuard,
    table: Plan,
    in_flight: Arc<AtomicUsize>,
    in_flight_max: usize,
    served: Counters,
    watch: Option<Watch>,
}

/// What watches a model's callers, and for whom it speaks.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The guard.
    pub guard: Arc<Guard>,
    /// Digest of its profile's bytes.
    pub profile: Digest,
    /// Principals that speak for many end users: these are judged, never they.
    pub channels: BTreeSet<String>,
}

/// What a model is called, and how many requests it may serve at once.
#[derive(Clone, Debug)]
pub struct ModelTerms {
    /// Its registered name.
    pub name: ModelName,
    /// Its version.
    pub version: ModelVersion,
    /// Digest of its file.
    pub digest: Digest,
    /// Most requests that may be between their first and last step at once.
    pub in_flight_max: usize,
}

impl Model {
    /// A model that answers under `contract`.
    ///
    /// # Errors
    /// [`ContractError`] where the contract contradicts the predictor's signature.
    pub fn new(
        terms: ModelTerms,
        predictor: Arc<dyn Predictor>,
        contract: Contract,
    ) -> Result<Self, ContractError> {
        contract.check_fits(predictor.signature())?;
        let (guard, table) = (ContractGuard::new(&contract), Plan::new(&contract));
        let ModelTerms { name, version, digest, in_flight_max } = terms;
        let in_flight = Arc::new(AtomicUsize::new(0));
        let served = Counters::default();
        Ok(Self {
            name,
            version,
            digest,
            predictor,
            contract,
            guard,
            table,
            in_flight,
            in_flight_max,
            served,
            watch: None,
        })
    }

    /// The same, watched.
    #[must_use]
    pub fn watched(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// What watches it; `None` where only its contract is held against requests.
    pub fn watch(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }

    /// Its registered name.
    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> ModelVersion {
        self.version
    }

    /// Digest of its file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it accepts and what its answers mean.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// How tables of rows and columns become its inputs.
    pub fn table(&self) -> &Plan {
        &self.table
    }

    /// What its file takes and gives.
    pub fn signature(&self) -> &Signature {
        self.predictor.signature()
    }

    /// How its answers come about.
    pub fn recipe(&self) -> &Recipe {
        self.predictor.recipe()
    }

    /// What it has done so far.
    pub fn served(&self) -> Served {
        self.served.read()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.served
    }

    /// Bytes of memory that it holds.
    pub fn resident_bytes(&self) -> usize {
        self.predictor.resident_bytes()
    }

    /// Whether its predictor leaves the process.
    pub fn leaves_process(&self) -> bool {
        self.predictor.leaves_process()
    }

    /// Rough CPU cost of one row in nanoseconds.
    pub fn row_cost_ns(&self) -> u64 {
        self.predictor.row_cost_ns()
    }

    /// Answers requests that were cleared for this model, each alone or, where the predictor
    /// promises that a row's bits do not depend on its neighbours, together. A request that was
    /// cleared for another model, or whose deadline has passed, is refused here.
    pub fn predict(&self, cleared: Vec<Cleared>) -> Vec<Predicted> {
        cleared.into_iter().map(|one| self.predict_one(one)).collect()
    }

    /// [`Model::predict`] of a single request.
    pub fn predict_one(&self, cleared: Cleared) -> Predicted {
        cleared.run(&*self.predictor, self)
    }

    /// Fewest values of a row that the contract takes: what bounds the rows of a body.
    pub fn row_len_min(&self) -> u64 {
        let lens = self.contract.inputs().iter().map(|input| input.row_len().unwrap_or(1));
        lens.fold(0, u64::saturating_add).max(1)
    }

    pub(crate) fn guard(&self) -> &ContractGuard {
        &self.guard
    }

    /// The role of output `name` in the contract; `None` where the contract does not give it.
    pub(crate) fn role(&self, name: &str) -> Option<Role> {
        self.contract.outputs().iter().find(|output| output.name == name).map(|output| output.role)
    }

    /// Takes one of the model's places, or none where all are taken.
    pub(crate) fn take_place(&self) -> Option<Place> {
        let taken = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.in_flight.clone());
        (taken < self.in_flight_max).then_some(place)
    }

    pub(crate) fn is_of(&self, case: &Case) -> bool {
        case.model.as_deref().is_some_and(|model| std::ptr::eq(model, self))
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.name, self.version, self.digest.short())
    }
}

/// One of a model's places; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
