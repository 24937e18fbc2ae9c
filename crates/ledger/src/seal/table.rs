//! The keys in memory: what seals and opens, and what is yet to be written into its slot.

use std::collections::{BTreeMap, HashMap};

use bartizan_core::clock::{NS_PER_S, Rfc3339, S_PER_DAY};
use bartizan_core::principal::Pseudonym;
use ring::hmac;
use zeroize::Zeroizing;

/// Most keys of subjects at one time: 128 MiB of slots.
pub(super) const SUBJECT_KEYS_MAX: usize = 1 << 20;
/// Bytes of a keyed hash that make a name.
const NAME_BYTES: usize = 16;
const ROOT_LABEL: &[u8] = b"bartizan subject root 2";
const TAG_LABEL: &[u8] = b"bartizan slot tag 2";
const SUBJECT_LABEL: &[u8] = b"bartizan subject 2";

pub(super) type Key = Zeroizing<[u8; 32]>;

/// One subject's key of one month.
pub(super) struct SubjectKey {
    pub(super) key: Key,
    /// Months since year 0.
    pub(super) month: u32,
    /// By which it is found.
    pub(super) tag: [u8; NAME_BYTES],
}

/// All of them.
pub(super) struct Table {
    pub(super) pepper: Key,
    /// Finds the keys of a subject; never used for anything that leaves the key store.
    pub(super) index_key: Key,
    pub(super) days: BTreeMap<u32, Key>,
    subjects: HashMap<Pseudonym, SubjectKey>,
    tags: HashMap<[u8; NAME_BYTES], Pseudonym>,
    /// Made and not yet in a slot.
    pub(super) new: Vec<Pseudonym>,
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

fn name(full: [u8; 32]) -> [u8; NAME_BYTES] {
    let mut name = [0; NAME_BYTES];
    name.copy_from_slice(&full[..NAME_BYTES]);
    name
}

/// The tag of a subject's key of `month`, given the subject's root.
pub(super) fn tag(root: &[u8; 32], month: u32) -> [u8; NAME_BYTES] {
    name(mac(root, &[TAG_LABEL, &month.to_le_bytes()]))
}

/// What stands for a subject in the records of a month: it comes from the very key that seals
/// them, so that it means nothing once the key is gone.
pub(super) fn pseudonym(key: &[u8; 32]) -> Pseudonym {
    Pseudonym(name(mac(key, &[SUBJECT_LABEL])))
}

/// Months since year 0 of the month that `day` (since the Unix epoch) lies in.
pub(super) fn month_of(day: u32) -> u32 {
    let text = Rfc3339(u64::from(day) * S_PER_DAY * NS_PER_S).to_string();
    let part = |from: usize, to: usize| -> u32 {
        text.get(from..to).and_then(|digits| digits.parse().ok()).unwrap_or(0)
    };
    part(0, 4) * 12 + part(5, 7).saturating_sub(1)
}

/// A month as people write it.
pub(super) fn month_text(month: u32) -> String {
    format!("{:04}-{:02}", month / 12, month % 12 + 1)
}

impl Table {
    pub(super) fn new(pepper: Key, index_key: Key) -> Self {
        Self {
            pepper,
            index_key,
            days: BTreeMap::new(),
            subjects: HashMap::new(),
            tags: HashMap::new(),
            new: Vec::new(),
        }
    }

    /// What all keys of `subject` are found by, past and future; it does not tell the name.
    pub(super) fn root(&self, subject: &str) -> Key {
        Zeroizing::new(mac(&self.index_key, &[ROOT_LABEL, subject.as_bytes()]))
    }

    pub(super) fn insert(&mut self, key: SubjectKey) -> Pseudonym {
        let pseudonym = pseudonym(&key.key);
        self.tags.insert(key.tag, pseudonym);
        self.subjects.insert(pseudonym, key);
        pseudonym
    }

    pub(super) fn remove(&mut self, pseudonym: Pseudonym) {
        if let Some(key) = self.subjects.remove(&pseudonym) {
            // Its month may have a newer key by now.
            if self.tags.get(&key.tag) == Some(&pseudonym) {
                self.tags.remove(&key.tag);
            }
        }
        self.new.retain(|new| *new != pseudonym);
    }

    pub(super) fn subject(&self, pseudonym: Pseudonym) -> Option<&SubjectKey> {
        self.subjects.get(&pseudonym)
    }

    pub(super) fn by_tag(&self, tag: &[u8; NAME_BYTES]) -> Option<(Pseudonym, &SubjectKey)> {
        let pseudonym = *self.tags.get(tag)?;
        Some((pseudonym, self.subjects.get(&pseudonym)?))
    }

    pub(super) fn n_subjects(&self) -> usize {
        self.subjects.len()
    }

    /// All keys of subjects, by pseudonym, so that they are written in one order.
    pub(super) fn subjects(&self) -> BTreeMap<Pseudonym, &SubjectKey> {
        self.subjects.iter().map(|(pseudonym, key)| (*pseudonym, key)).collect()
    }

    /// The keys of the subject with this root, whatever their month. One keyed hash a month.
    pub(super) fn of_root(&self, root: &[u8; 32]) -> Vec<Pseudonym> {
        let mut months: Vec<u32> = self.subjects.values().map(|key| key.month).collect();
        months.sort_unstable();
        months.dedup();
        let found = months.iter().filter_map(|month| Some(self.by_tag(&tag(root, *month))?.0));
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_lies_in_its_month() {
        for (day, text) in [(0, "1970-01"), (20_782, "2026-11"), (20_787, "2026-11")] {
            assert_eq!(month_text(month_of(day)), text);
        }
        assert_eq!(month_text(month_of(20_788)), "2026-12");
        assert_eq!(month_of(20_819), month_of(20_788) + 1, "January follows December");
    }
}
