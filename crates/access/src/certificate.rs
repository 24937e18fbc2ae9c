//! Client certificates: what of one is believed once TLS has checked its chain.
//!
//! A SPIFFE id (SPIFFE-ID, 2) is read from the one URI among the certificate's names. Which roots
//! may vouch for which trust domain is the TLS layer's to hold (it verifies the chain against the
//! domain's own roots); here the id becomes a principal.
//!
//! Invariants
//! - X1: a certificate has exactly one URI, and that is a SPIFFE id; one with more, or with
//!   another, names nobody;
//! - X2: reading never looks beyond the bytes given and takes only definite lengths.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::fmt;

use bartizan_core::clock::{NS_PER_S, parse_rfc3339};
use bartizan_core::digest::hex;
use bartizan_core::{Digest, PrincipalName};

use crate::token::name::federated_name;

/// Longest certificate, in bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Longest SPIFFE id, in bytes (SPIFFE-ID, 2.3).
const ID_BYTES_MAX: usize = 2_048;
/// Longest name of a trust domain, in bytes (SPIFFE-ID, 2.1).
const DOMAIN_BYTES_MAX: usize = 255;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;
const EXPLICIT_3: u8 = 0xa3;
/// A general name that is a URI (RFC 5280, 4.2.1.6): [6], primitive.
const NAME_URI: u8 = 0x86;
/// 2.5.29.17, subject alternative names.
const ALT_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// Why a certificate names nobody. For the operator: a caller gets one answer for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertificateFailure {
    /// It does not read as X.509.
    Malformed,
    /// It has no SPIFFE id, several URIs, or one that is malformed.
    NoId,
    /// Its trust domain is not configured, or its chain does not lead to that domain's roots.
    UnknownDomain,
    /// Its time has not come or is over.
    Expired,
    /// It, or its principal, was revoked.
    Revoked,
}

impl CertificateFailure {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Malformed, Self::NoId, Self::UnknownDomain, Self::Expired, Self::Revoked];

    /// The word for records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "certificate-malformed",
            Self::NoId => "certificate-no-spiffe-id",
            Self::UnknownDomain => "certificate-unknown-domain",
            Self::Expired => "certificate-expired",
            Self::Revoked => "certificate-revoked",
        }
    }
}

/// A name in a trust domain: `spiffe://<domain>/<path>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiffeId {
    domain: Box<str>,
    path: Box<str>,
}

impl SpiffeId {
    /// Reads a SPIFFE id (SPIFFE-ID, 2); `None` where it is none, or names a domain alone.
    pub fn parse(text: &str) -> Option<Self> {
        if ID_BYTES_MAX < text.len() {
            return None;
        }
        let (domain, path) = text.strip_prefix("spiffe://")?.split_once('/')?;
        if !is_trust_domain(domain) {
            return None;
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
        path.split('/').all(segment).then(|| Self { domain: domain.into(), path: path.into() })
    }

    /// The trust domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The principal that it stands for: `spiffe/<domain>/<path>`.
    pub fn principal(&self) -> Option<PrincipalName> {
        federated_name("spiffe", &format!("{}/{}", self.domain, self.path))
    }
}

/// Whether `text` can be the name of a trust domain (SPIFFE-ID, 2.1).
pub fn is_trust_domain(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    !text.is_empty() && text.len() <= DOMAIN_BYTES_MAX && text.bytes().all(plain)
}

/// What of a client certificate is looked at.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    fingerprint: Digest,
    serial: Box<[u8]>,
    begins_s: u64,
    ends_s: u64,
    id: Option<SpiffeId>,
}

impl PeerCertificate {
    /// Reads the certificate `der`, whose chain is somebody else's to check.
    ///
    /// # Errors
    /// [`CertificateFailure::Malformed`].
    pub fn parse(der: &[u8]) -> Result<Self, CertificateFailure> {
        if CERTIFICATE_BYTES_MAX < der.len() {
            return Err(CertificateFailure::Malformed);
        }
        read(der).ok_or(CertificateFailure::Malformed)
    }

    /// SHA-256 of the whole certificate: what `x5t#S256` is made of.
    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// The first 16 hexadecimal digits of the fingerprint.
    pub fn short(&self) -> Box<str> {
        self.fingerprint.hex().get(..16).unwrap_or_default().into()
    }

    /// Its serial number, in hexadecimal digits.
    pub fn serial(&self) -> String {
        hex(&self.serial)
    }

    /// From when until when it is good, in seconds since the Unix epoch, both inclusive.
    pub fn validity(&self) -> (u64, u64) {
        (self.begins_s, self.ends_s)
    }

    /// Its SPIFFE id; see X1.
    pub fn id(&self) -> Option<&SpiffeId> {
        self.id.as_ref()
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerCertificate({})", self.short())
    }
}

fn read(der: &[u8]) -> Option<PeerCertificate> {
    let (certificate, _) = take(der, SEQUENCE)?;
    let (fields, _) = take(certificate, SEQUENCE)?;
    let rest = take(fields, EXPLICIT_0).map_or(fields, |(_, rest)| rest);
    let (serial, rest) = take(rest, INTEGER)?;
    let (_algorithm, rest) = take(rest, SEQUENCE)?;
    let (_issuer, rest) = take(rest, SEQUENCE)?;
    let (validity, rest) = take(rest, SEQUENCE)?;
    let (begins_s, after) = take_time(validity)?;
    let (ends_s, _) = take_time(after)?;
    let (_subject, rest) = take(rest, SEQUENCE)?;
    let (_key, rest) = take(rest, SEQUENCE)?;
    let id = extensions(rest).and_then(alt_names).and_then(only_uri).and_then(SpiffeId::parse);
    let fingerprint = Digest::of(der);
    Some(PeerCertificate { fingerprint, serial: serial.into(), begins_s, ends_s, id })
}

/// The list of extensions, behind the unique ids that nobody uses.
fn extensions(mut rest: &[u8]) -> Option<&[u8]> {
    while !rest.is_empty() {
        let (tag, content, after) = next(rest)?;
        if tag == EXPLICIT_3 {
            return Some(take(content, SEQUENCE)?.0);
        }
        rest = after;
    }
    None
}

/// The alternative names among the extensions; none where there are two such extensions.
fn alt_names(mut rest: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    while !rest.is_empty() {
        let (extension, after) = take(rest, SEQUENCE)?;
        let (kind, value) = take(extension, OBJECT_ID)?;
        let value = take(value, BOOLEAN).map_or(value, |(_critical, value)| value);
        if kind == ALT_NAMES {
            let (octets, _) = take(value, OCTETS)?;
            if found.replace(take(octets, SEQUENCE)?.0).is_some() {
                return None;
            }
        }
        rest = after;
    }
    found
}

/// The one URI among general names; see X1.
fn only_uri(mut names: &[u8]) -> Option<&str> {
    let mut found = None;
    while !names.is_empty() {
        let (tag, content, after) = next(names)?;
        if tag == NAME_URI && found.replace(std::str::from_utf8(content).ok()?).is_some() {
            return None;
        }
        names = after;
    }
    found
}

/// Content of the element of type `tag` that `der` begins with, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = next(der)?;
    (found == tag).then_some((content, rest))
}

/// Type and content of the element that `der` begins with, and what follows it; see X2.
fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (len, rest) = match first {
        0..0x80 => (usize::from(first), rest),
        0x81..0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            // At most 3 digits: below 2^24.
            (digits.iter().fold(0, |len: usize, digit| len << 8 | usize::from(*digit)), rest)
        }
        0x80 | 0x84.. => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

fn take_time(der: &[u8]) -> Option<(u64, &[u8])> {
    let (text, century, rest) = match take(der, UTC_TIME) {
        Some((text, rest)) => {
            // RFC 5280, 4.1.2.5.1: 50 to 99 are of the last century.
            let century = if text.first()? < &b'5' { "20" } else { "19" };
            (text, century, rest)
        }
        None => {
            let (text, rest) = take(der, GENERALIZED_TIME)?;
            (text, "", rest)
        }
    };
    let digits = format!("{century}{}", std::str::from_utf8(text).ok()?);
    let part = |range: std::ops::Range<usize>| digits.get(range);
    let stamp = format!(
        "{}-{}-{}T{}:{}:{}",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(8..10)?,
        part(10..12)?,
        digits.get(12..)?
    );
    Some((parse_rfc3339(&stamp)?.checked_div(NS_PER_S)?, rest))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test's own bytes")]
mod tests {
    use super::*;

    /// A self-signed certificate with `spiffe://prod.example/ns/fraud/sa/scorer`.
    const SVID: &[u8] = include_bytes!("../testdata/svid.der");

    #[test]
    fn a_certificate_is_read_as_it_was_made() {
        let read = PeerCertificate::parse(SVID).unwrap();
        assert_eq!(read.fingerprint(), Digest::of(SVID));
        let (begin, end) = read.validity();
        assert_eq!(end - begin, 3_650 * 86_400);
        let id = read.id().unwrap();
        assert_eq!(id.domain(), "prod.example");
        assert_eq!(id.principal().unwrap().as_str(), "spiffe/prod.example/ns/fraud/sa/scorer");
        assert!(!read.serial().is_empty());
    }

    /// X2: cut or changed anywhere it reads as something else, or not at all, and never panics.
    #[test]
    fn a_damaged_certificate_never_reads_as_the_whole() {
        for at in 0..SVID.len() {
            assert!(PeerCertificate::parse(&SVID[..at]).is_err(), "cut at {at}");
            let mut changed = SVID.to_vec();
            changed[at] ^= 0x41;
            if let Ok(read) = PeerCertificate::parse(&changed) {
                assert_ne!(read.fingerprint(), Digest::of(SVID));
            }
        }
    }

    /// X1 and SPIFFE-ID, 2.
    #[test]
    fn only_a_whole_spiffe_id_names_somebody() {
        let long = format!("spiffe://a/{}", "x".repeat(ID_BYTES_MAX));
        for text in [
            "spiffe://a",
            "spiffe://a/",
            "spiffe:///x",
            "spiffe://A/x",
            "spiffe://a/x/",
            "https://a/x",
            "spiffe://a/../x",
            "spiffe://a/.",
            "spiffe://a//x",
            "spiffe://a:80/x",
            "spiffe://u@a/x",
            "spiffe://a/x?y",
            "spiffe://a/x%41",
            "SPIFFE://a/x",
            "",
            &long,
        ] {
            assert!(SpiffeId::parse(text).is_none(), "took {text:?}");
        }
        let name = |text: &str| SpiffeId::parse(text).unwrap().principal().unwrap().to_string();
        assert_eq!(name("spiffe://a.b-c_d/X.y_z"), "spiffe/a.b-c_5fd/X.y_5fz");
        let uri = |text: &str| [&[NAME_URI, text.len() as u8], text.as_bytes()].concat();
        assert_eq!(only_uri(&uri("spiffe://a/x")), Some("spiffe://a/x"));
        assert_eq!(only_uri(&[uri("spiffe://a/x"), uri("spiffe://a/y")].concat()), None);
    }
}
