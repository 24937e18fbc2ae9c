//! Tokens, good and forged.

use std::collections::BTreeSet;
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use ring::{digest, hmac};
use serde_json::{Value, json};

use super::cache::TokenCache;
use super::compact::{TOKEN_BYTES_MAX, decode, encode};
use super::*;
use crate::credential::{Credential, Strength};
use crate::key_ring::KeyRing;
use crate::keys::Keys;
use crate::mac::MacKey;
use crate::scopes::{ModelScope, Scopes};
use crate::seed::Seed;

const NOW_S: u64 = 1_795_564_800;
const ISSUER: &str = "https://login.example/t1/v2.0";
const AUDIENCE: &str = "api://bartizan-prod";

/// An issuer with an Ed25519 key `ed` and a P-256 key `ec`.
struct Authority {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
}

impl Authority {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self {
            ed: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random)
                .unwrap(),
        }
    }

    fn jwks(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig",
             "x": encode(self.ed.public_key().as_ref())},
            {"kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256",
             "x": encode(&point[1..33]), "y": encode(&point[33..])},
        ]})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let signature = match header["kid"].as_str() {
            Some("ec") => {
                let random = SystemRandom::new();
                encode(self.ec.sign(&random, signed.as_bytes()).unwrap().as_ref())
            }
            _ => encode(self.ed.sign(signed.as_bytes()).as_ref()),
        };
        format!("{signed}.{signature}")
    }
}

fn rules() -> IssuerRules {
    IssuerRules {
        name: "corp".parse().unwrap(),
        kind: IssuerKind::Oidc,
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        algorithms: BTreeSet::from([Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]),
        kinds: TokenKinds::Any,
        tenant: None,
        clients: BTreeSet::new(),
        skew_s: 60,
        life_s_max: 86_400,
        stale_s_max: 86_400,
        needs_binding: false,
        scopes: Scopes::inference(ModelScope::All),
    }
}

fn set(jwks: &Value) -> Result<JwkSet, JwkSetError> {
    JwkSet::parse(jwks.to_string().as_bytes(), &rules().algorithms, NOW_S)
}

struct Rig {
    authority: Authority,
    issuers: Issuers,
    ring: KeyRing,
}

impl Rig {
    fn new(rules: IssuerRules) -> Self {
        let authority = Authority::new();
        let keys = Some(Arc::new(set(&authority.jwks()).unwrap()));
        let issuers = Issuers::new(vec![Issuer { rules: Arc::new(rules), keys }]);
        let ring = Keys::new("dev".parse().unwrap(), MacKey::random(&Seed::new(1))).ring();
        Self { authority, issuers, ring }
    }

    fn ask(&self, token: &str, now_s: u64) -> Result<Credential, TokenFailure> {
        let asked = self.issuers.authenticate(token, None, &self.ring, now_s);
        asked.map_err(|refused| refused.failure)
    }

    /// What comes of a token with these changes to header and claims; null takes a field out.
    fn try_with(&self, header: &Value, claims: &Value) -> Result<Credential, TokenFailure> {
        self.ask(&self.signed(header, claims), NOW_S)
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        self.authority.sign(&changed(header_json(), header), &changed(claims_json(), claims))
    }
}

fn header_json() -> Value {
    json!({"alg": "EdDSA", "kid": "ed", "typ": "at+jwt"})
}

fn claims_json() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": NOW_S - 10, "nbf": NOW_S - 10,
        "exp": NOW_S + 3_600, "jti": "t-1", "tid": "t1", "azp": "app-1",
        "groups": ["fraud-team"], "roles": ["Model.Infer"], "scp": "read write",
    })
}

fn changed(mut base: Value, changes: &Value) -> Value {
    let fields = base.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    base
}

#[test]
fn a_good_token_says_who_it_is_and_no_more() {
    let rig = Rig::new(rules());
    for kid in [json!({}), json!({"kid": "ec", "alg": "ES256", "typ": null}), json!({"typ": "JWT"})]
    {
        let credential = rig.try_with(&kid, &json!({})).unwrap();
        assert_eq!(credential.principal().name.as_str(), "corp/alice");
        assert_eq!(credential.principal().proof.describe(), "oidc:corp");
        assert_eq!(credential.expires_s(), NOW_S + 3_660);
        assert_eq!((credential.method(), credential.strength()), ("oidc", 0));
        let groups: Vec<_> = credential.groups().iter().map(AsRef::as_ref).collect();
        let all =
            ["corp/fraud-team", "corp/role:Model.Infer", "corp/scope:read", "corp/scope:write"];
        assert_eq!(groups, all);
        assert_eq!(credential.identity().client.as_deref(), Some("app-1"));
        assert_eq!(credential.identity().token_id.as_deref(), Some("t-1"));
    }
    let list = rig.try_with(&json!({}), &json!({"aud": ["other", AUDIENCE], "roles": "one"}));
    assert!(list.unwrap().groups().contains(&"corp/role:one".into()));
}

/// Every kind of forgery that needs no key, and every misuse of a genuine token.
#[test]
fn every_forged_or_misused_token_is_refused_with_its_own_reason() {
    use TokenFailure as F;
    let rig = Rig::new(rules());
    for (header, claims, expected) in [
        (json!({"alg": "none"}), json!({}), F::Algorithm),
        (json!({"alg": "None"}), json!({}), F::Algorithm),
        (json!({"alg": "HS256"}), json!({}), F::Algorithm),
        (json!({"alg": "eddsa"}), json!({}), F::Algorithm),
        (json!({"alg": "ES512"}), json!({}), F::Algorithm),
        (json!({"alg": "PS256"}), json!({}), F::Algorithm),
        (json!({"alg": "ES256"}), json!({}), F::Algorithm),
        (json!({"alg": "RS256"}), json!({}), F::Algorithm),
        (json!({"alg": "EdDSA", "kid": "ec"}), json!({}), F::Algorithm),
        (json!({"kid": "nobody"}), json!({}), F::UnknownKey),
        (json!({"kid": "../../../dev/null"}), json!({}), F::UnknownKey),
        (json!({"kid": "ed' OR '1'='1"}), json!({}), F::UnknownKey),
        (json!({"kid": null}), json!({}), F::UnknownKey),
        (json!({"kid": 7}), json!({}), F::Malformed),
        (json!({"crit": ["b64"], "b64": false}), json!({}), F::Header),
        (json!({"jku": "https://evil.example/jwks"}), json!({}), F::Header),
        (json!({"jwk": {"kty": "OKP"}}), json!({}), F::Header),
        (json!({"x5u": "https://evil.example/"}), json!({}), F::Header),
        (json!({"zip": "DEF"}), json!({}), F::Header),
        (json!({"typ": "dpop+jwt"}), json!({}), F::Kind),
        (json!({"typ": "logout+jwt"}), json!({}), F::Kind),
        (json!({}), json!({"iss": "https://login.example/t2/v2.0"}), F::UnknownIssuer),
        (json!({}), json!({"iss": format!("{ISSUER}/")}), F::UnknownIssuer),
        (json!({}), json!({"iss": null}), F::UnknownIssuer),
        (json!({}), json!({"iss": [ISSUER]}), F::Malformed),
        (json!({}), json!({"aud": "api://bartizan-prod/"}), F::Audience),
        (json!({}), json!({"aud": "api://bartizan"}), F::Audience),
        (json!({}), json!({"aud": []}), F::Audience),
        (json!({}), json!({"aud": null}), F::Audience),
        (json!({}), json!({"exp": null}), F::Expired),
        (json!({}), json!({"exp": NOW_S - 60}), F::Expired),
        (json!({}), json!({"exp": "9999999999"}), F::Malformed),
        (json!({}), json!({"exp": 1e300}), F::Malformed),
        (json!({}), json!({"exp": -1}), F::Malformed),
        (json!({}), json!({"nbf": NOW_S + 61}), F::NotYet),
        (json!({}), json!({"iat": NOW_S + 61}), F::NotYet),
        (json!({}), json!({"exp": NOW_S + 86_391}), F::TooLongLived),
        (json!({}), json!({"iat": null, "exp": NOW_S + 86_401}), F::TooLongLived),
        (json!({}), json!({"sub": null}), F::Subject),
        (json!({}), json!({"sub": ""}), F::Subject),
        (json!({}), json!({"azp": "app-1", "appid": "app-2"}), F::Client),
        (json!({}), json!({"hasgroups": true}), F::GroupOverage),
        (json!({}), json!({"groups": null, "_claim_names": {"groups": "src1"}}), F::GroupOverage),
        (json!({}), json!({"cnf": {"jkt": "abc"}}), F::ForeignBinding),
        (json!({}), json!({"cnf": {}}), F::ForeignBinding),
        (json!({}), json!({"cnf": {"x5t#S256": "short"}}), F::Malformed),
        (json!({}), json!({"cnf": {"x5t#S256": encode(&[1; 32])}}), F::OtherCertificate),
        (json!({}), json!({"groups": vec!["g"; 257]}), F::Malformed),
        (json!({}), json!({"groups": ["g".repeat(513)]}), F::Malformed),
        (json!({}), json!({"jti": "j".repeat(TOKEN_BYTES_MAX)}), F::TooLong),
    ] {
        let got = rig.try_with(&header, &claims);
        assert_eq!(got.map(|_| ()).unwrap_err(), expected, "{header} {claims}");
    }
    assert_eq!(rig.issuers.n_cached(), rig.try_with(&json!({}), &json!({})).map_or(9, |_| 1));
}

/// Both sides of each edge of time, skew included.
#[test]
fn a_token_is_good_exactly_while_it_says() {
    let rig = Rig::new(rules());
    let token = rig.signed(&json!({}), &json!({}));
    for round in 0..2 {
        for (now_s, failure) in [
            (NOW_S - 71, Some(TokenFailure::NotYet)),
            (NOW_S - 70, None),
            (NOW_S + 3_659, None),
            (NOW_S + 3_660, Some(TokenFailure::Expired)),
        ] {
            assert_eq!(rig.ask(&token, now_s).err(), failure, "{now_s} in round {round}");
        }
    }
    assert_eq!(rig.issuers.n_cached(), 1);
}

#[test]
fn a_changed_token_is_refused_wherever_it_is_changed() {
    let rig = Rig::new(rules());
    let token = rig.signed(&json!({}), &json!({}));
    assert!(rig.ask(&token, NOW_S).is_ok());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(changed == token || rig.ask(&changed, NOW_S).is_err(), "changed at {at}");
    }
    // The other issuer's key, the right id.
    let other = Authority {
        ed: Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap(),
        ..Authority::new()
    };
    let forged = other.sign(&header_json(), &claims_json());
    assert_eq!(rig.ask(&forged, NOW_S).err(), Some(TokenFailure::Signature));
}

/// A public key's bytes are no secret of an HMAC (CVE-2015-9235), and `alg: none` needs none.
#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let rig = Rig::new(rules());
    let public = rig.authority.ed.public_key().as_ref().to_vec();
    let jwks = rig.authority.jwks().to_string();
    for secret in [public.as_slice(), jwks.as_bytes(), b""] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        for alg in ["HS256", "EdDSA", "RS256", "none"] {
            let header = changed(header_json(), &json!({"alg": alg}));
            let signed = format!(
                "{}.{}",
                encode(header.to_string().as_bytes()),
                encode(claims_json().to_string().as_bytes())
            );
            let tag = hmac::sign(&key, signed.as_bytes());
            for signature in [encode(tag.as_ref()), String::new()] {
                assert!(rig.ask(&format!("{signed}.{signature}"), NOW_S).is_err(), "{alg}");
            }
        }
    }
}

/// T1.
#[test]
fn a_name_said_twice_is_refused() {
    let rig = Rig::new(rules());
    for (name, value) in [("sub", "\"bob\""), ("aud", "\"x\""), ("exp", "1"), ("iss", "\"x\"")] {
        let text = claims_json().to_string();
        let twice = format!("{{\"{name}\":{value},{}", &text[1..]);
        let signed = format!(
            "{}.{}",
            encode(header_json().to_string().as_bytes()),
            encode(twice.as_bytes())
        );
        let signature = encode(rig.authority.ed.sign(signed.as_bytes()).as_ref());
        let got = rig.ask(&format!("{signed}.{signature}"), NOW_S);
        assert_eq!(got.err(), Some(TokenFailure::Malformed), "{name}");
    }
}

#[test]
fn tenant_client_kind_and_binding_are_held_where_they_are_set() {
    use TokenFailure as F;
    let strict = IssuerRules {
        kind: IssuerKind::Entra,
        tenant: Some("t1".into()),
        clients: BTreeSet::from(["app-1".to_owned()]),
        kinds: TokenKinds::AccessOnly,
        ..rules()
    };
    let rig = Rig::new(strict.clone());
    let person = json!({"oid": "0f-9"});
    assert_eq!(rig.try_with(&json!({}), &person).unwrap().principal().name.as_str(), "corp/0f-9");
    for (header, claims, expected) in [
        (json!({}), json!({}), F::Subject),
        (json!({}), json!({"oid": "0f-9", "tid": "t2"}), F::Tenant),
        (json!({}), json!({"oid": "0f-9", "tid": null}), F::Tenant),
        (json!({}), json!({"oid": "0f-9", "azp": "app-2"}), F::Client),
        (json!({}), json!({"oid": "0f-9", "azp": null}), F::Client),
        (json!({"typ": "JWT"}), person.clone(), F::Kind),
        (json!({"typ": null}), person.clone(), F::Kind),
    ] {
        assert_eq!(rig.try_with(&header, &claims).err(), Some(expected), "{header} {claims}");
    }
    let bound = Rig::new(IssuerRules { needs_binding: true, ..strict });
    assert_eq!(bound.try_with(&json!({}), &person).err(), Some(F::Unbound));
}

#[test]
fn a_service_account_is_named_by_its_cluster_and_bound_to_its_pod() {
    let rig = Rig::new(IssuerRules { kind: IssuerKind::Kubernetes, ..rules() });
    let said = |namespace: &str, pod: Value| {
        json!({
            "sub": "system:serviceaccount:fraud:scorer",
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": "scorer", "uid": "u1"},
                "pod": pod,
            },
        })
    };
    let pod = json!({"name": "scorer-0", "uid": "p1"});
    let credential = rig.try_with(&json!({}), &said("fraud", pod.clone())).unwrap();
    assert_eq!(credential.principal().name.as_str(), "corp/fraud/scorer");
    assert_eq!(credential.identity().pod_uid.as_deref(), Some("p1"));
    for (claims, expected) in [
        (said("other", pod), TokenFailure::Subject),
        (said("fraud", json!({"name": "x", "uid": ""})), TokenFailure::NoPod),
        (said("fraud", Value::Null), TokenFailure::NoPod),
        (json!({}), TokenFailure::NoPod),
    ] {
        assert_eq!(rig.try_with(&json!({}), &claims).err(), Some(expected), "{claims}");
    }
}

/// The cached keys go on until their limit, then their tokens are refused, seen before or not.
#[test]
fn keys_that_were_not_seen_for_long_are_no_use() {
    let long = IssuerRules { life_s_max: 400_000, ..rules() };
    let rig = Rig::new(long.clone());
    let token = rig.signed(&json!({}), &json!({"exp": NOW_S + 300_000}));
    assert!(rig.ask(&token, NOW_S + 86_399).is_ok());
    assert_eq!(rig.ask(&token, NOW_S + 86_400).err(), Some(TokenFailure::StaleKeys));
    let other = rig.signed(&json!({}), &json!({"exp": NOW_S + 300_000, "jti": "2"}));
    assert_eq!(rig.ask(&other, NOW_S + 86_400).err(), Some(TokenFailure::StaleKeys));
    let without = Issuers::new(vec![Issuer { rules: Arc::new(long), keys: None }]);
    let refused = without.authenticate(&token, None, &rig.ring, NOW_S).unwrap_err();
    assert_eq!(refused.failure, TokenFailure::NoKeys);
    assert_eq!(refused.ask_again.map(|ask| ask.issuer.to_string()).as_deref(), Some("corp"));
}

/// H2: with a key gone, so are its tokens, though they were seen before.
#[test]
fn a_key_that_is_gone_takes_its_tokens_along() {
    let rig = Rig::new(rules());
    let token = rig.signed(&json!({}), &json!({}));
    assert!(rig.ask(&token, NOW_S).is_ok());
    let mut jwks = rig.authority.jwks();
    jwks["keys"].as_array_mut().unwrap().remove(0);
    let rotated = rig.issuers.with_keys(&"corp".parse().unwrap(), Arc::new(set(&jwks).unwrap()));
    let refused = rotated.authenticate(&token, None, &rig.ring, NOW_S).unwrap_err();
    assert_eq!(refused.failure, TokenFailure::UnknownKey);
    assert_eq!(refused.ask_again.map(|ask| ask.issuer.to_string()).as_deref(), Some("corp"));
    assert_ne!(rotated.digest(), rig.issuers.digest());
}

/// H1: strangers do not fill the cache, and good tokens no further than its limit.
#[test]
fn the_cache_is_bounded() {
    let rig = Rig::new(rules());
    for n in 0..50 {
        assert!(rig.try_with(&json!({"kid": format!("k{n}")}), &json!({})).is_err());
    }
    assert_eq!(rig.issuers.n_cached(), 0);
    let verified =
        super::verify::verify(&rig.signed(&json!({}), &json!({})), rig.issuers.all(), NOW_S);
    let (verified, cache) = (Arc::new(verified.unwrap()), TokenCache::default());
    for n in 0..2 * CACHE_LEN_MAX {
        cache.keep(bartizan_core::Digest::of(&n.to_be_bytes()), verified.clone());
        assert!(cache.len() <= CACHE_LEN_MAX, "{n}");
    }
}

/// J1, J2 and J3.
#[test]
fn only_keys_that_can_be_trusted_are_taken() {
    let authority = Authority::new();
    let good = authority.jwks()["keys"][0].clone();
    let rsa = |n: usize, first: u8, e: &[u8]| {
        let mut modulus = vec![first];
        modulus.resize(n, 0xff);
        json!({"kty": "RSA", "kid": "r", "n": encode(&modulus), "e": encode(e)})
    };
    for (key, taken) in [
        (rsa(256, 0x80, &[1, 0, 1]), true),
        (rsa(512, 0xff, &[1, 0, 1]), true),
        (rsa(256, 0x7f, &[1, 0, 1]), false),
        (rsa(513, 0x01, &[1, 0, 1]), false),
        (rsa(256, 0x80, &[3]), false),
        (rsa(256, 0x80, &[1, 0, 0]), false),
        (rsa(256, 0x80, &[1, 0, 0, 0, 1]), false),
        (changed(good.clone(), &json!({"kid": "x", "use": "enc"})), false),
        (changed(good.clone(), &json!({"kid": "x", "d": "AA"})), false),
        (changed(good.clone(), &json!({"kid": "x", "k": "AA"})), false),
        (changed(good.clone(), &json!({"kid": "x", "alg": "HS256"})), false),
        (changed(good.clone(), &json!({"kid": "x", "alg": "ES256"})), false),
        (changed(good.clone(), &json!({"kid": "x", "key_ops": ["sign"]})), false),
        (changed(good.clone(), &json!({"kid": "x", "x": "AA"})), false),
        (changed(good.clone(), &json!({"kid": ""})), false),
        (json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0"}), false),
        (json!({"kty": "EC", "crv": "secp256k1", "kid": "b", "x": "AA", "y": "AA"}), false),
    ] {
        let read = set(&json!({"keys": [good, key]})).unwrap();
        assert_eq!(read.n_keys(), if taken { 2 } else { 1 }, "{key}");
        assert_eq!(read.left_out().len(), usize::from(!taken), "{key}");
    }
    assert_eq!(set(&json!({"keys": [good, good]})).unwrap_err(), JwkSetError::Twice);
    assert!(matches!(set(&json!({"keys": []})), Err(JwkSetError::Empty { .. })));
    assert!(matches!(set(&json!([])), Err(JwkSetError::Malformed { .. })));
    let many = vec![json!({"kty": "x"}); KEYS_MAX + 1];
    assert!(matches!(set(&json!({"keys": many})), Err(JwkSetError::TooMany { .. })));
    let long = json!({"keys": [good], "pad": "x".repeat(SET_BYTES_MAX)});
    assert!(matches!(set(&long), Err(JwkSetError::TooLong { .. })));
}

/// The standards' own examples: RFC 7515, A.2 (RS256) and A.3 (ES256), RFC 8037, A.4 (EdDSA).
#[test]
fn the_standards_examples_verify() {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    for (key, algorithm, signed, signature) in [
        (
            json!({"kty": "RSA", "kid": "k", "n": n, "e": "AQAB"}),
            Algorithm::Rs256,
            format!("eyJhbGciOiJSUzI1NiJ9.{payload}"),
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            json!({"kty": "EC", "crv": "P-256", "kid": "k",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
            Algorithm::Es256,
            format!("eyJhbGciOiJFUzI1NiJ9.{payload}"),
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "k",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            Algorithm::EdDsa,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let keys = set(&json!({"keys": [key]})).unwrap();
        let key = keys.find(Some("k"), algorithm).unwrap();
        let mut signature = decode(signature).unwrap();
        assert!(key.verifies(signed.as_bytes(), &signature), "{algorithm}");
        assert!(!key.verifies(&signed.as_bytes()[1..], &signature), "{algorithm}");
        signature[5] ^= 1;
        assert!(!key.verifies(signed.as_bytes(), &signature), "{algorithm}");
        signature.pop();
        assert!(!key.verifies(signed.as_bytes(), &signature), "{algorithm}");
    }
}

/// Two issuers: neither can speak for the other, though both use one key id.
#[test]
fn an_issuer_speaks_only_for_its_own() {
    let rig = Rig::new(rules());
    let other = Authority {
        ed: Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap(),
        ..Authority::new()
    };
    let second = IssuerRules {
        name: "partner".parse().unwrap(),
        issuer: "https://partner.example".into(),
        ..rules()
    };
    let keys = Some(Arc::new(set(&other.jwks()).unwrap()));
    let mut issuers = rig.issuers.all().to_vec();
    issuers.push(Issuer { rules: Arc::new(second), keys });
    let both = Issuers::new(issuers);
    let ask = |token: &str| both.authenticate(token, None, &rig.ring, NOW_S);
    let own = other
        .sign(&header_json(), &changed(claims_json(), &json!({"iss": "https://partner.example"})));
    let credential = ask(&own).unwrap();
    assert_eq!(credential.principal().name.as_str(), "partner/alice");
    assert!(credential.groups().iter().all(|group| group.starts_with("partner/")));
    let posing = other.sign(&header_json(), &claims_json());
    assert_eq!(ask(&posing).unwrap_err().failure, TokenFailure::Signature);
    assert_ne!(
        credential.principal().pseudonym,
        ask(&rig.signed(&json!({}), &json!({}))).unwrap().principal().pseudonym
    );
}

/// A token that is bound to a certificate is good beside that certificate and no other.
#[test]
fn a_bound_token_needs_its_certificate() {
    let rig = Rig::new(rules());
    let der = include_bytes!("../../testdata/svid.der");
    let shown = crate::PeerCertificate::parse(der).unwrap();
    let thumbprint = digest::digest(&digest::SHA256, der);
    let bound = |bytes: &[u8]| rig.signed(&json!({}), &json!({"cnf": {"x5t#S256": encode(bytes)}}));
    let good = bound(thumbprint.as_ref());
    let ask = |token: &str, shown| rig.issuers.authenticate(token, shown, &rig.ring, NOW_S);
    let credential = ask(&good, Some(&shown)).unwrap();
    assert_eq!(credential.identity().strength, Strength::Bound);
    assert!(credential.principal().proof.describe().starts_with("oidc:corp+mtls:"));
    let stolen = ask(&good, None).unwrap_err();
    assert_eq!(stolen.failure, TokenFailure::OtherCertificate);
    let mut other = thumbprint.as_ref().to_vec();
    other[0] ^= 1;
    assert_eq!(ask(&bound(&other), Some(&shown)).unwrap_err().failure, stolen.failure);
}
