//! What a time stamp is wrapped in: signed data with one signer (RFC 5652), whose certificate is
//! named by a signed attribute (RFC 5035, RFC 5816).

use std::time::Duration;

use bartizan_core::clock::NS_PER_S;
use ring::digest::{
    Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest as hash_of,
};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, ring as algorithms};

use super::StampError;
use super::der::{Der, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, context, wrap};

/// Most certificates of one token, and most signed attributes.
const PARTS_MAX: usize = 32;
/// `id-signedData`, 1.2.840.113549.1.7.2.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// `contentType`, 1.2.840.113549.1.9.3.
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
/// `messageDigest`, 1.2.840.113549.1.9.4.
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
/// `id-aa-signingCertificate`, 1.2.840.113549.1.9.16.2.12.
const SIGNING_CERTIFICATE: &[u8] =
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x0c];
/// `id-aa-signingCertificateV2`, 1.2.840.113549.1.9.16.2.47.
const SIGNING_CERTIFICATE_V2: &[u8] =
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x2f];
/// `id-kp-timeStamping`, 1.3.6.1.5.5.7.3.8.
const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
/// `id-sha256`, `id-sha384`, `id-sha512` (2.16.840.1.101.3.4.2.x), what they are, and the last arc
/// of RSA's and ECDSA's signature algorithms with each.
const HASHES: [(&[u8], &Algorithm); 3] = [
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01], &SHA256),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02], &SHA384),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03], &SHA512),
];
/// `pkcs-1`, 1.2.840.113549.1.1: 1 is RSA with the hash said elsewhere, 11 to 13 with SHA-256, 384
/// and 512.
const PKCS_1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// `ecdsa-with-SHA2`, 1.2.840.10045.4.3: 2 is with SHA-256, 3 with SHA-384.
const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
/// `id-Ed25519`, 1.3.101.112.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

type Verifier = &'static dyn SignatureVerificationAlgorithm;

/// What signatures on certificates may be made with.
const CHAIN: &[Verifier] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];

/// Signed data with one signer, read and not yet believed.
pub(super) struct Signed<'a> {
    pub(super) content_type: &'a [u8],
    pub(super) content: &'a [u8],
    certificates: Vec<CertificateDer<'a>>,
    hash: &'static Algorithm,
    /// The content of the set of signed attributes.
    attributes: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Reads a `ContentInfo`.
    pub(super) fn parse(token: &'a [u8]) -> Option<Self> {
        let mut info = Der::new(token).inside(SEQUENCE)?;
        if info.take(OID)?.content != SIGNED_DATA {
            return None;
        }
        let mut data = info.inside(context(0))?.inside(SEQUENCE)?;
        let _version = data.take(INTEGER)?;
        let _hashes = data.take(SET)?;
        let mut inner = data.inside(SEQUENCE)?;
        let content_type = inner.take(OID)?.content;
        let content = inner.inside(context(0))?.take(OCTET_STRING)?.content;
        let mut certificates = Vec::new();
        if let Some(set) = data.optional(context(0)) {
            let mut set = Der::new(set.content);
            while !set.is_empty() {
                let element = set.any()?;
                if PARTS_MAX == certificates.len() {
                    return None;
                }
                // Other kinds of certificates are not X.509 and help nobody here.
                if element.tag == SEQUENCE {
                    certificates.push(CertificateDer::from(element.whole));
                }
            }
        }
        let _revoked = data.optional(context(1));
        let mut signers = data.inside(SET)?;
        let mut signer = signers.inside(SEQUENCE).filter(|_| signers.is_empty())?;
        let _version = signer.take(INTEGER)?;
        // Who signed is taken from the signed attribute, not from here, where nothing binds it.
        let _named = signer.any()?;
        let hash = signer.inside(SEQUENCE)?.take(OID)?.content;
        let hash = HASHES.iter().find(|(oid, _)| *oid == hash)?.1;
        let attributes = signer.take(context(0))?.content;
        let algorithm = signer.inside(SEQUENCE)?.take(OID)?.content;
        let signature = signer.take(OCTET_STRING)?.content;
        Some(Self { content_type, content, certificates, hash, attributes, algorithm, signature })
    }

    /// The value of the one signed attribute of that type, which must have one value.
    fn attribute(&self, wanted: &[u8]) -> Option<Der<'a>> {
        let mut attributes = Der::new(self.attributes);
        let mut found = None;
        for _ in 0..PARTS_MAX {
            if attributes.is_empty() {
                return found;
            }
            let mut attribute = attributes.inside(SEQUENCE)?;
            if attribute.take(OID)?.content == wanted {
                let mut values = attribute.inside(SET)?;
                let value = values.any()?;
                if found.is_some() || !values.is_empty() {
                    return None;
                }
                found = Some(Der::new(value.whole));
            }
        }
        None
    }

    /// Hash of the certificate that signed, as the signed attribute names it.
    fn signer_hash(&self) -> Option<(&'static Algorithm, &'a [u8])> {
        let first = |value: Der<'a>| -> Option<Der<'a>> {
            let mut value = value;
            value.inside(SEQUENCE)?.inside(SEQUENCE)?.inside(SEQUENCE)
        };
        if let Some(value) = self.attribute(SIGNING_CERTIFICATE_V2) {
            let mut id = first(value)?;
            // SHA-256 unless it says otherwise (RFC 5035, section 4).
            let hash = match id.optional(SEQUENCE) {
                None => &SHA256,
                Some(named) => {
                    let named = Der::new(named.content).take(OID)?.content;
                    HASHES.iter().find(|(oid, _)| *oid == named)?.1
                }
            };
            return Some((hash, id.take(OCTET_STRING)?.content));
        }
        // SHA-1, which only picks among certificates that must be vouched for all the same.
        let mut id = first(self.attribute(SIGNING_CERTIFICATE)?)?;
        Some((&SHA1_FOR_LEGACY_USE_ONLY, id.take(OCTET_STRING)?.content))
    }

    /// What may verify the signature; several where the curve is the certificate's to say.
    fn verifiers(&self) -> Vec<Verifier> {
        let (sha256, sha384) = (*self.hash == SHA256, *self.hash == SHA384);
        match (self.algorithm.split_last(), sha256, sha384) {
            (Some((1 | 11, PKCS_1)), true, _) => vec![algorithms::RSA_PKCS1_2048_8192_SHA256],
            (Some((1 | 12, PKCS_1)), _, true) => vec![algorithms::RSA_PKCS1_2048_8192_SHA384],
            (Some((1 | 13, PKCS_1)), false, false) => vec![algorithms::RSA_PKCS1_2048_8192_SHA512],
            (Some((2, ECDSA_SHA2)), true, _) => {
                vec![algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256]
            }
            (Some((3, ECDSA_SHA2)), _, true) => {
                vec![algorithms::ECDSA_P256_SHA384, algorithms::ECDSA_P384_SHA384]
            }
            _ if self.algorithm == ED25519 => vec![algorithms::ED25519],
            _ => Vec::new(),
        }
    }

    /// Checks who signed what, and that one of `anchors` vouches for it at `time_ns`; gives
    /// SHA-256 of the signer's certificate.
    pub(super) fn check(
        &self,
        others: &[CertificateDer<'static>],
        anchors: &[TrustAnchor<'static>],
        time_ns: u64,
    ) -> Result<[u8; 32], StampError> {
        let part = "the signed attributes";
        let malformed = StampError::Malformed { part };
        let value = |wanted, tag| Some(self.attribute(wanted)?.take(tag)?.content);
        let content_type = value(CONTENT_TYPE, OID).ok_or_else(|| malformed.clone())?;
        let message = value(MESSAGE_DIGEST, OCTET_STRING).ok_or_else(|| malformed.clone())?;
        if content_type != self.content_type || message != hash_of(self.hash, self.content).as_ref()
        {
            return Err(StampError::Signature);
        }
        let (hash, named) = self.signer_hash().ok_or(malformed)?;
        let all: Vec<CertificateDer<'_>> =
            self.certificates.iter().chain(others).cloned().collect();
        let signer = all.iter().find(|one| hash_of(hash, one).as_ref() == named);
        let signer = signer.ok_or(StampError::Signer)?;
        let chain = |error: webpki::Error| StampError::Chain { reason: error.to_string() };
        let end = EndEntityCert::try_from(signer).map_err(chain)?;
        // What is signed is the set, tagged as one (RFC 5652, 5.4).
        let message = wrap(SET, &[self.attributes]);
        let is_signed =
            |verifier: &Verifier| end.verify_signature(*verifier, &message, self.signature).is_ok();
        if !self.verifiers().iter().any(is_signed) {
            return Err(StampError::Signature);
        }
        let secs = time_ns.checked_div(NS_PER_S).unwrap_or(0);
        let at = UnixTime::since_unix_epoch(Duration::from_secs(secs));
        let usage = KeyUsage::required(TIME_STAMPING);
        end.verify_for_usage(CHAIN, anchors, &all, at, usage, None, None).map_err(chain)?;
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hash_of(&SHA256, signer).as_ref());
        Ok(fingerprint)
    }
}
