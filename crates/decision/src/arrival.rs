//! What is known of a request before anything of it is judged.

use std::fmt;

use bartizan_access::Zone;
use bartizan_core::{
    Contract, DecisionId, Entropy, ModelName, ModelVersion, Obligations, Refusal, Stamp, Tensor,
};
use bartizan_ledger::{RecordSecret, TraceContext};
use bytes::Bytes;

/// The random bytes of one decision, drawn at once.
pub struct Chance {
    /// Makes the id unique.
    pub id: [u8; 10],
    /// Salts the commitments.
    pub secret: RecordSecret,
    /// Makes the sealed payload unique.
    pub nonce: [u8; 12],
}

impl Chance {
    /// Fresh ones, with one call of `entropy`.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 54];
        entropy.fill(&mut bytes);
        let (mut id, mut secret, mut nonce) = ([0; 10], [0; 32], [0; 12]);
        id.copy_from_slice(&bytes[..10]);
        secret.copy_from_slice(&bytes[10..42]);
        nonce.copy_from_slice(&bytes[42..]);
        Self { id, secret: secret.into(), nonce }
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What was received, as it came, and what must be known to read it again.
#[derive(Clone, Default)]
pub struct Received {
    /// The exact bytes.
    pub bytes: Bytes,
    /// What of the head the bytes are read by (`gzip`, `json=312`), in the server's own words and
    /// joined by `;`; empty where they stand for themselves.
    pub form: Box<str>,
}

impl From<Bytes> for Received {
    /// Bytes that stand for themselves.
    fn from(bytes: Bytes) -> Self {
        Self { bytes, form: Box::default() }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

/// A request that has come in.
#[derive(Debug)]
pub struct Arrival {
    /// When its head had been read.
    pub at: Stamp,
    /// Monotonic time in nanoseconds after which no answer is given any more.
    pub deadline_ns: u64,
    /// Its randomness.
    pub chance: Chance,
    /// The listener it came to.
    pub listener: &'static str,
    /// Where the other end lies.
    pub zone: Zone,
    /// Its route, in the server's own words.
    pub route: &'static str,
    /// The protocol that it speaks, and in which it is answered.
    pub protocol: &'static dyn Protocol,
    /// Whose trace it belongs to.
    pub trace_context: Option<TraceContext>,
}

impl Arrival {
    /// The id of the decision that it leads to.
    pub fn id(&self) -> DecisionId {
        DecisionId::new(self.at.wall_ns, self.chance.id)
    }
}

/// A model's answer, cut down to what the permit gives, to be put into a protocol's words.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The model that answered.
    pub model: &'a ModelName,
    /// Its version.
    pub version: ModelVersion,
    /// The caller's own id for the request.
    pub id: Option<&'a str>,
    /// What its answers mean.
    pub contract: &'a Contract,
    /// The outputs.
    pub outputs: &'a [Tensor],
    /// What was withheld from them.
    pub obligations: &'a Obligations,
}

/// An answer in a protocol's words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The body: what the record commits to.
    pub body: Vec<u8>,
    /// What the head of the response must say so that the body can be read, by name.
    pub head: Vec<(&'static str, Box<str>)>,
}

impl From<Vec<u8>> for Rendered {
    /// A body that needs no word in the head.
    fn from(body: Vec<u8>) -> Self {
        Self { body, head: Vec::new() }
    }
}

/// Puts answers and refusals into a protocol's words. `gateway` has one for each protocol, and
/// one for a single request where that chooses the form of its own answer.
pub trait Protocol: Send + Sync + fmt::Debug {
    /// Its name in records.
    fn name(&self) -> &'static str;

    /// The body of an answer.
    ///
    /// # Errors
    /// A refusal, where the protocol cannot carry these outputs.
    fn answer(&self, answer: &Answer<'_>) -> Result<Rendered, Refusal>;

    /// The body of a refusal.
    fn refusal(&self, refusal: &Refusal) -> Vec<u8>;
}
