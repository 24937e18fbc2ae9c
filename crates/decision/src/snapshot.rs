//! Everything that a request is judged by, as one value that never changes.
//!
//! Invariants
//! - S1: a request reads the snapshot that it was admitted under and no other, so that it is
//!   never judged by a mixture of old and new.

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_access::{Identities, KeyRing, Policies};
use bartizan_core::{Clock, Digest, EnvName, ModelName, ModelVersion, Pseudonym, Stamp};
use bartizan_ledger::{PseudonymKind, Sealer};

use crate::budget::{DayRows, RowBudget};
use crate::model::Model;

/// Where decisions are made: the same for as long as the server runs.
#[derive(Clone, Debug)]
pub struct Site {
    /// The environment's name.
    pub environment: EnvName,
    /// Which replica of it.
    pub replica: Box<str>,
    /// Whether its records may be lost with the machine's power.
    pub is_volatile: bool,
}

/// Policies, keys, contracts and models of one moment; see S1.
pub struct Snapshot {
    site: Site,
    clock: Arc<dyn Clock>,
    keys: Arc<KeyRing>,
    identities: Arc<Identities>,
    policies: Arc<Policies>,
    sealer: Arc<Sealer>,
    budget: Arc<dyn RowBudget>,
    models: BTreeMap<ModelName, BTreeMap<ModelVersion, Arc<Model>>>,
    digest: Digest,
}

impl Snapshot {
    /// A snapshot of these parts. Without [`Snapshot::with_policies`] nothing is allowed in it.
    pub fn new(
        site: Site,
        clock: Arc<dyn Clock>,
        keys: Arc<KeyRing>,
        sealer: Arc<Sealer>,
        models: impl IntoIterator<Item = Arc<Model>>,
    ) -> Self {
        let mut shelves: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for model in models {
            let shelf = shelves.entry(model.name().clone()).or_default();
            shelf.insert(model.version(), model);
        }
        let policies = Arc::new(Policies::none(site.environment.clone()));
        let digest = digest(&site, &keys, &shelves);
        let identities = Arc::new(Identities::none());
        let budget = Arc::new(DayRows::default());
        Self { site, clock, keys, identities, policies, sealer, budget, models: shelves, digest }
    }

    /// The same, with issuers, trust domains and revocations.
    #[must_use]
    pub fn with_identities(self, identities: Arc<Identities>) -> Self {
        let parts: [&[u8]; 3] =
            [b"bartizan snapshot identities 1\n", &self.digest.0, &identities.digest().0];
        Self { digest: Digest::of_parts(&parts), identities, ..self }
    }

    /// The same with `budget`, which outlives it: rows that were taken stay taken.
    #[must_use]
    pub fn with_budget(self, budget: Arc<dyn RowBudget>) -> Self {
        Self { budget, ..self }
    }

    /// The same with these policies.
    #[must_use]
    pub fn with_policies(self, policies: Arc<Policies>) -> Self {
        let parts: [&[u8]; 3] =
            [b"bartizan snapshot policies 1\n", &self.digest.0, &policies.digest().0];
        Self { digest: Digest::of_parts(&parts), policies, ..self }
    }

    /// Where decisions are made.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The clock by which they are made.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The keys that are known.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Issuers, trust domains and revocations.
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// What counts the rows that are given.
    pub fn budget(&self) -> &dyn RowBudget {
        &*self.budget
    }

    /// What is allowed.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// What seals payloads.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Version `version` of model `name`, or its newest.
    pub fn model(&self, name: &str, version: Option<ModelVersion>) -> Option<&Arc<Model>> {
        let shelf = self.models.get(&name.parse().ok()?)?;
        match version {
            Some(version) => shelf.get(&version),
            None => shelf.values().next_back(),
        }
    }

    /// All models, by name and then version.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.values().flat_map(BTreeMap::values)
    }

    /// Versions of model `name`, oldest first.
    pub fn versions(&self, name: &ModelName) -> Vec<ModelVersion> {
        self.models.get(name).map(|shelf| shelf.keys().copied().collect()).unwrap_or_default()
    }

    /// What stands in records for the network source `source`, for the length of a day.
    pub fn pseudonym_of_source(&self, source: &str, at: Stamp) -> Pseudonym {
        self.sealer.pseudonym(PseudonymKind::Source, source, at.day())
    }

    /// What records call this snapshot.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

type Shelves = BTreeMap<ModelName, BTreeMap<ModelVersion, Arc<Model>>>;

fn digest(site: &Site, keys: &KeyRing, models: &Shelves) -> Digest {
    let mut text = format!("bartizan snapshot 1\n{}\n{}\n", site.environment, keys.digest());
    for model in models.values().flat_map(BTreeMap::values) {
        let (name, version, digest) = (model.name(), model.version(), model.digest());
        let recipe = model.recipe();
        text += &format!(
            "{name} {version} {digest} {} {} {} {}\n",
            model.contract().digest(),
            recipe.engine,
            recipe.version,
            recipe.settings
        );
    }
    Digest::of(text.as_bytes())
}
