//! How sure a record must be before its answer leaves: durable, published, witnessed.
//!
//! Invariants
//! - A1: an answer of a model that asks for more than `durable` leaves only with a checkpoint that
//!   covers its record (and for `witnessed` meets the quorum of the policy), or not at all: what
//!   is not assured within the request's deadline is a 503, and the record stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bartizan_ledger::tlog::{Hash, Note, TlogProof, base64};
use bartizan_ledger::{Publication, Published, Receipt};
use tokio::sync::{oneshot, watch};

/// Longest `bartizan-proof` header, in bytes: what common clients and proxies take as one line.
const PROOF_BYTES_MAX: usize = 8_000;
/// Signatures longer than this (ML-DSA-44's 2,420 bytes) are left out of a proof that would be
/// too long with them.
const SHORT_SIGNATURE_BYTES_MAX: usize = 256;

/// What an answer waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AckLevel {
    /// The record is on disk.
    #[default]
    Durable,
    /// A signed checkpoint covers it.
    Published,
    /// Witnesses cosigned that checkpoint; the answer carries the proof.
    Witnessed,
}

/// The hashes that lead from record `.0` to the root of the tree of `.1` records; `None` where
/// they cannot be read. Blocks for a few reads.
pub type Prove = Arc<dyn Fn(u64, u64) -> Option<Vec<Hash>> + Send + Sync>;

/// Where assurance comes from.
pub struct Assurance {
    /// The level of models that have none of their own.
    pub default: AckLevel,
    /// Levels of models, by name.
    pub models: BTreeMap<String, AckLevel>,
    /// What was published.
    pub publication: Publication,
    /// The newest checkpoint that met the quorum, where witnesses are configured.
    pub witnessed: Option<watch::Receiver<Option<Arc<Published>>>>,
    /// Makes inclusion proofs.
    pub prove: Prove,
}

impl Assurance {
    /// What answers of `model` wait for.
    pub(crate) fn level_of(&self, model: &str) -> AckLevel {
        self.models.get(model).copied().unwrap_or(self.default)
    }

    /// Waits until the record of `receipt` is as sure as `level` asks, for at most `wait_max`;
    /// gives the value of the proof's header, if the level asks for one. `None` where it did not
    /// become so.
    pub(crate) async fn wait(
        &self,
        level: AckLevel,
        receipt: &Receipt,
        wait_max: Duration,
    ) -> Option<Option<String>> {
        let waiting = async {
            match level {
                AckLevel::Durable => Some(None),
                AckLevel::Published => self.published(receipt.index).await.map(|_| None),
                AckLevel::Witnessed => {
                    let good = self.cosigned(receipt.index).await?;
                    Some(Some(self.proof(receipt, &good).await?))
                }
            }
        };
        tokio::time::timeout(wait_max, waiting).await.ok().flatten()
    }

    async fn published(&self, index: u64) -> Option<Arc<Published>> {
        let (tell, told) = oneshot::channel();
        let note = move |published| {
            // Whoever waited may have gone.
            let _unheard = tell.send(published);
        };
        self.publication.when_covers(index, Box::new(note));
        told.await.ok().flatten()
    }

    async fn cosigned(&self, index: u64) -> Option<Arc<Published>> {
        let mut witnessed = self.witnessed.clone()?;
        let covers =
            |known: &Option<Arc<Published>>| known.as_ref().is_some_and(|good| index < good.size);
        witnessed.wait_for(covers).await.ok().and_then(|good| good.clone())
    }

    async fn proof(&self, receipt: &Receipt, good: &Arc<Published>) -> Option<String> {
        let (prove, index, size) = (self.prove.clone(), receipt.index, good.size);
        let made = tokio::task::spawn_blocking(move || prove(index, size)).await;
        let hashes = made.ok().flatten()?;
        let proof = TlogProof { extra: None, index, hashes, checkpoint: good.note.clone() };
        // A proof that does not prove would be worse than none.
        proof.verify(&receipt.leaf_hash).ok()?;
        let value = header_value(&proof);
        if value.len() <= PROOF_BYTES_MAX {
            return Some(value);
        }
        let value = header_value(&TlogProof { checkpoint: shorter(&good.note)?, ..proof });
        (value.len() <= PROOF_BYTES_MAX).then_some(value)
    }
}

/// A byte sequence of RFC 8941: the text of the proof in base 64 between colons.
fn header_value(proof: &TlogProof) -> String {
    format!(":{}:", base64::encode(proof.to_string().as_bytes()))
}

/// The note without its long signatures.
fn shorter(note: &str) -> Option<String> {
    let mut note = Note::parse(note.as_bytes()).ok()?;
    note.signatures.retain(|line| line.signature.len() <= SHORT_SIGNATURE_BYTES_MAX);
    Some(note.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_ledger::leaf_hash;
    use bartizan_ledger::tlog::{Checkpoint, node_hash};

    /// Long enough that only a failing test meets it.
    const AMPLE: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(30);

    fn published(size: u64, root: Hash) -> Published {
        let text = Checkpoint { origin: "log", size, root, extensions: Vec::new() }.to_string();
        let line = format!("\u{2014} log {}\n", base64::encode(&[7; 68]));
        Published { size, root, time_s: 0, note: format!("{text}\n{line}") }
    }

    fn receipt(index: u64) -> Receipt {
        Receipt { origin: "log".into(), index, leaf_hash: leaf_hash(&[index as u8]) }
    }

    /// A1: nothing is assured before a checkpoint covers the record and, where that is asked,
    /// witnesses cosigned it; then the proof is one.
    #[tokio::test]
    async fn an_answer_waits_for_what_its_model_asks_for() {
        let root = node_hash(&leaf_hash(&[0]), &leaf_hash(&[1]));
        let (tell, told) = watch::channel(None);
        let publication = Publication::default();
        let mut assurance = Assurance {
            default: AckLevel::Durable,
            models: [("m".to_owned(), AckLevel::Witnessed)].into(),
            publication: publication.clone(),
            witnessed: Some(told),
            prove: Arc::new(|index, _| Some(vec![leaf_hash(&[1 - index as u8])])),
        };
        assert_eq!(assurance.level_of("m"), AckLevel::Witnessed);
        assert_eq!(assurance.level_of("other"), AckLevel::Durable);
        let one = receipt(1);
        assert_eq!(assurance.wait(AckLevel::Durable, &one, SHORT).await, Some(None));
        publication.tell_by_hand(published(1, leaf_hash(&[0])));
        assert_eq!(assurance.wait(AckLevel::Published, &one, SHORT).await, None);
        publication.tell_by_hand(published(2, root));
        assert_eq!(assurance.wait(AckLevel::Published, &one, AMPLE).await, Some(None));
        assert_eq!(assurance.wait(AckLevel::Witnessed, &one, SHORT).await, None);
        tell.send(Some(Arc::new(published(1, leaf_hash(&[0]))))).unwrap();
        assert_eq!(assurance.wait(AckLevel::Witnessed, &one, SHORT).await, None);
        tell.send(Some(Arc::new(published(2, root)))).unwrap();
        let value = assurance.wait(AckLevel::Witnessed, &one, AMPLE).await.unwrap().unwrap();
        let text = base64::decode(value.trim_matches(':')).unwrap();
        assert!(TlogProof::parse(&text).unwrap().verify(&one.leaf_hash).is_ok());
        let other = Receipt { leaf_hash: [0; 32], ..receipt(1) };
        assert_eq!(assurance.wait(AckLevel::Witnessed, &other, AMPLE).await, None, "no proof");
        assurance.witnessed = None;
        assert_eq!(assurance.wait(AckLevel::Witnessed, &one, AMPLE).await, None);
    }

    /// A proof that would be too long as a header goes without its long signatures.
    #[test]
    fn long_signatures_are_left_out_where_the_header_would_be_too_long() {
        let long = format!("\u{2014} log {}\n", base64::encode(&[7; 2_428]));
        let note = published(2, [0; 32]).note;
        let short = shorter(&(note.clone() + &long.repeat(3))).unwrap();
        assert_eq!(short, note);
    }
}
