//! Asking a witness to cosign (C2SP `tlog-witness`, `add-checkpoint`).
//!
//! Invariants
//! - W1: a cosignature is passed on only if it verifies by the witness's key over this very
//!   checkpoint and its time is not far ahead of ours;
//! - W2: a witness that knows more of the log than we do, or another tree, is told of as that
//!   ([`WitnessFault::is_alarm`]) and never mistaken for one that is slow.

use std::sync::Arc;

use bartizan_ledger::tlog::{Hash, Note, SignatureLine, VerifierKey};
use bartizan_ledger::witness::AddCheckpoint;
use bytes::Bytes;
use hyper::Uri;
use hyper::http::{Request, Response};

use crate::https::{HttpsClient, HttpsError};

/// Times that a witness is told its own newest size in one go, at most: it may have cosigned for
/// another of our processes meanwhile.
const ROUNDS_MAX: usize = 3;
/// How far ahead of our clock a cosignature's time may be, in seconds.
const AHEAD_S_MAX: u64 = 300;
/// Most signature lines of an answer that are looked at.
const LINES_MAX: usize = 16;
/// Longest size in a 409's body, in bytes: 20 digits and a line feed.
const SIZE_BYTES_MAX: usize = 21;

/// A checkpoint to be cosigned.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its entries.
    pub size: u64,
    /// The signed note.
    pub note: &'a str,
}

/// Proof that the tree of `.0` entries is the beginning of that of `.1`; `None` where it cannot
/// be made. May block for a few reads of the disk.
pub type Prove = Arc<dyn Fn(u64, u64) -> Option<Vec<Hash>> + Send + Sync>;

/// Why a witness did not cosign.
#[derive(Debug, thiserror::Error)]
pub enum WitnessFault {
    /// Its address is none.
    #[error("`{url}` is no address of a witness; write `https://host[:port]/prefix`")]
    Url {
        /// What was given.
        url: String,
    },
    /// It was not reached, or did not answer.
    #[error(transparent)]
    Https(#[from] HttpsError),
    /// 403.
    #[error(
        "the witness does not trust the log's key; have its operator add the log's verifier key"
    )]
    Unsigned,
    /// 404.
    #[error("the witness does not know the log; have its operator add the log's verifier key")]
    UnknownLog,
    /// Any other status.
    #[error("the witness answered with status {status}; look at its log")]
    Status {
        /// The status.
        status: u16,
    },
    /// An answer that `tlog-witness` does not have.
    #[error("the witness's answer is not one of `tlog-witness`: {why}")]
    Malformed {
        /// What is wrong.
        why: &'static str,
    },
    /// W1.
    #[error("the witness's cosignature does not verify by its key; check the key in the policy")]
    Forged,
    /// W1.
    #[error("the witness's cosignature is of {ahead_s} s in the future; check both clocks")]
    Ahead {
        /// How far.
        ahead_s: u64,
    },
    /// W2: our store was rolled back, or another process writes the same log.
    #[error(
        "the witness has cosigned {seen} entries of this log, which has {ours}: the store was rolled back, or another process writes this log; stop it, and compare the two with `bartizan ledger verify`"
    )]
    Behind {
        /// What the witness has seen.
        seen: u64,
        /// What we have.
        ours: u64,
    },
    /// W2: two trees.
    #[error(
        "the witness has cosigned another tree of {size} entries of this log: there are two histories; stop the log and compare them"
    )]
    Fork {
        /// Where they differ at the latest.
        size: u64,
    },
    /// The proof could not be made here.
    #[error(
        "no consistency proof from {old} to {size} entries can be made; `bartizan ledger verify` says what is damaged"
    )]
    Proof {
        /// From.
        old: u64,
        /// To.
        size: u64,
    },
}

impl WitnessFault {
    /// W2: whether it says that the log has been rolled back or forked.
    pub fn is_alarm(&self) -> bool {
        matches!(self, Self::Behind { .. } | Self::Fork { .. })
    }
}

/// One witness as a log sees it.
#[derive(Debug)]
pub struct WitnessClient {
    https: HttpsClient,
    endpoint: Uri,
    key: VerifierKey,
    /// The newest size that it is known to have cosigned.
    seen: u64,
}

impl WitnessClient {
    /// The witness with the submission prefix `url`, whose cosignatures verify by `key`.
    ///
    /// # Errors
    /// [`WitnessFault::Url`].
    pub fn new(https: HttpsClient, url: &str, key: VerifierKey) -> Result<Self, WitnessFault> {
        let text = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        let endpoint = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
        let endpoint = endpoint.ok_or_else(|| WitnessFault::Url { url: url.to_owned() })?;
        Ok(Self { https, endpoint, key, seen: 0 })
    }

    /// The key that its cosignatures verify by.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Has the checkpoint cosigned; `now_s` is seconds since the Unix epoch.
    ///
    /// # Errors
    /// [`WitnessFault`].
    pub async fn cosign(
        &mut self,
        asked: Asked<'_>,
        prove: &Prove,
        now_s: u64,
    ) -> Result<Vec<SignatureLine>, WitnessFault> {
        for _ in 0..ROUNDS_MAX {
            let old = self.seen;
            let proof = self.proof(old, asked.size, prove).await?;
            let request = AddCheckpoint { old_size: old, proof, checkpoint: asked.note.to_owned() };
            let response = self.post(&request).await?;
            match response.status().as_u16() {
                200 => {
                    let lines = self.lines(&response, asked.note, now_s)?;
                    self.seen = asked.size;
                    return Ok(lines);
                }
                409 => match size_of(&response)? {
                    seen if asked.size < seen => {
                        return Err(WitnessFault::Behind { seen, ours: asked.size });
                    }
                    seen if seen == old && seen == asked.size => {
                        return Err(WitnessFault::Fork { size: seen });
                    }
                    seen if seen == old => {
                        return Err(WitnessFault::Malformed { why: "409 for its own size" });
                    }
                    seen => self.seen = seen,
                },
                422 => return Err(WitnessFault::Fork { size: old }),
                403 => return Err(WitnessFault::Unsigned),
                404 => return Err(WitnessFault::UnknownLog),
                status => return Err(WitnessFault::Status { status }),
            }
        }
        Err(WitnessFault::Malformed { why: "another size each time" })
    }

    /// The newest size of this log that the witness has cosigned, asked with a signed checkpoint
    /// of no entries, which continues nothing and rolls nothing back.
    ///
    /// # Errors
    /// [`WitnessFault`].
    pub async fn newest(&self, empty_note: &str) -> Result<u64, WitnessFault> {
        let checkpoint = empty_note.to_owned();
        let request = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint };
        let response = self.post(&request).await?;
        match response.status().as_u16() {
            200 => Ok(0),
            409 => size_of(&response),
            403 => Err(WitnessFault::Unsigned),
            404 => Err(WitnessFault::UnknownLog),
            status => Err(WitnessFault::Status { status }),
        }
    }

    async fn proof(&self, old: u64, size: u64, prove: &Prove) -> Result<Vec<Hash>, WitnessFault> {
        if old == 0 || size <= old {
            return Ok(Vec::new());
        }
        let prove = prove.clone();
        let made = tokio::task::spawn_blocking(move || prove(old, size)).await;
        made.ok().flatten().ok_or(WitnessFault::Proof { old, size })
    }

    async fn post(&self, request: &AddCheckpoint) -> Result<Response<Bytes>, WitnessFault> {
        let body = Bytes::from(request.to_string());
        let request = Request::post(&self.endpoint).body(body);
        let request = request.map_err(|_| WitnessFault::Malformed { why: "no request" })?;
        Ok(self.https.send(request).await?)
    }

    /// W1: the lines of our witness, each checked; there must be one. Lines of other keys are
    /// left out.
    fn lines(
        &self,
        response: &Response<Bytes>,
        note: &str,
        now_s: u64,
    ) -> Result<Vec<SignatureLine>, WitnessFault> {
        let malformed = |why| WitnessFault::Malformed { why };
        let text = std::str::from_utf8(response.body()).map_err(|_| malformed("no text"))?;
        let note = Note::parse(note.as_bytes()).map_err(|_| malformed("no note of ours"))?;
        let mut ours = Vec::new();
        for line in text.lines().take(LINES_MAX) {
            let line = SignatureLine::parse(line).ok_or(malformed("a line is no signature"))?;
            if line.is_of(&self.key) {
                let time_s = self.key.verify(note.text, &line.signature);
                let time_s = time_s.ok_or(WitnessFault::Forged)?;
                let ahead_s = time_s.saturating_sub(now_s);
                if AHEAD_S_MAX < ahead_s {
                    return Err(WitnessFault::Ahead { ahead_s });
                }
                ours.push(line);
            }
        }
        if ours.is_empty() { Err(malformed("no cosignature by its key")) } else { Ok(ours) }
    }
}

fn size_of(response: &Response<Bytes>) -> Result<u64, WitnessFault> {
    let size = response
        .body()
        .get(..response.body().len().min(SIZE_BYTES_MAX))
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .map(|text| text.strip_suffix('\n').unwrap_or(text))
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    size.ok_or(WitnessFault::Malformed { why: "409 without a size" })
}

#[cfg(test)]
mod tests;
