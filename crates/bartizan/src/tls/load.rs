//! Loads certificate and key from PEM files into what rustls serves with; see L2.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_access::PeerCertificate;
use bartizan_core::clock::{NS_PER_S, Rfc3339};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;

use super::clients::ClientsError;
use crate::files::{self, FileError};

/// Longest certificate or key file, in bytes.
const PEM_BYTES_MAX: u64 = 256 * 1024;
/// Most certificates in one chain.
const CHAIN_LEN_MAX: usize = 16;

/// Why certificate and key cannot be served with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The certificate's file cannot be read.
    #[error("cannot load the certificate")]
    Certificate(#[source] FileError),
    /// The key's file cannot be read.
    #[error("cannot load the private key")]
    Key(#[source] FileError),
    /// No certificate in it.
    #[error("`{}` holds no PEM certificate (or more than {CHAIN_LEN_MAX})", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No key in it.
    #[error("`{}` holds no PEM private key that is supported (RSA, ECDSA P-256 or P-384, Ed25519)", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// It is not X.509.
    #[error("`{}` holds something that is no X.509 certificate", path.display())]
    NotX509 {
        /// The file.
        path: PathBuf,
    },
    /// Too early or too late.
    #[error("the certificate in `{}` is valid from {} until {}, now is {}; renew it (`bartizan init --renew-tls DIR` makes one for this machine)", path.display(), time(*begin_s), time(*end_s), time(*now_s))]
    NotValidNow {
        /// The file.
        path: PathBuf,
        /// Begin, in seconds since the Unix epoch.
        begin_s: u64,
        /// End, in seconds since the Unix epoch.
        end_s: u64,
        /// Now, in seconds since the Unix epoch.
        now_s: u64,
    },
    /// Each is fine, but they are of different pairs.
    #[error("the private key in `{}` does not belong to the certificate in `{}`", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The library says no.
    #[error("certificate and key are refused")]
    Refused(#[source] rustls::Error),
    /// What client certificates are held against is not in order.
    #[error(transparent)]
    Clients(#[from] ClientsError),
}

impl LoadError {
    /// Whether the key's file, rather than the certificate's, is at fault.
    pub(crate) fn is_about_key(&self) -> bool {
        matches!(self, Self::Key(_) | Self::NoKey { .. } | Self::Mismatch { .. })
    }
}

fn time(unix_s: u64) -> String {
    Rfc3339(unix_s.saturating_mul(NS_PER_S)).to_string()
}

/// Certificate chain and key of a listener, checked; see L2. `now_s` is seconds since the Unix
/// epoch.
///
/// # Errors
/// [`LoadError`].
pub(crate) fn certified_key(
    certificate: &Path,
    key: &Path,
    now_s: u64,
) -> Result<Arc<CertifiedKey>, LoadError> {
    let bytes = files::read_bounded(certificate, PEM_BYTES_MAX).map_err(LoadError::Certificate)?;
    let no_certificate = || LoadError::NoCertificate { path: certificate.to_owned() };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|_| no_certificate())?;
    let first = chain.first().ok_or_else(no_certificate)?;
    if CHAIN_LEN_MAX < chain.len() {
        return Err(no_certificate());
    }
    let read = PeerCertificate::parse(first)
        .map_err(|_| LoadError::NotX509 { path: certificate.to_owned() })?;
    let (begin_s, end_s) = read.validity();
    if now_s < begin_s || end_s < now_s {
        let path = certificate.to_owned();
        return Err(LoadError::NotValidNow { path, begin_s, end_s, now_s });
    }
    let pem =
        zeroize::Zeroizing::new(files::read_private(key, PEM_BYTES_MAX).map_err(LoadError::Key)?);
    let no_key = || LoadError::NoKey { path: key.to_owned() };
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| no_key())?;
    let signer = ring::sign::any_supported_type(&der).map_err(|_| no_key())?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) => Ok(Arc::new(certified)),
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(LoadError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() })
        }
        Err(error) => Err(LoadError::Refused(error)),
    }
}

/// What a listener serves TLS 1.3 and 1.2 with: HTTP/2 and HTTP/1.1 offered, client certificates
/// asked for where `clients` can verify them, and never needed.
///
/// # Errors
/// [`LoadError`].
pub(crate) fn server_config(
    certificate: &Path,
    key: &Path,
    now_s: u64,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<rustls::ServerConfig>, LoadError> {
    let certified = certified_key(certificate, key, now_s)?;
    let builder = rustls::ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(LoadError::Refused)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config =
        builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::TempDir;
    use crate::tls::make;

    const NOW_S: u64 = 1_795_564_800;
    const DAY_S: u64 = 86_400;

    fn made(dir: &TempDir, name: &str) -> (PathBuf, PathBuf) {
        let folder = dir.path().join(name);
        make::write(&folder, NOW_S, DAY_S).unwrap();
        (folder.join(make::CERTIFICATE_FILE), folder.join(make::KEY_FILE))
    }

    /// L1 and L2 from both sides of the certificate's begin and end.
    #[test]
    fn a_certificate_serves_only_while_it_is_valid() {
        let dir = TempDir::new();
        let (certificate, key) = made(&dir, "a");
        for (now_s, accepted) in [
            (NOW_S - 3_601, false),
            (NOW_S - 3_600, true),
            (NOW_S, true),
            (NOW_S + DAY_S, true),
            (NOW_S + DAY_S + 1, false),
        ] {
            let loaded = server_config(&certificate, &key, now_s, None);
            assert_eq!(loaded.is_ok(), accepted, "{now_s}");
        }
        make::write(&dir.path().join("b"), NOW_S, u64::MAX / 4).unwrap();
        let bytes = fs::read(dir.path().join("b").join(make::CERTIFICATE_FILE)).unwrap();
        let der = CertificateDer::from_pem_slice(&bytes).unwrap();
        assert_eq!(
            PeerCertificate::parse(&der).unwrap().validity().1,
            NOW_S + make::LIFETIME_S_MAX
        );
    }

    /// L2: every way in which the files do not fit is told apart.
    #[test]
    fn files_that_do_not_fit_are_refused_with_the_reason() {
        let dir = TempDir::new();
        let (certificate, key) = made(&dir, "a");
        let (_, other_key) = made(&dir, "b");
        let absent = dir.path().join("absent");
        let junk = dir.path().join("junk");
        files::replace(&junk, b"junk").unwrap();
        let mut cut = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".to_vec();
        cut.extend(fs::read(&certificate).unwrap());
        let not_x509 = dir.path().join("not-x509");
        files::replace(&not_x509, &cut).unwrap();
        let cases: [(&Path, &Path, &str, bool); 6] = [
            (&absent, &key, "cannot load the certificate", false),
            (&certificate, &absent, "cannot load the private key", true),
            (&junk, &key, "holds no PEM certificate", false),
            (&certificate, &junk, "holds no PEM private key", true),
            (&certificate, &other_key, "does not belong to the certificate", true),
            (&not_x509, &key, "no X.509 certificate", false),
        ];
        for (certificate, key, said, about_key) in cases {
            let error = certified_key(certificate, key, NOW_S).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert_eq!(error.is_about_key(), about_key, "{error}");
        }
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let error = certified_key(&certificate, &key, NOW_S).unwrap_err();
        assert!(crate::log::Chain(&error).to_string().contains("chmod 600"));
    }

    /// L1: a client that trusts the CA reaches this machine's names and no other; the CA says so
    /// itself (name constraints, RFC 5280, 4.2.1.10), and its key was not kept.
    #[test]
    fn the_ca_vouches_for_this_machine_only() {
        let dir = TempDir::new();
        let (certificate, key) = made(&dir, "a");
        let folder = certificate.parent().unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 3, "the CA's key must not be there");
        let ca = fs::read(folder.join(make::CA_FILE)).unwrap();
        let ca = CertificateDer::from_pem_slice(&ca).unwrap();
        let (name_constraints, localhost) = (&[0x06, 0x03, 0x55, 0x1d, 0x1e], b"localhost");
        assert!(ca.windows(5).any(|window| window == name_constraints));
        assert!(ca.windows(9).any(|window| window == localhost));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .unwrap();
        let certified = certified_key(&certificate, &key, NOW_S).unwrap();
        for (name, accepted) in
            [("localhost", true), ("127.0.0.1", true), ("::1", true), ("example.org", false)]
        {
            let verified = rustls::client::danger::ServerCertVerifier::verify_server_cert(
                verifier.as_ref(),
                &certified.cert[0],
                &[],
                &name.try_into().unwrap(),
                &[],
                rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(
                    NOW_S,
                )),
            );
            assert_eq!(verified.is_ok(), accepted, "{name}: {verified:?}");
        }
    }
}
