//! The guard's two looks at a request: before the model and after it.

use bartizan_core::contract::Role;
use bartizan_core::{Findings, Refusal, RefusalCode, Tensor, Verdict};
use bartizan_guard::{Answers, Asker, Judgement};

use crate::case::Case;
use crate::model::Model;

/// Judges `inputs`, which keep the contract; nothing where the model is not watched.
pub(crate) fn before(case: &Case, inputs: &[Tensor], findings: &mut Findings) -> Option<Judgement> {
    let model = case.model_of();
    let watch = model.watch()?;
    let now_s = case.at().unix_s();
    Some(watch.guard.before(&asker(case, model), inputs, now_s, findings))
}

/// Judges the model's whole answer, before anything of it is withheld.
pub(crate) fn after(case: &Case, judgement: &mut Judgement, findings: &mut Findings) -> Verdict {
    let model = case.model_of();
    let Some(watch) = model.watch() else { return judgement.verdict };
    let of_role =
        |role: Role| case.outputs().iter().find(|output| model.role(output.name()) == Some(role));
    let scores = of_role(Role::Probabilities).or_else(|| of_role(Role::Scores));
    let answers = Answers { label: of_role(Role::Label), scores };
    watch.guard.after(judgement, &asker(case, model), answers, findings)
}

fn asker<'a>(case: &'a Case, model: &Model) -> Asker<'a> {
    let principal = case.principal();
    let channels = model.watch().map(|watch| &watch.channels);
    Asker {
        principal: principal.pseudonym.0,
        end_user: case.end_user(),
        is_channel: channels.is_some_and(|names| names.contains(principal.name.as_str())),
    }
}

/// What a caller is told for a verdict that is not answered; never which guard it was.
pub(crate) fn refusal(verdict: Verdict, retry_after_s: Option<u32>) -> Refusal {
    let mut refusal = Refusal::new(match verdict {
        Verdict::Throttle => RefusalCode::Throttled,
        Verdict::Allow
        | Verdict::Flag
        | Verdict::Degrade
        | Verdict::Block
        | Verdict::Quarantine => RefusalCode::Forbidden,
    });
    refusal.retry_after_s = retry_after_s;
    refusal
}
