//! Time stamps of checkpoints by somebody else's clock (RFC 3161).
//!
//! [`request`] makes what a time-stamping authority is asked, [`Authorities::check`] judges its
//! answer: that it was granted, that it is about this very text (and, when it has just come, this
//! very request), that the certificate it names signed it, and that this certificate leads to a
//! configured root and may stamp. What passes is kept as it came and can be checked again by
//! anyone, `openssl ts -verify` among them. No socket, no clock: the time to check certificates
//! at is the stamp's own.
//!
//! Invariants
//! - TS1: a stamp that is accepted says of exactly one text that it existed at a time, by a signer
//!   that a configured root vouches for; with one byte of text, time, nonce or signature changed
//!   it is not.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

mod cms;
mod der;

use std::io;

use bartizan_core::Disk;
use bartizan_core::clock::{NS_PER_S, parse_rfc3339};
use ring::digest::{SHA256, digest};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor};

use crate::files::{read_whole, replace};
use crate::tlog::{NOTE_BYTES_MAX, Note, decimal};
use cms::Signed;
use der::{
    BOOLEAN, Der, GENERALIZED_TIME, INTEGER, NULL, OCTET_STRING, OID, SEQUENCE, context, unsigned,
    wrap, wrap_unsigned,
};

/// Longest answer of an authority, in bytes: a chain of certificates and two signatures.
pub const STAMP_BYTES_MAX: usize = 64 << 10;
/// Folder of stamps in the store: `<size>.tsr`, and `<size>.checkpoint`, what it stamps.
pub const STAMPS_DIR: &str = "tlog/stamps";
const SUFFIX: &str = ".tsr";
/// Bytes of a request's nonce.
pub const NONCE_BYTES: usize = 16;
/// Most certificates of a text of roots and helpers.
const CERTIFICATES_MAX: usize = 64;

/// `id-ct-TSTInfo`, 1.2.840.113549.1.9.16.1.4.
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
/// `id-sha256`, 2.16.840.1.101.3.4.2.1.
const SHA256_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

/// What an authority is asked about `text` (a `TimeStampReq`, to be sent as
/// `application/timestamp-query`): SHA-256 of it, `nonce` drawn for this request alone, and that
/// the answer may carry the signer's certificate.
pub fn request(text: &[u8], nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
    let version = wrap_unsigned(&[1]);
    let algorithm = wrap(SEQUENCE, &[&wrap(OID, &[SHA256_OID]), &wrap(NULL, &[])]);
    let imprint = digest(&SHA256, text);
    let imprint = wrap(SEQUENCE, &[&algorithm, &wrap(OCTET_STRING, &[imprint.as_ref()])]);
    let certificate_wanted = wrap(BOOLEAN, &[&[0xff]]);
    wrap(SEQUENCE, &[&version, &imprint, &wrap_unsigned(nonce), &certificate_wanted])
}

/// Name of the stamp of the checkpoint of `size` entries, in the store.
fn file_name(size: u64) -> String {
    format!("{STAMPS_DIR}/{size}{SUFFIX}")
}

/// Whether a store may have a file of this name among its stamps: a stamp, what it stamps, or
/// what a loss of power left of one that was being replaced.
pub(crate) fn is_name(name: &str) -> bool {
    let name = name.strip_suffix(".tmp").unwrap_or(name);
    let size = name.strip_suffix(SUFFIX).or_else(|| name.strip_suffix(".checkpoint"));
    size.and_then(decimal).is_some()
}

/// What of a signed checkpoint is stamped: its text, last line feed included, without the
/// signatures; `None` where it is no note.
pub fn stamped_text(note: &str) -> Option<&str> {
    Note::parse(note.as_bytes()).ok().map(|note| note.text)
}

/// Keeps the answer of an authority, which was judged, beside the checkpoint of `size` entries.
/// Two syncs.
///
/// # Errors
/// What the disk says.
pub fn keep(disk: &dyn Disk, size: u64, answer: &[u8], note: &str) -> io::Result<()> {
    // The note first: a stamp without what it stamps says nothing.
    replace(disk, &format!("{STAMPS_DIR}/{size}.checkpoint"), note.as_bytes())?;
    replace(disk, &file_name(size), answer)
}

/// A stamp that is kept: the entries of its checkpoint, the signed checkpoint, the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Entries of the checkpoint.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// The authority's answer as it came.
    pub answer: Vec<u8>,
}

/// The sizes of checkpoints that were stamped, in order.
///
/// # Errors
/// What the disk says.
pub fn kept_sizes(disk: &dyn Disk) -> io::Result<Vec<u64>> {
    let names = disk.list(STAMPS_DIR)?;
    let size = |name: &String| name.strip_suffix(SUFFIX).and_then(decimal);
    let mut sizes: Vec<u64> = names.iter().filter_map(size).collect();
    sizes.sort_unstable();
    Ok(sizes)
}

/// The stamp of the checkpoint of `size` entries; `None` where a part of it is missing.
///
/// # Errors
/// What the disk says.
pub fn kept(disk: &dyn Disk, size: u64) -> io::Result<Option<Kept>> {
    let note = read_whole(disk, &format!("{STAMPS_DIR}/{size}.checkpoint"), NOTE_BYTES_MAX)?;
    let answer = read_whole(disk, &file_name(size), STAMP_BYTES_MAX)?;
    let note = note.and_then(|note| String::from_utf8(note).ok());
    Ok(note.zip(answer).map(|(note, answer)| Kept { size, note, answer }))
}

/// Why an answer is no time stamp of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Too long to be looked at.
    #[error("the answer has more than {STAMP_BYTES_MAX} bytes")]
    TooLong,
    /// The authority says no.
    #[error("the authority did not grant a time stamp (status {status})")]
    Refused {
        /// Its `PKIStatus`.
        status: u64,
    },
    /// Not the structure that RFC 3161 says.
    #[error("no time stamp: {part} is not as RFC 3161 has it")]
    Malformed {
        /// Which part.
        part: &'static str,
    },
    /// It stamps something else.
    #[error("the time stamp is of another text")]
    Imprint,
    /// It answers another request.
    #[error("the time stamp answers another request")]
    Nonce,
    /// The certificate that it names is neither in it nor configured.
    #[error(
        "the certificate that signed is neither in the time stamp nor configured; add it to the file of roots"
    )]
    Signer,
    /// The signature is not that of the certificate, or of another content.
    #[error("the time stamp's signature is not its signer's")]
    Signature,
    /// No root vouches for the signer, or not for stamping, or not at that time.
    #[error("the signer of the time stamp is not vouched for: {reason}")]
    Chain {
        /// What the library says.
        reason: String,
    },
    /// The roots are no certificates.
    #[error(
        "the roots are not 1 to {CERTIFICATES_MAX} PEM certificates; name a file that holds them"
    )]
    Roots,
}

fn malformed<T>(part: &'static str, found: Option<T>) -> Result<T, StampError> {
    found.ok_or(StampError::Malformed { part })
}

/// A time stamp that was accepted; see TS1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeStamp {
    /// The authority's time, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// How far off it may be, in nanoseconds, where it says.
    pub accuracy_ns: Option<u64>,
    /// The authority's number for it, big-endian.
    pub serial: Vec<u8>,
    /// SHA-256 of the signer's certificate.
    pub signer: [u8; 32],
}

/// Whose time stamps are believed.
pub struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    /// Certificates that may help to lead from a signer to a root, the signer's among them.
    others: Vec<CertificateDer<'static>>,
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorities").field("n_roots", &self.anchors.len()).finish_non_exhaustive()
    }
}

impl Authorities {
    /// Those that the certificates of a PEM text vouch for. Each is a root by being there; a
    /// signer's own certificate may stand among them for stamps that do not carry it.
    ///
    /// # Errors
    /// [`StampError::Roots`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, StampError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let others = found.map_err(|_| StampError::Roots)?;
        if others.is_empty() || CERTIFICATES_MAX < others.len() {
            return Err(StampError::Roots);
        }
        let mut anchors = Vec::new();
        for certificate in &others {
            let anchor = webpki::anchor_from_trusted_cert(certificate);
            anchors.push(anchor.map_err(|_| StampError::Roots)?.to_owned());
        }
        Ok(Self { anchors, others })
    }

    /// Judges `answer`, a `TimeStampResp` over `text`; `nonce` is the request's where it has just
    /// been made, absent where a stored stamp is checked again. About 300 us.
    ///
    /// # Errors
    /// [`StampError`]; see TS1.
    pub fn check(
        &self,
        answer: &[u8],
        text: &[u8],
        nonce: Option<&[u8; NONCE_BYTES]>,
    ) -> Result<TimeStamp, StampError> {
        let (signed, info) = about(answer, text)?;
        if let Some(nonce) = nonce {
            let asked = wrap_unsigned(nonce);
            if info.nonce != Der::new(&asked).take(INTEGER).map(|element| element.content) {
                return Err(StampError::Nonce);
            }
        }
        let signer = signed.check(&self.others, &self.anchors, info.time_ns)?;
        Ok(TimeStamp {
            time_ns: info.time_ns,
            accuracy_ns: info.accuracy_ns,
            serial: info.serial.to_vec(),
            signer,
        })
    }
}

/// Whether `answer` is a granted time stamp of `text`, whoever made it: what can be told without
/// roots.
///
/// # Errors
/// [`StampError`], of the text or the structure.
pub(crate) fn is_about(answer: &[u8], text: &[u8]) -> Result<(), StampError> {
    about(answer, text).map(|_| ())
}

/// What is signed, and what it says, of an answer about `text`.
fn about<'a>(answer: &'a [u8], text: &[u8]) -> Result<(Signed<'a>, Info<'a>), StampError> {
    let token = granted(answer)?;
    let signed = malformed("the signed data", Signed::parse(token))?;
    if signed.content_type != TST_INFO {
        return Err(StampError::Malformed { part: "the content's type" });
    }
    let info = malformed("the stamp's content", Info::parse(signed.content))?;
    if info.algorithm != SHA256_OID || info.imprint != digest(&SHA256, text).as_ref() {
        return Err(StampError::Imprint);
    }
    Ok((signed, info))
}

/// The token of an answer that grants one.
fn granted(answer: &[u8]) -> Result<&[u8], StampError> {
    if STAMP_BYTES_MAX < answer.len() {
        return Err(StampError::TooLong);
    }
    let mut outer = Der::new(answer);
    let parts = outer.inside(SEQUENCE).filter(|_| outer.is_empty());
    let mut parts = malformed("the answer", parts)?;
    let status = parts.inside(SEQUENCE).and_then(|mut status| status.take(INTEGER));
    let status = malformed("the status", status.and_then(|element| unsigned(element.content)))?;
    // granted, or granted with modifications (RFC 3161, 2.4.2).
    if 1 < status {
        return Err(StampError::Refused { status });
    }
    let token = parts.take(SEQUENCE).filter(|_| parts.is_empty());
    malformed("the token", token.map(|element| element.whole))
}

/// A `TSTInfo` (RFC 3161, 2.4.2).
struct Info<'a> {
    algorithm: &'a [u8],
    imprint: &'a [u8],
    serial: &'a [u8],
    time_ns: u64,
    accuracy_ns: Option<u64>,
    nonce: Option<&'a [u8]>,
}

impl<'a> Info<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut outer = Der::new(bytes);
        let mut fields = outer.inside(SEQUENCE).filter(|_| outer.is_empty())?;
        let version = unsigned(fields.take(INTEGER)?.content)?;
        let _policy = fields.take(OID)?;
        let mut imprint = fields.inside(SEQUENCE)?;
        let algorithm = imprint.inside(SEQUENCE)?.take(OID)?.content;
        let hashed = imprint.take(OCTET_STRING)?.content;
        let serial = fields.take(INTEGER)?.content;
        let time_ns = time(fields.take(GENERALIZED_TIME)?.content)?;
        let accuracy = fields.optional(SEQUENCE);
        let accuracy_ns = match accuracy {
            Some(element) => Some(accuracy_of(element.content)?),
            None => None,
        };
        let _ordering = fields.optional(BOOLEAN);
        let nonce = fields.optional(INTEGER).map(|element| element.content);
        let _authority = fields.optional(context(0));
        let _extensions = fields.optional(context(1));
        let is_whole = version == 1 && fields.is_empty();
        let info = Self { algorithm, imprint: hashed, serial, time_ns, accuracy_ns, nonce };
        is_whole.then_some(info)
    }
}

/// `20260102030405[.6]Z` in nanoseconds since the Unix epoch.
fn time(content: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(content).ok()?;
    let part = |range: std::ops::Range<usize>| text.get(range);
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let (hour, minute, rest) = (part(8..10)?, part(10..12)?, text.get(12..)?);
    parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{rest}"))
}

/// Seconds, milliseconds, microseconds, each optional, in nanoseconds.
fn accuracy_of(content: &[u8]) -> Option<u64> {
    let mut parts = Der::new(content);
    let mut total_ns = 0_u64;
    for (tag, unit_ns) in [(INTEGER, NS_PER_S), (0x80, 1_000_000), (0x81, 1_000)] {
        if let Some(element) = parts.optional(tag) {
            total_ns = total_ns.checked_add(unsigned(element.content)?.checked_mul(unit_ns)?)?;
        }
    }
    parts.is_empty().then_some(total_ns)
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test's own indices"
)]
mod tests;
