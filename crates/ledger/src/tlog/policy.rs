//! Whose signatures make a checkpoint worth believing (`tlog-policy`).
//!
//! One thing is ours, in a comment line that other readers skip: `#operator <name> <member>...`
//! says who runs which witnesses, and `log` among them who runs the logs. A witness without such
//! a line is run by whoever owns the part of its key's name before the first `/`, and likewise a
//! log. A witness of the log's own operator adds availability, not trust: it is counted for the
//! quorum, as the format says, and told apart.

use std::collections::BTreeMap;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::key::{KeyKind, VerifierKey};
use super::note::{Note, NoteError};

/// Longest policy that is read, in bytes.
const POLICY_BYTES_MAX: usize = 1 << 20;
/// Most logs, witnesses and groups each.
const NAMES_MAX: usize = 256;

/// Why text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Too long to be looked at, or not text.
    #[error("a policy is text of at most {POLICY_BYTES_MAX} bytes without control characters")]
    Text,
    /// A line that is wrong.
    #[error("line {line} of the policy: {reason}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// No quorum line.
    #[error("the policy has no `quorum` line; `quorum none` asks for no witness")]
    NoQuorum,
}

#[derive(Clone, Debug)]
enum Member {
    Witness { key: Box<VerifierKey>, url: Option<String> },
    Group { least: usize, of: Vec<String> },
}

/// A policy that was read.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    members: BTreeMap<String, Member>,
    operators: BTreeMap<String, String>,
    quorum: Option<String>,
}

/// Whether enough witnesses cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// The policy asks for none.
    None,
    /// Enough, without any of the log's own operator.
    Met,
    /// Enough only with those of the log's own operator, which add no trust.
    MetByOwn,
    /// Not enough.
    Missed,
}

/// A witness that cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// Its name in the policy.
    pub witness: String,
    /// Who runs it.
    pub operator: String,
    /// When it cosigned, in seconds since the Unix epoch.
    pub time_s: u64,
    /// Whether the log's own operator runs it.
    pub is_own: bool,
}

/// What a policy says of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The log's keys that signed, as `<name>+<id>`.
    pub log_keys: Vec<String>,
    /// Witnesses that cosigned, in the order of their names.
    pub cosigned: Vec<Cosigned>,
    /// Keys of the policy that a line names and that did not make it.
    pub forged: Vec<String>,
    /// Whether enough cosigned.
    pub quorum: Quorum,
}

impl Judgement {
    /// Whether the checkpoint is to be believed: signed by a log of the policy, no signature of
    /// a known key wrong, the quorum met.
    pub fn is_good(&self) -> bool {
        !self.log_keys.is_empty() && self.forged.is_empty() && self.quorum != Quorum::Missed
    }
}

impl Policy {
    /// The policy that trusts `logs` and asks for no witness.
    pub fn of_logs(logs: Vec<VerifierKey>) -> Self {
        Self { logs, quorum: Some("none".to_owned()), ..Self::default() }
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`], with its line.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let plain = |byte: &u8| matches!(byte, b'\t' | b'\n' | 0x20..=0x7e | 0x80..);
        if POLICY_BYTES_MAX < bytes.len() || !bytes.iter().all(plain) {
            return Err(PolicyError::Text);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| PolicyError::Text)?;
        let mut policy = Self::default();
        for (content, line) in text.split('\n').zip(1_usize..) {
            policy.line(content).map_err(|reason| PolicyError::Line { line, reason })?;
        }
        if policy.quorum.is_none() { Err(PolicyError::NoQuorum) } else { Ok(policy) }
    }

    fn line(&mut self, content: &str) -> Result<(), String> {
        let mut words = content.split([' ', '\t']).filter(|word| !word.is_empty());
        let Some(first) = words.next() else { return Ok(()) };
        let rest: Vec<&str> = words.collect();
        match (first, rest.as_slice()) {
            ("#operator", [operator, members @ ..]) => {
                for member in members {
                    self.operators.insert((*member).to_owned(), (*operator).to_owned());
                }
                Ok(())
            }
            (comment, _) if comment.starts_with('#') => Ok(()),
            ("log", [vkey] | [vkey, _]) => self.log(vkey),
            ("witness", [name, vkey]) => self.witness(name, vkey, None),
            ("witness", [name, vkey, url]) => self.witness(name, vkey, Some(url)),
            ("group", [name, least, of @ ..]) => self.group(name, least, of),
            ("quorum", [name]) => {
                if self.quorum.is_some() {
                    return Err("a second `quorum` line".to_owned());
                }
                if *name != "none" && !self.members.contains_key(*name) {
                    return Err(format!("`{name}` is not defined on a line before"));
                }
                self.quorum = Some((*name).to_owned());
                Ok(())
            }
            (word, _) => Err(format!("`{word}` with {} words is no line of a policy", rest.len())),
        }
    }

    fn key(&self, vkey: &str) -> Result<VerifierKey, String> {
        vkey.parse().map_err(|error| format!("verifier key: {error}"))
    }

    fn log(&mut self, vkey: &str) -> Result<(), String> {
        let key = self.key(vkey)?;
        if key.kind() == KeyKind::CosignatureV1 {
            return Err("a log's key signs checkpoints, this one cosigns them".to_owned());
        }
        if self.logs.iter().any(|other| other.key() == key.key()) {
            return Err("the same log key a second time".to_owned());
        }
        if self.logs.len() == NAMES_MAX {
            return Err(format!("more than {NAMES_MAX} logs"));
        }
        self.logs.push(key);
        Ok(())
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), String> {
        if name == "none" || self.members.contains_key(name) {
            return Err(format!("the name `{name}` is taken"));
        }
        if self.members.len() == 2 * NAMES_MAX {
            return Err(format!("more than {} names", 2 * NAMES_MAX));
        }
        self.members.insert(name.to_owned(), member);
        Ok(())
    }

    fn witness(&mut self, name: &str, vkey: &str, url: Option<&&str>) -> Result<(), String> {
        let key = self.key(vkey)?;
        if key.kind() == KeyKind::Ed25519 {
            return Err("a witness's key cosigns (types 0x04 and 0x06)".to_owned());
        }
        if self.witness_keys().any(|(_, other)| other.key() == key.key()) {
            return Err("the same witness key a second time".to_owned());
        }
        let url = url.map(|url| (*url).to_owned());
        self.define(name, Member::Witness { key: Box::new(key), url })
    }

    fn group(&mut self, name: &str, least: &str, of: &[&str]) -> Result<(), String> {
        let least = match least {
            "any" => 1,
            "all" => of.len(),
            number => super::decimal(number)
                .and_then(|number| usize::try_from(number).ok())
                .ok_or_else(|| format!("`{number}` is not `any`, `all` or a number"))?,
        };
        if !(1..=of.len()).contains(&least) {
            return Err(format!("{least} of {} members can never be met", of.len()));
        }
        let used = |member: &str| {
            self.members.values().any(|other| match other {
                Member::Group { of, .. } => of.iter().any(|name| name == member),
                Member::Witness { .. } => false,
            })
        };
        for (member, at) in of.iter().zip(0_usize..) {
            if !self.members.contains_key(*member) {
                return Err(format!("`{member}` is not defined on a line before"));
            }
            if used(member) || of.iter().take(at).any(|other| other == member) {
                return Err(format!("`{member}` is a member already"));
            }
        }
        let of = of.iter().map(|name| (*name).to_owned()).collect();
        self.define(name, Member::Group { least, of })
    }

    /// Keys of the logs.
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// Names and keys of the witnesses.
    pub fn witness_keys(&self) -> impl Iterator<Item = (&str, &VerifierKey)> {
        self.members.iter().filter_map(|(name, member)| match member {
            Member::Witness { key, .. } => Some((name.as_str(), &**key)),
            Member::Group { .. } => None,
        })
    }

    /// Names, keys and addresses of the witnesses that can be asked.
    pub fn witness_urls(&self) -> impl Iterator<Item = (&str, &VerifierKey, &str)> {
        self.members.iter().filter_map(|(name, member)| match member {
            Member::Witness { key, url: Some(url) } => Some((name.as_str(), &**key, url.as_str())),
            Member::Witness { url: None, .. } | Member::Group { .. } => None,
        })
    }

    /// Whether it asks for witnesses at all.
    pub fn asks_witnesses(&self) -> bool {
        self.quorum.as_deref().is_some_and(|quorum| quorum != "none")
    }

    /// Who runs the witness `name`.
    pub fn operator_of(&self, name: &str) -> String {
        let key = self.witness_keys().find(|(other, _)| *other == name).map(|(_, key)| key.name());
        self.operators.get(name).cloned().unwrap_or_else(|| owner(key.unwrap_or(name)))
    }

    /// Judges a signed checkpoint.
    ///
    /// # Errors
    /// [`NoteError`] or [`CheckpointError`] where it is none.
    pub fn judge(&self, note: &Note<'_>) -> Result<Judgement, JudgeError> {
        let checkpoint = Checkpoint::parse(note.text)?;
        let own = self.operators.get("log").cloned().unwrap_or_else(|| owner(checkpoint.origin));
        let (mut log_keys, mut forged) = (Vec::new(), Vec::new());
        for key in self.logs.iter().filter(|key| key.name() == checkpoint.origin) {
            match note.signed_by(key) {
                Some(Ok(_)) => log_keys.push(short(key)),
                Some(Err(())) => forged.push(short(key)),
                None => {}
            }
        }
        let mut cosigned = Vec::new();
        for (witness, key) in self.witness_keys() {
            match note.signed_by(key) {
                Some(Ok(time_s)) => {
                    let operator = self.operator_of(witness);
                    let (witness, is_own) = (witness.to_owned(), operator == own);
                    cosigned.push(Cosigned { witness, operator, time_s, is_own });
                }
                Some(Err(())) => forged.push(short(key)),
                None => {}
            }
        }
        let quorum = self.quorum_of(&cosigned);
        Ok(Judgement { log_keys, cosigned, forged, quorum })
    }

    fn quorum_of(&self, cosigned: &[Cosigned]) -> Quorum {
        let Some(quorum) = self.quorum.as_deref().filter(|quorum| *quorum != "none") else {
            return Quorum::None;
        };
        let by_others = |name: &str| {
            cosigned.iter().any(|cosigned| cosigned.witness == name && !cosigned.is_own)
        };
        let by_any = |name: &str| cosigned.iter().any(|cosigned| cosigned.witness == name);
        if self.is_met(quorum, &by_others) {
            Quorum::Met
        } else if self.is_met(quorum, &by_any) {
            Quorum::MetByOwn
        } else {
            Quorum::Missed
        }
    }

    /// Groups name what stands before them, so this ends; each name is a member once, so it is
    /// linear.
    fn is_met(&self, name: &str, did: &dyn Fn(&str) -> bool) -> bool {
        match self.members.get(name) {
            None => false,
            Some(Member::Witness { .. }) => did(name),
            Some(Member::Group { least, of }) => {
                *least <= of.iter().filter(|member| self.is_met(member, did)).count()
            }
        }
    }
}

/// Why a note cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// It is no note.
    #[error("no signed note")]
    Note(#[from] NoteError),
    /// Its text is no checkpoint.
    #[error("no checkpoint")]
    Checkpoint(#[from] CheckpointError),
}

/// Whose name a key's name is: what stands before its first `/`.
fn owner(name: &str) -> String {
    name.split('/').next().unwrap_or(name).to_owned()
}

fn short(key: &VerifierKey) -> String {
    format!("{}+{}", key.name(), bartizan_core::digest::hex(&key.id()))
}
