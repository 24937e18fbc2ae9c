//! What is known of a request on its way, and how its record is made.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_access::{
    Assertion, Circumstances, Credential, InferAsk, Permit, Ruling, Scene, permit_infer,
};
use bartizan_core::predictor::Origin;
use bartizan_core::{
    Findings, ModelName, ModelVersion, Obligations, Pseudonym, Refusal, RefusalCode, Tensor,
    Verdict,
};
use bartizan_guard::Judgement;
use bartizan_ledger::{
    Body, Commitment, Commitments, Decision, Digests, Durations, EngineRef, Entry, EntryClass,
    FindingList, ModelRef, Payload, PseudonymKind, Record, Text, Upstream, commit, commit_outputs,
    commit_tensors,
};
use bartizan_wire::Asserted;

use crate::arrival::{Arrival, Protocol, Received, Rendered};
use crate::budget::RowAsk;
use crate::fold::Whom;
use crate::model::{Model, Place};
use crate::snapshot::Snapshot;
use crate::steps::{Ask, Held, Reply, Withheld};

/// Seconds after which a caller may try again where all places of a model are taken.
const RETRY_AFTER_S: u32 = 1;

/// What a request comes to.
pub(crate) enum Outcome {
    /// An answer, in the protocol's words.
    Answered(Rendered),
    /// A refusal.
    Refused(Refusal),
}

/// A request on its way. Only the steps hold one.
pub(crate) struct Case {
    pub(crate) model: Option<Arc<Model>>,
    snapshot: Arc<Snapshot>,
    arrival: Arrival,
    credential: Credential,
    permit: Option<Permit>,
    denied: Option<Arc<Ruling>>,
    /// Of all permits of this request, the strictest: what holds for what is kept of it.
    obliged: Obligations,
    place: Option<Place>,
    asserted: Asserted,
    received: Option<Received>,
    protocol_id: Option<Box<str>>,
    voice: Option<Box<dyn Protocol>>,
    wanted: Option<Vec<Box<str>>>,
    outputs: Option<Vec<Tensor>>,
    origin: Option<Origin>,
    n_rows: u64,
    findings: Findings,
    verdict: Verdict,
    judgement: Option<Judgement>,
    durations: Durations,
}

impl Case {
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        arrival: Arrival,
        credential: Credential,
    ) -> Box<Self> {
        Box::new(Self {
            model: None,
            snapshot,
            arrival,
            credential,
            permit: None,
            denied: None,
            obliged: Obligations::default(),
            place: None,
            asserted: Asserted::default(),
            received: None,
            protocol_id: None,
            voice: None,
            wanted: None,
            outputs: None,
            origin: None,
            n_rows: 0,
            findings: Findings::default(),
            verdict: Verdict::Allow,
            judgement: None,
            durations: Durations::default(),
        })
    }

    /// Access first, existence second: who may not ask a model does not learn whether it is there.
    /// Policies are asked about the very version that would answer, or about one that does not
    /// exist.
    pub(crate) fn admit(&mut self, ask: Ask<'_>) -> Result<(), Refusal> {
        let not_found = || Refusal::new(RefusalCode::NotFound);
        let name: ModelName = ask.model.parse().map_err(|_| not_found())?;
        self.asserted = ask.asserted;
        let version = ask.version.map(str::parse).transpose();
        let model = match version {
            Ok(version) => self.snapshot.model(name.as_str(), version).cloned(),
            Err(_) => None,
        };
        self.permit_for(&name, model.as_ref().map(|model| model.version()))?;
        let model = model.ok_or_else(not_found)?;
        self.place = model.take_place();
        self.model = Some(model);
        if self.place.is_none() {
            let mut refusal = Refusal::new(RefusalCode::Overloaded);
            refusal.retry_after_s = Some(RETRY_AFTER_S);
            return Err(refusal);
        }
        self.durations.admit_ns = self.since_arrival_ns();
        Ok(())
    }

    fn permit_for(
        &mut self,
        model: &ModelName,
        version: Option<ModelVersion>,
    ) -> Result<(), Refusal> {
        let said = [
            (self.asserted.subject.is_some(), Assertion::Subject),
            (self.asserted.end_user.is_some(), Assertion::EndUser),
            (self.asserted.correlation_id.is_some(), Assertion::CorrelationId),
        ];
        let mut asserted = [Assertion::Subject; 3];
        let mut n_asserted = 0;
        for (_, assertion) in said.iter().filter(|(is_said, _)| *is_said) {
            asserted[n_asserted] = *assertion;
            n_asserted += 1;
        }
        let purpose = self.asserted.purpose.as_deref();
        let ask = InferAsk { model, version, purpose, asserted: &asserted[..n_asserted] };
        let Arrival { listener, zone, at, .. } = self.arrival;
        let circumstances = Circumstances { listener, zone, at };
        let scene = Scene { policies: self.snapshot.policies(), circumstances };
        let permitted = permit_infer(scene, &self.credential, ask);
        match permitted {
            Ok(permit) => {
                self.obliged = self.obliged.and(permit.obligations());
                self.permit = Some(permit);
                Ok(())
            }
            Err(denied) => {
                self.permit = None;
                self.denied = denied.ruling().cloned();
                Err(Refusal::new(RefusalCode::Forbidden))
            }
        }
    }

    /// Keeps what was received.
    pub(crate) fn hear(
        &mut self,
        received: Received,
        id: Option<Box<str>>,
        wanted: Option<Vec<Box<str>>>,
        voice: Option<Box<dyn Protocol>>,
    ) {
        self.durations.read_ns = self.since_arrival_ns().saturating_sub(self.durations.admit_ns);
        self.received = Some(received);
        self.protocol_id = id;
        self.wanted = wanted;
        self.voice = voice;
    }

    /// Takes in what the body says about the request: it may add to what the head says, never
    /// contradict it, and needs the same permission.
    pub(crate) fn assert(&mut self, said: Asserted) -> Result<(), Refusal> {
        if said == Asserted::default() {
            return Ok(());
        }
        let pairs = [
            (&mut self.asserted.subject, said.subject),
            (&mut self.asserted.end_user, said.end_user),
            (&mut self.asserted.purpose, said.purpose),
            (&mut self.asserted.correlation_id, said.correlation_id),
        ];
        for (of_head, of_body) in pairs {
            if of_head.is_some() && of_body.is_some() && *of_head != of_body {
                let detail = "a `bartizan-` parameter contradicts the header of the same name";
                return Err(Refusal::new(RefusalCode::Malformed).because(detail));
            }
            *of_head = of_head.take().or(of_body);
        }
        let (name, version) = (self.model_of().name().clone(), self.model_of().version());
        self.permit_for(&name, Some(version))
    }

    pub(crate) fn note_guard(&mut self, findings: Findings, verdict: Verdict) {
        self.findings = findings;
        self.verdict = verdict;
        self.durations.guard_ns = self.since_last_ns();
    }

    /// Keeps what the guard concluded before the model.
    pub(crate) fn note_judgement(&mut self, judgement: Option<Judgement>) {
        self.judgement = judgement;
    }

    /// Has `look` judge the answer with what was concluded before it; `None` where nothing was.
    pub(crate) fn judge_answer(
        &mut self,
        look: impl FnOnce(&Self, &mut Judgement, &mut Findings) -> Verdict,
    ) -> Option<(Verdict, Option<u32>)> {
        let mut judgement = self.judgement.take()?;
        let mut findings = std::mem::take(&mut self.findings);
        let verdict = look(self, &mut judgement, &mut findings);
        let retry_after_s = judgement.retry_after_s;
        self.findings = findings;
        self.verdict = self.verdict.max(verdict);
        self.judgement = Some(judgement);
        Some((verdict, retry_after_s))
    }

    /// When the request came.
    pub(crate) fn at(&self) -> bartizan_core::Stamp {
        self.arrival.at
    }

    /// Who asks.
    pub(crate) fn principal(&self) -> &bartizan_core::Principal {
        self.credential.principal()
    }

    /// Whose act in the caller's own system it is.
    pub(crate) fn end_user(&self) -> Option<&str> {
        self.asserted.end_user.as_deref()
    }

    pub(crate) fn note_predicted(&mut self) {
        self.durations.predict_ns = self.since_last_ns();
    }

    /// Keeps the model's whole answer, for the record, before anything of it is withheld.
    pub(crate) fn keep_outputs(&mut self, outputs: Vec<Tensor>) {
        self.outputs = Some(outputs);
    }

    pub(crate) fn outputs(&self) -> &[Tensor] {
        self.outputs.as_deref().unwrap_or_default()
    }

    pub(crate) fn model_of(&self) -> &Arc<Model> {
        #[expect(clippy::expect_used, reason = "D1: only an admitted case leaves `admit`")]
        self.model.as_ref().expect("an admitted request has a model")
    }

    pub(crate) fn obligations(&self) -> &Obligations {
        #[expect(clippy::expect_used, reason = "D1: only an admitted case leaves `admit`")]
        self.permit.as_ref().expect("an admitted request has a permit").obligations()
    }

    pub(crate) fn wanted(&self) -> Option<&[Box<str>]> {
        self.wanted.as_deref()
    }

    pub(crate) fn protocol_id(&self) -> Option<&str> {
        self.protocol_id.as_deref()
    }

    pub(crate) fn protocol(&self) -> &dyn Protocol {
        self.voice.as_deref().unwrap_or(self.arrival.protocol)
    }

    /// Keeps where the answer is made, if not here.
    pub(crate) fn note_origin(&mut self, origin: Option<Origin>) {
        self.origin = origin;
    }

    /// What is left of the request's time.
    pub(crate) fn left(&self) -> Duration {
        let now_ns = self.snapshot.clock().now().mono_ns;
        Duration::from_nanos(self.arrival.deadline_ns.saturating_sub(now_ns))
    }

    pub(crate) fn is_late(&self) -> bool {
        self.arrival.deadline_ns < self.snapshot.clock().now().mono_ns
    }

    fn since_arrival_ns(&self) -> u64 {
        self.snapshot.clock().now().mono_ns.saturating_sub(self.arrival.at.mono_ns)
    }

    /// Time since the end of the last step that was measured.
    fn since_last_ns(&self) -> u64 {
        let Durations { admit_ns, read_ns, guard_ns, predict_ns, review_ns } = self.durations;
        let so_far = admit_ns + read_ns + guard_ns + predict_ns + review_ns;
        self.since_arrival_ns().saturating_sub(so_far)
    }

    /// Ends in a refusal.
    pub(crate) fn refuse(self: Box<Self>, refusal: Refusal, inputs: Option<&[Tensor]>) -> Withheld {
        self.finish(Outcome::Refused(refusal), inputs)
    }

    /// Makes reply and record. Where the payload cannot be sealed there is no record, so that
    /// nothing can be released.
    pub(crate) fn finish(
        mut self: Box<Self>,
        outcome: Outcome,
        inputs: Option<&[Tensor]>,
    ) -> Withheld {
        let id = self.arrival.id();
        let (rendered, refusal) = match outcome {
            Outcome::Answered(rendered) => (rendered, None),
            Outcome::Refused(mut refusal) => {
                refusal.decision = Some(id);
                (self.arrival.protocol.refusal(&refusal).into(), Some(refusal))
            }
        };
        self.n_rows = inputs.and_then(<[Tensor]>::first).map_or(0, |first| first.n_rows() as u64);
        self.durations.review_ns = self.since_last_ns();
        self.count(refusal.is_none());
        let entry = self.entry(&rendered.body, refusal.as_ref(), inputs);
        let leaf_hash = entry.as_ref().map_or([0; 32], |entry| *entry.leaf_hash());
        let version = refusal.is_none().then(|| self.model_of().version());
        Withheld(Box::new(Held {
            reply: Reply { decision: id, model: version, refusal, receipt: None, rendered },
            leaf_hash,
            entry,
            whom: Whom::Principal(self.credential.principal().pseudonym),
            listener: self.arrival.listener,
        }))
    }

    fn count(&self, is_answered: bool) {
        let Some(model) = &self.model else { return };
        let Durations { admit_ns, read_ns, guard_ns, predict_ns, review_ns } = self.durations;
        let took_ns = admit_ns + read_ns + guard_ns + predict_ns + review_ns;
        if is_answered {
            let wall_ns = self.arrival.at.wall_ns;
            model.counters().answered(self.n_rows, took_ns, predict_ns, wall_ns);
        } else {
            model.counters().refused(took_ns);
        }
    }

    fn entry(
        &self,
        reply: &[u8],
        refusal: Option<&Refusal>,
        inputs: Option<&[Tensor]>,
    ) -> Option<Entry> {
        let secret = &self.arrival.chance.secret;
        let received = self.received.as_ref().map(|received| &*received.bytes);
        let commitments = Commitments {
            received: received.map(|bytes| commit(secret, Commitment::Received, bytes)),
            tensors: inputs.map(|inputs| commit_tensors(secret, inputs)),
            output: self.outputs.as_ref().map(|outputs| commit_outputs(secret, outputs)),
            reply: Some(commit(secret, Commitment::Reply, reply)),
        };
        let (id, day) = (self.arrival.id(), self.arrival.at.day());
        let key = self.snapshot.sealer().key(self.asserted.subject.as_deref(), day).ok()?;
        let leaf = self.record(commitments, refusal, key.subject()).encode();
        let withheld = self.withheld_inputs(inputs);
        let payload = Payload {
            secret,
            received: if withheld.is_some() { &[] } else { received.unwrap_or_default() },
            retained: withheld.as_deref().unwrap_or_default(),
            outputs: self.outputs(),
            reply,
            principal: Some(self.credential.principal().name.as_str()),
            subject: self.asserted.subject.as_deref(),
            end_user: self.asserted.end_user.as_deref(),
            purpose: self.asserted.purpose.as_deref(),
            correlation_id: self.asserted.correlation_id.as_deref(),
        };
        let sealed = key.seal(id, &payload, self.arrival.chance.nonce).ok()?;
        Entry::new(leaf, sealed, EntryClass::Decision).ok()
    }

    /// Where not all of the request may be kept: the inputs that may. A body whose inputs are not
    /// known (it could not be read) is not kept at all then.
    fn withheld_inputs(&self, inputs: Option<&[Tensor]>) -> Option<Vec<Tensor>> {
        let names = self.obliged.retain_inputs.as_ref()?;
        let inputs = inputs.unwrap_or_default();
        let may = |tensor: &&Tensor| names.contains(tensor.name());
        Some(inputs.iter().filter(may).cloned().collect())
    }

    /// Takes the rows of `inputs` from the day's, where the permit limits them.
    pub(crate) fn spend(&self, inputs: &[Tensor]) -> Result<(), Refusal> {
        let Some(rows_per_day) = self.obligations().rows_per_day else { return Ok(()) };
        let n_rows = inputs.first().map_or(0, |first| first.n_rows() as u64);
        let (who, at) = (self.credential.principal().pseudonym, self.arrival.at);
        let model = self.model_of().name();
        let ask = RowAsk { who, model, n_rows, rows_per_day, at };
        self.snapshot.budget().take(&ask).map_err(|retry_after_s| {
            let mut refusal = Refusal::new(RefusalCode::Throttled);
            refusal.retry_after_s = Some(retry_after_s);
            refusal
        })
    }

    /// Ids of the policies that decided.
    fn policies(&self) -> Vec<Text<'_>> {
        let ruling = match &self.permit {
            Some(permit) => Some(permit.ruling()),
            None => self.denied.as_ref(),
        };
        let all = ruling.iter().flat_map(|ruling| &ruling.policies);
        all.map(|id| Cow::Borrowed(&**id)).collect()
    }

    /// The protocol and how the received bytes are read in it: `oip-rest;gzip;json=312`.
    fn protocol_text(&self) -> Cow<'static, str> {
        let name = self.arrival.protocol.name();
        match self.received.as_ref().map(|received| &*received.form) {
            None | Some("") => name.into(),
            Some(form) => format!("{name};{form}").into(),
        }
    }

    fn record(
        &self,
        commitments: Commitments,
        refusal: Option<&Refusal>,
        subject: Option<Pseudonym>,
    ) -> Record<'_> {
        let site = self.snapshot.site();
        let at = self.arrival.at;
        let principal = self.credential.principal();
        let model = self.model.as_deref();
        let pseudonym = |kind, text: &Option<Box<str>>| -> Option<Pseudonym> {
            Some(self.snapshot.sealer().pseudonym(kind, text.as_deref()?, at.day()))
        };
        let decision = Decision {
            principal: Some(principal.pseudonym),
            proof: Some(principal.proof.describe().into()),
            purpose: self.permit.as_ref().and_then(Permit::purpose).map(Into::into),
            subject,
            end_user: pseudonym(PseudonymKind::EndUser, &self.asserted.end_user),
            correlation: pseudonym(PseudonymKind::CorrelationId, &self.asserted.correlation_id),
            listener: self.arrival.listener.into(),
            route: self.arrival.route.into(),
            protocol: self.protocol_text(),
            model: model.map(|model| ModelRef {
                name: model.name().as_str().into(),
                version: model.version().0.get(),
                digest: model.digest(),
            }),
            engine: model.map(Model::recipe).map(|recipe| EngineRef {
                engine: recipe.engine.into(),
                version: recipe.version.as_str().into(),
                settings: recipe.settings.as_str().into(),
            }),
            digests: Digests {
                policy: Some(self.snapshot.policies().digest()),
                contract: model.map(|model| model.contract().digest()),
                profile: model.and_then(Model::watch).map(|watch| watch.profile),
                snapshot: Some(self.snapshot.digest()),
            },
            commitments,
            n_rows: self.n_rows,
            findings: FindingList::from(&self.findings),
            verdict: self.verdict,
            refusal: refusal.map(|refusal| refusal.code.as_str().into()),
            guard_step: self.judgement.as_ref().map(|judgement| judgement.step),
            trace_context: self.arrival.trace_context,
            upstream: self.origin.as_ref().map(|origin| Upstream {
                digest: origin.digest,
                version: origin.version.as_deref().map(Into::into),
            }),
            durations: self.durations,
            policies: self.policies(),
            obligations: self.obliged.clone(),
        };
        Record {
            id: self.arrival.id(),
            at,
            environment: site.environment.as_str().into(),
            replica: site.replica.as_ref().into(),
            volatile: site.is_volatile,
            body: Body::Decision(Box::new(decision)),
        }
    }
}

impl fmt::Debug for Case {
    /// Nothing of what was received or asserted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("model", &self.model).finish_non_exhaustive()
    }
}
