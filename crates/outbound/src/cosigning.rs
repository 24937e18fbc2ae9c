//! Having every checkpoint cosigned by the witnesses of a policy.
//!
//! Each witness is asked by a task of its own, one request at a time, always for the newest
//! checkpoint that is to be cosigned; so one that stalls, lies or is down holds up no other, and
//! one that is slow cosigns some of what the fast ones do.
//!
//! Invariants
//! - C1: a checkpoint is told of as witnessed only if the policy's quorum is met by cosignatures
//!   that were verified.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Clock;
use bartizan_ledger::tlog::{Note, Policy, Quorum, SignatureLine};
use bartizan_ledger::{Publication, Published};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::witness::{Asked, Prove, WitnessClient, WitnessFault};

/// Time between two checkpoints that witnesses are asked for.
const ROUND: Duration = Duration::from_millis(200);
/// First wait after a fault; it doubles with each further one.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// Longest wait after a fault.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// Checkpoints whose cosignatures are collected at one time.
const OPEN_MAX: usize = 64;
/// Answers of witnesses that wait to be counted.
const ANSWERS_MAX: usize = 256;

/// What a witness did, for the log of events.
#[derive(Debug)]
pub enum Heard<'a> {
    /// It cosigns again, after a fault or for the first time.
    Cosigns,
    /// It did not.
    Fault(&'a WitnessFault),
}

/// Hears what witnesses do, by name; called where something changed.
pub type Hear = Arc<dyn Fn(&str, &Heard<'_>) + Send + Sync>;

/// What is needed to have checkpoints cosigned.
pub struct Cosigning {
    /// Where checkpoints come from and cosignatures go.
    pub publication: Publication,
    /// Whose cosignatures are enough.
    pub policy: Policy,
    /// Name and client of each witness.
    pub witnesses: Vec<(String, WitnessClient)>,
    /// Makes consistency proofs.
    pub prove: Prove,
    /// Tells how far ahead a cosignature is.
    pub clock: Arc<dyn Clock>,
    /// Hears of faults.
    pub hear: Hear,
}

/// The newest checkpoint that met the quorum, with its cosignatures in the note.
pub type Witnessed = Option<Arc<Published>>;

type Answer = (u64, Vec<SignatureLine>);

impl Cosigning {
    /// Runs until `stop` changes; `witnessed` is told of every checkpoint that meets the quorum.
    pub async fn run(self, witnessed: watch::Sender<Witnessed>, mut stop: watch::Receiver<bool>) {
        let Self { publication, policy, witnesses, prove, clock, hear } = self;
        let (target, targets) = watch::channel(None::<Arc<Published>>);
        let (told, mut answers) = mpsc::channel::<Answer>(ANSWERS_MAX);
        let mut asking = JoinSet::new();
        for (name, client) in witnesses {
            let one = Asking {
                name,
                client,
                prove: prove.clone(),
                clock: clock.clone(),
                hear: hear.clone(),
                told: told.clone(),
            };
            asking.spawn(one.run(targets.clone()));
        }
        let mut count = Count { open: BTreeMap::new(), policy };
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.changed() => return,
                _ = round.tick() => {
                    let Some(newest) = publication.newest() else { continue };
                    if count.begin(&newest) {
                        target.send_replace(Some(newest));
                    }
                }
                answer = answers.recv() => {
                    let Some((size, lines)) = answer else { continue };
                    publication.add_cosignatures(size, lines.clone());
                    if let Some(good) = count.add(size, lines) {
                        witnessed.send_if_modified(|known| {
                            let is_newer = known.as_ref().is_none_or(|k| k.size < good.size);
                            if is_newer {
                                *known = Some(good);
                            }
                            is_newer
                        });
                    }
                }
            }
        }
    }
}

/// Cosignatures by checkpoint.
struct Count {
    open: BTreeMap<u64, (Arc<Published>, Vec<SignatureLine>)>,
    policy: Policy,
}

impl Count {
    /// Begins to collect for `newest`; false where that was begun before.
    fn begin(&mut self, newest: &Arc<Published>) -> bool {
        if self.open.keys().next_back().is_some_and(|last| newest.size <= *last) {
            return false;
        }
        if self.open.len() == OPEN_MAX {
            self.open.pop_first();
        }
        self.open.insert(newest.size, (newest.clone(), Vec::new()));
        true
    }

    /// Adds verified cosignatures of the checkpoint of `size` entries; gives it with all of them
    /// where they are enough (C1).
    fn add(&mut self, size: u64, lines: Vec<SignatureLine>) -> Option<Arc<Published>> {
        let (published, collected) = self.open.get_mut(&size)?;
        collected.extend(lines);
        let mut whole = published.note.clone();
        collected.iter().for_each(|line| whole.push_str(&line.to_string()));
        let note = Note::parse(whole.as_bytes()).ok()?;
        let judged = self.policy.judge(&note).ok()?;
        let is_met = match judged.quorum {
            Quorum::Met | Quorum::MetByOwn => judged.forged.is_empty(),
            Quorum::None | Quorum::Missed => false,
        };
        is_met.then(|| Arc::new(Published { note: whole, ..(**published).clone() }))
    }
}

/// One witness and what it is asked with.
struct Asking {
    name: String,
    client: WitnessClient,
    prove: Prove,
    clock: Arc<dyn Clock>,
    hear: Hear,
    told: mpsc::Sender<Answer>,
}

impl Asking {
    async fn run(mut self, mut targets: watch::Receiver<Option<Arc<Published>>>) {
        let mut n_faults = 0_u32;
        let mut cosigns = false;
        // The sender goes when the whole ends.
        while targets.changed().await.is_ok() {
            let Some(target) = targets.borrow_and_update().clone() else { continue };
            let asked = Asked { size: target.size, note: &target.note };
            let now_s = self.clock.now().unix_s();
            match self.client.cosign(asked, &self.prove, now_s).await {
                Ok(lines) => {
                    if !cosigns {
                        (self.hear)(&self.name, &Heard::Cosigns);
                    }
                    (cosigns, n_faults) = (true, 0);
                    if self.told.send((target.size, lines)).await.is_err() {
                        return;
                    }
                }
                Err(fault) => {
                    // Once when it begins, then with every alarm.
                    if cosigns || n_faults == 0 || fault.is_alarm() {
                        (self.hear)(&self.name, &Heard::Fault(&fault));
                    }
                    cosigns = false;
                    let wait = BACK_OFF_MIN.saturating_mul(1 << n_faults.min(6)).min(BACK_OFF_MAX);
                    n_faults = n_faults.saturating_add(1);
                    tokio::time::sleep(wait).await;
                    // What was missed meanwhile is asked for at once, not at the next change.
                    targets.mark_changed();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
