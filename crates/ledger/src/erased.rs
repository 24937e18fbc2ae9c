//! What the log itself says about keys that are gone.

use std::collections::{HashMap, HashSet};

use bartizan_core::principal::Pseudonym;

use crate::record::{Act, ActKind, Outcome};

/// Erasures as their records tell them, and payloads that lack their key.
///
/// What an erasure destroys is listed when it begins; it counts once a record says that it was
/// done. That record lists what was found later, too.
#[derive(Debug, Default)]
pub struct Erasures {
    begun: HashMap<String, Vec<Pseudonym>>,
    erased: HashSet<Pseudonym>,
    missing: HashMap<Pseudonym, u64>,
}

impl Erasures {
    /// Takes in an act of the log; acts come in the log's order.
    pub fn note(&mut self, act: &Act<'_>) {
        let id = act.resource.as_deref().unwrap_or_default();
        match (act.kind, act.outcome) {
            (ActKind::ErasureBegun, _) => {
                self.begun.entry(id.to_owned()).or_default().extend(&act.keys);
            }
            (ActKind::Erased | ActKind::Pruned, Outcome::Done) => {
                self.erased.extend(self.begun.remove(id).into_iter().flatten());
                self.erased.extend(&act.keys);
            }
            _ => {}
        }
    }

    /// Whether the key of `subject` was destroyed, by the records noted so far.
    pub fn has(&self, subject: Pseudonym) -> bool {
        self.erased.contains(&subject)
    }

    /// Counts a payload whose key is not there.
    pub(crate) fn missing(&mut self, subject: Pseudonym) {
        *self.missing.entry(subject).or_default() += 1;
    }

    /// Payloads that lack their key because of an erasure on record.
    pub(crate) fn n_explained(&self) -> u64 {
        let explained = self.missing.iter().filter(|(subject, _)| self.has(**subject));
        explained.map(|(_, n)| n).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(kind: ActKind, id: &'static str, key: u8) -> Act<'static> {
        Act { resource: Some(id.into()), keys: vec![Pseudonym([key; 16])], ..Act::new(kind) }
    }

    /// Begun is not done, and one erasure's end is not another's.
    #[test]
    fn only_an_erasure_that_was_done_explains_a_missing_key() {
        let mut erasures = Erasures::default();
        for key in [1, 1, 2, 3] {
            erasures.missing(Pseudonym([key; 16]));
        }
        erasures.note(&act(ActKind::ErasureBegun, "a", 1));
        erasures.note(&act(ActKind::ErasureBegun, "b", 2));
        assert_eq!(erasures.n_explained(), 0);
        erasures.note(&act(ActKind::Erased, "a", 9));
        assert_eq!(erasures.n_explained(), 2);
        assert!(erasures.has(Pseudonym([9; 16])) && !erasures.has(Pseudonym([2; 16])));
    }
}
