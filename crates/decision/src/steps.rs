//! The steps from an admitted request to a released reply, as types.
//!
//! Each step consumes the one before, and none of the values can be made, copied or read from
//! bytes outside this module. So code that skips the guard, answers other tensors than were
//! judged, or sends what was not recorded does not compile.
//!
//! Invariants
//! - D1: a predictor sees only tensors that the guard has cleared;
//! - D2: a [`Reply`] is given only for a [`Receipt`] of the very leaf that describes it;
//! - D3: every way out of every step is a [`Withheld`], so that a refusal is recorded like an
//!   answer;
//! - D4: a panic in a guard, a predictor or a protocol is a refusal that is recorded.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bartizan_access::Credential;
use bartizan_core::{
    DecisionId, ModelVersion, Obligations, PredictError, Predictor, Refusal, RefusalCode, Tensor,
    Verdict,
};
use bartizan_ledger::{Entry, Receipt};
use bartizan_wire::Asserted;

use crate::arrival::{Answer, Arrival, Protocol, Received, Rendered};
use crate::case::{Case, Outcome};
use crate::fold::{FoldKey, Whom};
use crate::model::Model;
use crate::review::disclose;
use crate::snapshot::Snapshot;
use crate::watched;

/// What a request asks for, as its head says.
#[derive(Debug, Default)]
pub struct Ask<'a> {
    /// The model's name, as the caller spells it.
    pub model: &'a str,
    /// The version, as the caller spells it; the newest where absent.
    pub version: Option<&'a str>,
    /// What the caller says about the request.
    pub asserted: Asserted,
}

/// What a request says in its body.
#[derive(Debug)]
pub struct Spoken {
    /// What was received.
    pub received: Received,
    /// The tensors in them.
    pub tensors: Vec<Tensor>,
    /// The outputs it wants; all where absent.
    pub wanted: Option<Vec<Box<str>>>,
    /// Its own id for the request.
    pub id: Option<Box<str>>,
    /// What it says about the request.
    pub asserted: Asserted,
    /// How this request wants to be answered; in the arrival's protocol where absent.
    pub voice: Option<Box<dyn Protocol>>,
}

/// Lets a request in: the model exists, the credential covers it for this purpose, and one of
/// the model's places is free.
///
/// # Errors
/// The refusal, to be recorded like an answer (D3).
pub fn admit(
    snapshot: Arc<Snapshot>,
    arrival: Arrival,
    credential: &Credential,
    ask: Ask<'_>,
) -> Result<Admitted, Withheld> {
    let mut case = Case::new(snapshot, arrival, credential.clone());
    match case.admit(ask) {
        Ok(()) => Ok(Admitted { case }),
        Err(refusal) => Err(case.refuse(refusal, None)),
    }
}

/// Refuses a request of a known principal before it asks anything of a model: a route, a method
/// or a scope that it lacks.
pub fn refuse(
    snapshot: Arc<Snapshot>,
    arrival: Arrival,
    credential: &Credential,
    refusal: Refusal,
) -> Withheld {
    Case::new(snapshot, arrival, credential.clone()).refuse(refusal, None)
}

/// A request that may ask; its body is not read yet.
#[derive(Debug)]
pub struct Admitted {
    case: Box<Case>,
}

impl Admitted {
    /// The model that it asks.
    pub fn model(&self) -> &Arc<Model> {
        self.case.model_of()
    }

    /// Longest body that the model's contract takes, in bytes; `None` where it says nothing.
    pub fn body_bytes_max(&self) -> Option<usize> {
        self.model().contract().file().body_bytes_max
    }

    /// Judges what the request says.
    ///
    /// # Errors
    /// The refusal, to be recorded like an answer (D3).
    pub fn clear(self, spoken: Spoken) -> Result<Cleared, Withheld> {
        let Self { mut case } = self;
        let Spoken { received, tensors, wanted, id, asserted, voice } = spoken;
        case.hear(received, id, wanted, voice);
        if let Err(refusal) = case.assert(asserted) {
            return Err(case.refuse(refusal, Some(&tensors)));
        }
        let model = case.model_of().clone();
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let arranged = model.guard().arrange(tensors);
            let mut findings = bartizan_core::Findings::default();
            let verdict = match &arranged {
                Ok(inputs) => model.guard().check(inputs, &mut findings),
                Err(mismatch) => {
                    findings.push(mismatch.finding());
                    Verdict::Block
                }
            };
            let judgement = match &arranged {
                Ok(inputs) if verdict == Verdict::Allow => {
                    watched::before(&case, inputs, &mut findings)
                }
                Ok(_) | Err(_) => None,
            };
            (arranged, findings, verdict, judgement)
        }));
        let Ok((arranged, findings, verdict, judgement)) = judged else {
            return Err(case.refuse(Refusal::new(RefusalCode::Internal), None));
        };
        let watched =
            judgement.as_ref().map(|judgement| (judgement.verdict, judgement.retry_after_s));
        case.note_guard(findings, watched.map_or(verdict, |(watched, _)| watched));
        case.note_judgement(judgement);
        match arranged {
            Err(mismatch) => {
                let refusal = Refusal::new(mismatch.code()).because(mismatch.to_string());
                Err(case.refuse(refusal, None))
            }
            Ok(inputs) if Verdict::Degrade < verdict => {
                Err(case.refuse(Refusal::new(RefusalCode::InputRefused), Some(&inputs)))
            }
            Ok(inputs) => match watched {
                Some((verdict, retry_after_s)) if Verdict::Degrade < verdict => {
                    Err(case.refuse(watched::refusal(verdict, retry_after_s), Some(&inputs)))
                }
                Some(_) | None => match case.spend(&inputs) {
                    Ok(()) => Ok(Cleared { case, inputs }),
                    Err(refusal) => Err(case.refuse(refusal, Some(&inputs))),
                },
            },
        }
    }

    /// Gives up: the body could not be read, or is none that the protocol knows.
    pub fn refuse(self, refusal: Refusal, received: Option<Received>) -> Withheld {
        let Self { mut case } = self;
        if let Some(received) = received {
            case.hear(received, None, None, None);
        }
        case.refuse(refusal, None)
    }
}

/// A request whose tensors were judged, with these very tensors.
#[derive(Debug)]
pub struct Cleared {
    case: Box<Case>,
    inputs: Vec<Tensor>,
}

impl Cleared {
    /// The model that it was cleared for.
    pub fn model(&self) -> &Arc<Model> {
        self.case.model_of()
    }

    /// Rough CPU cost of its prediction, in nanoseconds.
    pub fn cost_ns(&self) -> u64 {
        let n_rows = self.inputs.first().map_or(1, Tensor::n_rows) as u64;
        n_rows.saturating_mul(self.model().row_cost_ns())
    }

    pub(crate) fn run(mut self, predictor: &dyn Predictor, model: &Model) -> Predicted {
        let outcome = if !model.is_of(&self.case) {
            Err(Refusal::new(RefusalCode::Internal))
        } else if self.case.is_late() {
            Err(Refusal::new(RefusalCode::DeadlineExceeded))
        } else {
            let left = self.case.left();
            self.case.note_origin(predictor.origin());
            let run = || predictor.predict_within(&self.inputs, left);
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok(Ok(told)) => {
                    if told.origin.is_some() {
                        self.case.note_origin(told.origin);
                    }
                    Ok(told.outputs)
                }
                Ok(Err(error)) => Err(refusal_of(&error)),
                Err(_) => Err(Refusal::new(RefusalCode::Internal)),
            }
        };
        self.case.note_predicted();
        Predicted { case: self.case, inputs: self.inputs, outcome }
    }
}

fn refusal_of(error: &PredictError) -> Refusal {
    Refusal::new(match error {
        PredictError::Inputs { .. } | PredictError::Operator { .. } => RefusalCode::Internal,
        PredictError::Unexplained { .. } => RefusalCode::Unsupported,
        PredictError::Memory { .. } => RefusalCode::TooLarge,
        PredictError::Deadline => RefusalCode::DeadlineExceeded,
        PredictError::Unavailable { .. } => RefusalCode::ModelUnavailable,
    })
}

/// A request with the model's whole answer.
#[derive(Debug)]
pub struct Predicted {
    case: Box<Case>,
    inputs: Vec<Tensor>,
    outcome: Result<Vec<Tensor>, Refusal>,
}

impl Predicted {
    /// Cuts the answer down to what the permit gives, puts it into the protocol's words, and
    /// makes the record that says so.
    pub fn review(self) -> Withheld {
        let Self { mut case, inputs, outcome } = self;
        let outputs = match outcome {
            Ok(outputs) if !case.is_late() => outputs,
            Ok(_) => {
                let late = Refusal::new(RefusalCode::DeadlineExceeded);
                return case.refuse(late, Some(&inputs));
            }
            Err(refusal) => return case.refuse(refusal, Some(&inputs)),
        };
        case.keep_outputs(outputs);
        let looked = catch_unwind(AssertUnwindSafe(|| case.judge_answer(watched::after)));
        let obligations = match looked {
            Ok(Some((verdict, retry_after_s))) if Verdict::Degrade < verdict => {
                return case.refuse(watched::refusal(verdict, retry_after_s), Some(&inputs));
            }
            // What is degraded looks like any answer under an obligation to give labels only.
            Ok(Some((Verdict::Degrade, _))) => {
                Cow::Owned(Obligations { label_only: true, ..case.obligations().clone() })
            }
            Ok(_) => Cow::Borrowed(case.obligations()),
            Err(_) => return case.refuse(Refusal::new(RefusalCode::Internal), Some(&inputs)),
        };
        let role = |name: &str| case.model_of().role(name);
        let given = disclose(case.outputs(), &obligations, case.wanted(), role);
        if given.is_empty() {
            let detail = "the credential does not cover any of the wanted outputs";
            let refusal = Refusal::new(RefusalCode::Forbidden).because(detail);
            return case.refuse(refusal, Some(&inputs));
        }
        let model = case.model_of().clone();
        let answer = Answer {
            model: model.name(),
            version: model.version(),
            contract: model.contract(),
            id: case.protocol_id(),
            outputs: &given,
            obligations: &obligations,
        };
        let protocol = case.protocol();
        let rendered = catch_unwind(AssertUnwindSafe(|| protocol.answer(&answer)))
            .unwrap_or_else(|_| Err(Refusal::new(RefusalCode::Internal)));
        match rendered {
            Ok(rendered) => case.finish(Outcome::Answered(rendered), Some(&inputs)),
            Err(refusal) => case.refuse(refusal, Some(&inputs)),
        }
    }
}

/// A finished reply or refusal that nobody may see yet, and the record that says so.
#[derive(Debug)]
pub struct Withheld(pub(crate) Box<Held>);

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) reply: Reply,
    pub(crate) leaf_hash: [u8; 32],
    /// `None` once taken, or where it could not be sealed.
    pub(crate) entry: Option<Entry>,
    pub(crate) whom: Whom,
    pub(crate) listener: &'static str,
}

impl Withheld {
    /// The record, to be appended; `None` where it could not be made or was taken before: then
    /// there is nothing to release for.
    pub fn take_entry(&mut self) -> Option<Entry> {
        self.0.entry.take()
    }

    /// Why the request is refused, if it is.
    pub fn refusal(&self) -> Option<RefusalCode> {
        self.0.reply.refusal.as_ref().map(|refusal| refusal.code)
    }

    /// The decision's id.
    pub fn id(&self) -> DecisionId {
        self.0.reply.decision
    }

    /// The refusal alone, to be folded under `tally` instead of recorded.
    ///
    /// # Errors
    /// Gives the whole back where it is an answer, which is never folded.
    pub fn fold(self, tally: DecisionId) -> Result<Refusal, Self> {
        let mut held = self.0;
        match held.reply.refusal.take() {
            Some(refusal) => Ok(Refusal { decision: Some(tally), ..refusal }),
            None => Err(Self(held)),
        }
    }

    /// The principal that is answered.
    pub fn whom(&self) -> Whom {
        self.0.whom
    }

    /// What it is folded by where it is a refusal beyond the principal's own count.
    pub fn fold_key(&self) -> Option<FoldKey> {
        let code = self.refusal()?;
        Some(FoldKey { listener: self.0.listener, code, reason: "", whom: self.0.whom })
    }

    /// The reply, for the receipt of its record.
    ///
    /// # Errors
    /// [`Unrecorded`] where the receipt is for another leaf (D2).
    pub fn release(self, receipt: Receipt) -> Result<Reply, Unrecorded> {
        if receipt.leaf_hash != self.0.leaf_hash {
            return Err(Unrecorded);
        }
        Ok(Reply { receipt: Some(receipt), ..self.0.reply })
    }
}

/// A decision has no record, so that nothing of it may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decision is not recorded")]
pub struct Unrecorded;

/// What the caller is told.
#[derive(Debug)]
pub struct Reply {
    pub(crate) decision: DecisionId,
    pub(crate) model: Option<ModelVersion>,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) receipt: Option<Receipt>,
    pub(crate) rendered: Rendered,
}

impl Reply {
    /// The decision's id.
    pub fn decision(&self) -> DecisionId {
        self.decision
    }

    /// The version that answered, where one did.
    pub fn version(&self) -> Option<ModelVersion> {
        self.model
    }

    /// Tells `value` under `name` as well: what came to be known after the record was made.
    pub fn tell_also(&mut self, name: &'static str, value: impl Into<Box<str>>) {
        self.rendered.head.push((name, value.into()));
    }

    /// Why there is no answer, if there is none.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// The receipt of its record.
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }

    /// The body in the protocol's words.
    pub fn into_body(self) -> Vec<u8> {
        self.rendered.body
    }

    /// The body, and what the head of the response must say for it.
    pub fn into_rendered(self) -> Rendered {
        self.rendered
    }
}

#[cfg(test)]
mod tests;
