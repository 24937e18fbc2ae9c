//! Keys that sign checkpoints: the log's own, and a witness's.

use std::fmt;
use std::str::FromStr;

use bartizan_core::digest::{hex, unhex};
use bartizan_core::entropy::{Entropy, random};
use ml_dsa::MlDsa44;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::base64;
use super::checkpoint::Checkpoint;
use super::key::{KeyKind, ML_DSA_44_SIGNATURE_BYTES, VerifierKey, subtree_message};
use super::note::SignatureLine;

/// How a stored key begins.
const STORED_START: &str = "PRIVATE+KEY+";

/// Why a key cannot be had, or cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Its text is not of that shape.
    #[error("a signing key is `PRIVATE+KEY+<name>+<id>+<base 64>`")]
    Shape,
    /// Name, type and key do not fit each other.
    #[error("the signing key does not fit its name")]
    Key,
    /// What is to be signed is no checkpoint, or its origin is too long.
    #[error("this key signs checkpoints alone")]
    Message,
}

enum Secret {
    Ed25519(Box<Ed25519KeyPair>),
    MlDsa44(Box<ml_dsa::SigningKey<MlDsa44>>),
}

/// A key that signs checkpoints under a name. Never printed; kept as text by [`NoteSigner::store`].
pub struct NoteSigner {
    public: VerifierKey,
    secret: Secret,
    seed: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({:?}, [redacted])", self.public)
    }
}

impl NoteSigner {
    /// A fresh key.
    ///
    /// # Errors
    /// [`SignerError::Key`] where no key can have that name.
    pub fn random(name: &str, kind: KeyKind, entropy: &dyn Entropy) -> Result<Self, SignerError> {
        Self::from_seed(name, kind, &Zeroizing::new(random(entropy)))
    }

    /// The key of a seed: RFC 8032's private key, or FIPS 204's xi.
    ///
    /// # Errors
    /// [`SignerError::Key`] where no key can have that name.
    pub fn from_seed(name: &str, kind: KeyKind, seed: &[u8; 32]) -> Result<Self, SignerError> {
        let seed = Zeroizing::new(*seed);
        let (secret, public) = match kind {
            KeyKind::Ed25519 | KeyKind::CosignatureV1 => {
                let pair =
                    Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| SignerError::Key)?;
                let public = pair.public_key().as_ref().to_vec();
                (Secret::Ed25519(Box::new(pair)), public)
            }
            KeyKind::MlDsa44 => {
                let pair = ml_dsa::SigningKey::<MlDsa44>::from_seed(&(*seed).into());
                let public = pair.expanded_key().verifying_key().encode().to_vec();
                (Secret::MlDsa44(Box::new(pair)), public)
            }
        };
        let public = VerifierKey::new(name, kind, &public).map_err(|_| SignerError::Key)?;
        Ok(Self { public, secret, seed })
    }

    /// The same key under another name.
    ///
    /// # Errors
    /// [`SignerError::Key`] where no key can have that name.
    pub fn renamed(&self, name: &str) -> Result<Self, SignerError> {
        Self::from_seed(name, self.public.kind(), &self.seed)
    }

    /// The key that checks its signatures.
    pub fn public(&self) -> &VerifierKey {
        &self.public
    }

    /// Its text, which is the secret: `PRIVATE+KEY+<name>+<id>+<base 64 of type and seed>`, Go's
    /// form of `signed-note` keys.
    pub fn store(&self) -> Zeroizing<String> {
        let mut typed = Zeroizing::new(vec![self.public.kind().code()]);
        typed.extend_from_slice(&*self.seed);
        let (name, id) = (self.public.name(), hex(&self.public.id()));
        Zeroizing::new(format!("{STORED_START}{name}+{id}+{}", base64::encode(&typed)))
    }

    /// Signs the checkpoint `text` at `time_s` seconds since the Unix epoch, which only the
    /// timestamped kinds say. Ed25519 20 us, ML-DSA-44 500 us.
    ///
    /// # Errors
    /// [`SignerError::Message`].
    pub fn sign(&self, text: &str, time_s: u64) -> Result<SignatureLine, SignerError> {
        let time = time_s.to_be_bytes();
        let signature = match (&self.secret, self.public.kind()) {
            (Secret::Ed25519(pair), KeyKind::CosignatureV1) => {
                let message = format!("cosignature/v1\ntime {time_s}\n{text}");
                [&time[..], pair.sign(message.as_bytes()).as_ref()].concat()
            }
            (Secret::Ed25519(pair), KeyKind::Ed25519 | KeyKind::MlDsa44) => {
                pair.sign(text.as_bytes()).as_ref().to_vec()
            }
            (Secret::MlDsa44(pair), _) => {
                let checkpoint = Checkpoint::parse(text).map_err(|_| SignerError::Message)?;
                let message = subtree_message(self.public.name(), time_s, &checkpoint);
                let message = message.ok_or(SignerError::Message)?;
                let key = pair.expanded_key();
                // Deterministic (FIPS 204, section 3.4): the same checkpoint, the same bytes.
                let made = key.sign_deterministic(&message, &[]);
                let made = made.map_err(|_| SignerError::Message)?.encode();
                debug_assert_eq!(made.len(), ML_DSA_44_SIGNATURE_BYTES);
                [&time[..], &made[..]].concat()
            }
        };
        let name = self.public.name().into();
        Ok(SignatureLine { name, key_id: self.public.id(), signature })
    }
}

impl FromStr for NoteSigner {
    type Err = SignerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix(STORED_START).ok_or(SignerError::Shape)?;
        let (name, rest) = rest.split_once('+').ok_or(SignerError::Shape)?;
        let (id, typed) = rest.split_once('+').ok_or(SignerError::Shape)?;
        let typed = Zeroizing::new(base64::decode(typed).ok_or(SignerError::Shape)?);
        let (code, seed) = typed.split_first().ok_or(SignerError::Shape)?;
        let kind = [KeyKind::Ed25519, KeyKind::CosignatureV1, KeyKind::MlDsa44]
            .into_iter()
            .find(|kind| kind.code() == *code)
            .ok_or(SignerError::Shape)?;
        let seed = Zeroizing::new(<[u8; 32]>::try_from(seed).map_err(|_| SignerError::Shape)?);
        let signer = Self::from_seed(name, kind, &seed)?;
        let same = unhex(id).is_some_and(|id| id == signer.public.id());
        if same { Ok(signer) } else { Err(SignerError::Key) }
    }
}
