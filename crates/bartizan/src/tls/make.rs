//! Makes a CA for this machine only, and a server certificate from it; see L1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use zeroize::Zeroizing;

use crate::files::{self, FileError};

/// Longest life of what is made here, in seconds: 398 days, what browsers accept (CA/Browser
/// Forum baseline requirements, 6.3.2, before they shrink).
pub(crate) const LIFETIME_S_MAX: u64 = 398 * 86_400;
/// How far a certificate's begin lies before its making, in seconds: clients' clocks differ.
const BACKDATE_S: u64 = 3_600;

/// Name of the file with the CA's certificate, which clients trust.
pub(crate) const CA_FILE: &str = "ca.pem";
/// Name of the file with the server's certificate.
pub(crate) const CERTIFICATE_FILE: &str = "server.pem";
/// Name of the file with the authority of the first administrators.
pub(crate) const ADMINISTRATORS_FILE: &str = "administrators.pem";
/// Name of the file with the server's private key.
pub(crate) const KEY_FILE: &str = "server.key";

/// Why there is no material.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    /// The library says no.
    #[error("cannot make the certificates")]
    Certificate(#[from] rcgen::Error),
    /// The files cannot be written.
    #[error("cannot write the certificates")]
    Write(#[from] FileError),
}

/// Writes [`CA_FILE`], [`CERTIFICATE_FILE`] and [`KEY_FILE`] into `folder`, valid from now for
/// `lifetime_s` seconds (at most [`LIFETIME_S_MAX`]).
///
/// # Errors
/// [`MakeError`].
pub(crate) fn write(folder: &Path, now_s: u64, lifetime_s: u64) -> Result<(), MakeError> {
    let material = material(now_s, lifetime_s.min(LIFETIME_S_MAX))?;
    files::make_private_dir(folder)?;
    files::replace(&folder.join(CA_FILE), material.ca.as_bytes())?;
    files::replace(&folder.join(KEY_FILE), material.key.as_bytes())?;
    files::replace(&folder.join(CERTIFICATE_FILE), material.certificate.as_bytes())?;
    Ok(())
}

/// Certificates and keys of the first administrators, by their names, as PEM.
pub(crate) struct Administrators {
    /// The authority that vouches for them. Its key was forgotten: it vouches for nobody else.
    pub(crate) authority: String,
    /// Name, and certificate and key in one text.
    pub(crate) people: Vec<(String, Zeroizing<String>)>,
}

/// Makes client certificates for `spiffe://<domain>/administrator/<name>`, valid from now for
/// `lifetime_s` seconds (at most [`LIFETIME_S_MAX`]).
///
/// # Errors
/// [`MakeError::Certificate`].
pub(crate) fn administrators(
    domain: &str,
    names: &[String],
    now_s: u64,
    lifetime_s: u64,
) -> Result<Administrators, MakeError> {
    let lifetime_s = lifetime_s.min(LIFETIME_S_MAX);
    let key = KeyPair::generate()?;
    let mut ca = params(Vec::new(), "Bartizan administrators", now_s, lifetime_s)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = ca.self_signed(&key)?.pem();
    let issuer = Issuer::new(ca, key);
    let mut people = Vec::new();
    for name in names {
        let key = KeyPair::generate()?;
        let mut person = params(Vec::new(), name, now_s, lifetime_s)?;
        let id = format!("spiffe://{domain}/administrator/{name}");
        person.subject_alt_names.push(SanType::URI(id.try_into()?));
        person.use_authority_key_identifier_extension = true;
        person.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        person.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let mut pem = Zeroizing::new(person.signed_by(&key, &issuer)?.pem());
        pem.push_str(&Zeroizing::new(key.serialize_pem()));
        people.push((name.clone(), pem));
    }
    Ok(Administrators { authority, people })
}

struct Material {
    ca: String,
    certificate: String,
    key: Zeroizing<String>,
}

fn material(now_s: u64, lifetime_s: u64) -> Result<Material, rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let mut ca = params(Vec::new(), "Bartizan CA of this machine", now_s, lifetime_s)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Names only: BoringSSL, and with it every client of gRPC in C++ and Python, refuses a chain
    // whose authority constrains addresses. The authority's key is not kept in any case.
    ca.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("localhost".into())],
        excluded_subtrees: Vec::new(),
    });
    let ca_certificate = ca.self_signed(&ca_key)?;

    let key = KeyPair::generate()?;
    let mut server = params(vec!["localhost".into()], "localhost", now_s, lifetime_s)?;
    server.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    server.subject_alt_names.push(SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = server.signed_by(&key, &Issuer::new(ca, ca_key))?;
    Ok(Material {
        ca: ca_certificate.pem(),
        certificate: certificate.pem(),
        key: Zeroizing::new(key.serialize_pem()),
    })
}

fn params(
    names: Vec<String>,
    common_name: &str,
    now_s: u64,
    lifetime_s: u64,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now_s.saturating_sub(BACKDATE_S));
    params.not_after = epoch + Duration::from_secs(now_s + lifetime_s);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}
