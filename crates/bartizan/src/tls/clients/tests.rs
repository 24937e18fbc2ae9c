//! Chains of every bad kind, made by rcgen.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};

use super::*;
use crate::testing::TempDir;

const NOW_S: u64 = 1_795_564_800;
const DAY_S: u64 = 86_400;
const DOMAIN: &str = "prod.example";

/// A moment in the type of a crate that we do not name.
macro_rules! moment {
    ($unix_s:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs($unix_s)
    };
}

struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = moment!(NOW_S - DAY_S);
        params.not_after = moment!(NOW_S + 400 * DAY_S);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// A certificate for `uris`, changed by `change`.
    fn sign(
        &self,
        uris: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
        }
        params.serial_number = Some(SerialNumber::from(7_u64));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.not_before = moment!(NOW_S - DAY_S);
        params.not_after = moment!(NOW_S + DAY_S);
        change(&mut params);
        params.signed_by(&KeyPair::generate().unwrap(), &self.0).unwrap().der().clone()
    }

    /// A list that is good for a day and revokes `serials`.
    fn revoke(&self, serials: &[u64]) -> String {
        let revoked_certs = serials
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(*serial),
                revocation_time: moment!(NOW_S - 10),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let params = CertificateRevocationListParams {
            this_update: moment!(NOW_S - 10),
            next_update: moment!(NOW_S + DAY_S),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

fn trust(dir: &TempDir, domain: &str, authority: &Authority, list: Option<&str>) -> Trust {
    let roots = dir.path().join(format!("{domain}.pem"));
    files::replace(&roots, authority.1.as_bytes()).unwrap();
    let revoked = list.map(|list| {
        let path = dir.path().join(format!("{domain}.crl"));
        files::replace(&path, list.as_bytes()).unwrap();
        path
    });
    let (actions, models) = (vec!["infer".to_owned()], Vec::new());
    Trust { domain: domain.to_owned(), roots, revoked, actions, models }
}

fn is_taken(verifier: &Arc<dyn ClientCertVerifier>, der: &CertificateDer<'_>, now_s: u64) -> bool {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s));
    verifier.verify_client_cert(der, &[], now).is_ok()
}

/// L3 and L4: the good one from both sides of its time, and each bad kind.
#[test]
fn only_a_domains_own_clients_are_taken() {
    let dir = TempDir::new();
    let (own, other) = (Authority::new(), Authority::new());
    let trusted = [trust(&dir, DOMAIN, &own, None), trust(&dir, "other.example", &other, None)];
    let verifier = verifier(&trusted, dir.path()).unwrap().unwrap();
    assert!(!verifier.client_auth_mandatory());
    let good = own.sign(&["spiffe://prod.example/a"], |_| {});
    for (now_s, taken) in [
        (NOW_S, true),
        (NOW_S - DAY_S - 1, false),
        (NOW_S - DAY_S, true),
        (NOW_S + DAY_S, true),
        (NOW_S + DAY_S + 1, false),
    ] {
        assert_eq!(is_taken(&verifier, &good, now_s), taken, "{now_s}");
    }
    let server = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let ca = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    for (what, der) in [
        ("for servers", own.sign(&["spiffe://prod.example/a"], server)),
        ("an authority", own.sign(&["spiffe://prod.example/a"], ca)),
        ("of another domain's authority", other.sign(&["spiffe://prod.example/a"], |_| {})),
        ("for another domain", own.sign(&["spiffe://other.example/a"], |_| {})),
        ("of an unknown domain", own.sign(&["spiffe://third.example/a"], |_| {})),
        ("with two ids", own.sign(&["spiffe://prod.example/a", "spiffe://prod.example/b"], |_| {})),
        ("without an id", own.sign(&[], |_| {})),
        ("with a web address", own.sign(&["https://prod.example/a"], |_| {})),
        ("of an unknown authority", Authority::new().sign(&["spiffe://prod.example/a"], |_| {})),
    ] {
        assert!(!is_taken(&verifier, &der, NOW_S), "took one {what}");
    }
    assert!(is_taken(&verifier, &other.sign(&["spiffe://other.example/a"], |_| {}), NOW_S));
}

/// L4: revoked, covered by no list, and a list that is out of date.
#[test]
fn a_revoked_certificate_is_refused_and_so_is_one_that_nobody_vouches_for() {
    let dir = TempDir::new();
    let own = Authority::new();
    let ask = |list: &str, der: &CertificateDer<'_>, now_s| {
        let trusted = [trust(&dir, DOMAIN, &own, Some(list))];
        is_taken(&verifier(&trusted, dir.path()).unwrap().unwrap(), der, now_s)
    };
    let long = |params: &mut CertificateParams| params.not_after = moment!(NOW_S + 9 * DAY_S);
    let der = own.sign(&["spiffe://prod.example/a"], long);
    assert!(ask(&own.revoke(&[8]), &der, NOW_S));
    assert!(!ask(&own.revoke(&[7, 8]), &der, NOW_S));
    assert!(!ask(&own.revoke(&[8]), &der, NOW_S + 2 * DAY_S), "the list is out of date");
    assert!(!ask(&Authority::new().revoke(&[8]), &der, NOW_S), "no list covers it");
}

#[test]
fn files_that_hold_nothing_are_refused_with_their_names() {
    let dir = TempDir::new();
    let own = Authority::new();
    let mut one = trust(&dir, DOMAIN, &own, Some("junk"));
    let error = verifier(std::slice::from_ref(&one), dir.path()).unwrap_err().to_string();
    assert!(error.contains("prod.example.crl") && error.contains("revocation list"), "{error}");
    one.revoked = None;
    one.roots = "absent.pem".into();
    let error = verifier(std::slice::from_ref(&one), dir.path()).unwrap_err();
    assert!(matches!(error, ClientsError::File { .. }), "{error}");
    assert!(verifier(&[], dir.path()).unwrap().is_none());
}
