//! What client certificates are held against: each trust domain's own roots and revocation lists.
//!
//! Invariants
//! - L3: a certificate is verified against the roots of the trust domain that it names, and of no
//!   other: a domain's authority cannot vouch for another domain's names;
//! - L4: it must be for clients (extended key usage) and within its time; where a domain has
//!   revocation lists, one of them must cover it and be up to date.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_access::PeerCertificate;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use crate::config::identity::Trust;
use crate::files::{self, FileError};

/// Longest file of roots, in bytes.
const ROOTS_BYTES_MAX: u64 = 1024 * 1024;
/// Longest file of revocation lists, in bytes.
const LISTS_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most roots of a domain.
const ROOTS_MAX: usize = 256;
/// Most revocation lists of a domain.
const LISTS_MAX: usize = 64;

/// Why client certificates cannot be verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientsError {
    /// A file cannot be read.
    #[error("cannot load what trust domain `{domain}` is held against")]
    File {
        /// The domain.
        domain: String,
        /// Why.
        source: FileError,
    },
    /// It holds nothing of use.
    #[error("`{}` holds no PEM {what}, more than {max}, or one that does not read", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// How many at most.
        max: usize,
    },
    /// The library says no.
    #[error("the roots or revocation lists of trust domain `{domain}` are refused")]
    Refused {
        /// The domain.
        domain: String,
        /// Why.
        source: VerifierBuilderError,
    },
}

/// See the module invariants.
struct DomainVerifier {
    domains: Vec<(String, Arc<dyn ClientCertVerifier>)>,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// What client certificates of `trust` are held against; paths are inside `root`. `None` where
/// there is no trust domain: then no client is asked for a certificate.
///
/// # Errors
/// [`ClientsError`].
pub(crate) fn verifier(
    trust: &[Trust],
    root: &Path,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, ClientsError> {
    if trust.is_empty() {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let (mut domains, mut hints) = (Vec::new(), Vec::new());
    for one in trust {
        let domain = one.domain.clone();
        let mut roots = RootCertStore::empty();
        for der in roots_of(one, root)? {
            let refused = |_| pem_error(&root.join(&one.roots), "certificate", ROOTS_MAX);
            roots.add(der).map_err(refused)?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let builder = match &one.revoked {
            None => builder,
            Some(path) => builder
                .with_crls(lists_of(&domain, &root.join(path))?)
                .only_check_end_entity_revocation()
                .enforce_revocation_expiration(),
        };
        let built = builder.build();
        let verifier =
            built.map_err(|source| ClientsError::Refused { domain: domain.clone(), source })?;
        hints.extend(verifier.root_hint_subjects().iter().cloned());
        domains.push((domain, verifier));
    }
    Ok(Some(Arc::new(DomainVerifier { domains, hints, algorithms })))
}

fn roots_of(one: &Trust, root: &Path) -> Result<Vec<CertificateDer<'static>>, ClientsError> {
    let path = root.join(&one.roots);
    let bytes = files::read_bounded(&path, ROOTS_BYTES_MAX)
        .map_err(|source| ClientsError::File { domain: one.domain.clone(), source })?;
    let ders: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let ders = ders.map_err(|_| pem_error(&path, "certificate", ROOTS_MAX))?;
    bounded(ders, &path, "certificate", ROOTS_MAX)
}

fn lists_of(
    domain: &str,
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, ClientsError> {
    let bytes = files::read_bounded(path, LISTS_BYTES_MAX)
        .map_err(|source| ClientsError::File { domain: domain.to_owned(), source })?;
    let ders: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let ders = ders.map_err(|_| pem_error(path, "revocation list", LISTS_MAX))?;
    bounded(ders, path, "revocation list", LISTS_MAX)
}

fn bounded<T>(
    all: Vec<T>,
    path: &Path,
    what: &'static str,
    max: usize,
) -> Result<Vec<T>, ClientsError> {
    if all.is_empty() || max < all.len() { Err(pem_error(path, what, max)) } else { Ok(all) }
}

fn pem_error(path: &Path, what: &'static str, max: usize) -> ClientsError {
    ClientsError::Pem { path: path.to_owned(), what, max }
}

impl ClientCertVerifier for DomainVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let unknown =
            || Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        let read = PeerCertificate::parse(end_entity).map_err(|_| unknown())?;
        let id = read.id().ok_or_else(unknown)?;
        let known = self.domains.iter().find(|(domain, _)| *domain == id.domain());
        let (_, verifier) = known.ok_or_else(unknown)?;
        verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for DomainVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.domains.iter().map(|(domain, _)| domain).collect();
        write!(f, "DomainVerifier({names:?})")
    }
}

#[cfg(test)]
mod tests;
