//! A snapshot around a predictor that does as it is told, for tests of the steps and of what
//! serves them. Behind the feature `testing`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_access::{Keys, MacKey, NewKey, PolicyError, Scopes, as_issued};
use bartizan_core::predictor::Dim;
use bartizan_core::{
    Clock, Contract, Datatype, Digest, Entropy, EnvName, ModelName, ModelVersion, PredictError,
    Predictor, Recipe, Signature, Tensor, TensorSpec, Values,
};
use bartizan_ledger::{FileKeys, MemDisk, SealingKeys};

use crate::model::{Model, ModelTerms};
use crate::snapshot::{Site, Snapshot};

/// What the predictor does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Answers: the label is 1, each score its input.
    Fine,
    /// Fails as an operator might.
    Failing,
    /// Panics.
    Panicking,
}

/// A predictor of one input `X`, `FP32 [-1, 2]`, with outputs `label` and `scores`.
#[derive(Debug)]
pub struct Puppet {
    mood: Mood,
    n_calls: AtomicUsize,
    signature: Signature,
    recipe: Recipe,
}

impl Puppet {
    /// One that does as `mood` says.
    pub fn new(mood: Mood) -> Arc<Self> {
        let spec = |name: &str, datatype, shape: &[Dim]| TensorSpec {
            name: name.into(),
            datatype,
            shape: shape.into(),
            copes_with_missing: false,
        };
        let signature = Signature {
            inputs: vec![spec("X", Datatype::Fp32, &[Dim::Any, Dim::Fixed(2)])],
            outputs: vec![
                spec("label", Datatype::Int64, &[Dim::Any]),
                spec("scores", Datatype::Fp32, &[Dim::Any, Dim::Fixed(2)]),
            ],
            classes: vec!["0".into(), "1".into()],
        };
        let recipe = Recipe { engine: "puppet", version: "1".into(), settings: String::new() };
        Arc::new(Self { mood, n_calls: AtomicUsize::new(0), signature, recipe })
    }

    /// How often it was asked.
    pub fn n_calls(&self) -> usize {
        self.n_calls.load(Ordering::SeqCst)
    }
}

impl Predictor for Puppet {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    fn is_row_invariant(&self) -> bool {
        true
    }

    fn resident_bytes(&self) -> usize {
        0
    }

    fn row_cost_ns(&self) -> u64 {
        1
    }

    #[expect(clippy::panic, reason = "that is what this mood is for")]
    fn predict(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, PredictError> {
        self.n_calls.fetch_add(1, Ordering::SeqCst);
        let inputs_error = |error: String| PredictError::Inputs { reason: error };
        match self.mood {
            Mood::Fine => {}
            Mood::Failing => return Err(inputs_error("told to".into())),
            Mood::Panicking => panic!("told to"),
        }
        let input = inputs.first().ok_or_else(|| inputs_error("none".into()))?;
        let n_rows = input.n_rows();
        let label = Values::Int64(vec![1; n_rows]);
        [
            Tensor::new("label", vec![n_rows as u64], label),
            Tensor::new("scores", input.shape().to_vec(), input.values().clone()),
        ]
        .into_iter()
        .map(|made| made.map_err(|error| inputs_error(error.to_string())))
        .collect()
    }
}

/// A snapshot, and a key for it.
pub struct Rig {
    /// The snapshot, with one model `puppet` of version 1.
    pub snapshot: Arc<Snapshot>,
    /// The key's text.
    pub key: String,
}

/// Why a rig could not be made.
pub type RigError = Box<dyn std::error::Error + Send + Sync>;

impl Rig {
    /// A rig around `puppet`, whose key has `scopes` and is good for an hour from now.
    ///
    /// # Errors
    /// None but by a fault of ours.
    pub fn new(
        puppet: Arc<Puppet>,
        scopes: Scopes,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, RigError> {
        Self::with_model(puppet, scopes, clock, entropy, |model| model)
    }

    /// The same, with what `finish` makes of the model.
    ///
    /// # Errors
    /// None but by a fault of ours.
    pub fn with_model(
        puppet: Arc<Puppet>,
        scopes: Scopes,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        finish: impl FnOnce(Model) -> Model,
    ) -> Result<Self, RigError> {
        let now = clock.now();
        let environment: EnvName = "test".parse()?;
        let mut keys = Keys::new(environment.clone(), MacKey::random(&*entropy));
        let new = NewKey { principal: "tester".parse()?, scopes, ttl_s: 3_600 };
        let key = keys.issue(&new, now.unix_s(), &*entropy)?.reveal().to_string();
        let wrap = FileKeys::new(Arc::new(MemDisk::new()), entropy.clone());
        let disk = Arc::new(MemDisk::new());
        let sealing = SealingKeys::open(disk, Arc::new(wrap), entropy, now.day())?;
        let contract = Contract::new(Contract::infer(puppet.signature()), b"inferred")?;
        let name: ModelName = "puppet".parse()?;
        let version = ModelVersion::FIRST;
        let terms = ModelTerms { name, version, digest: Digest::of(b"puppet"), in_flight_max: 4 };
        let model = Arc::new(finish(Model::new(terms, puppet, contract)?));
        let site = Site { environment: "test".parse()?, replica: "r1".into(), is_volatile: true };
        let (ring, sealer) = (Arc::new(keys.ring()), sealing.sealer());
        let policies = as_issued(environment).map_err(|errors| joined(&errors))?;
        let snapshot = Snapshot::new(site, clock, ring, sealer, [model]);
        let snapshot = snapshot.with_policies(Arc::new(policies));
        Ok(Self { snapshot: Arc::new(snapshot), key })
    }
}

fn joined(errors: &[PolicyError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
