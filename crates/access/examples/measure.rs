//! What a decision and a credential cost: 1,000 policies beside the starter's, 10,000 principals.
//!
//! `cargo xtask bench access`. Each figure is the median of many single calls, with its limit; the
//! program ends with failure where one is over it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for developers: it prints its table and ends at the first error"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bartizan_access::{
    AccessQuestion, Algorithm, Circumstances, Issuer, IssuerKind, IssuerRules, Issuers, JwkSet,
    KeyRing, Keys, MacKey, ModelScope, NewKey, Policies, PolicyAction, PolicyFile, Resource,
    Scopes, TokenKinds, Who, Zone, starter,
};
use bartizan_core::{ClockSource, Entropy, ModelName, ModelVersion, Stamp};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

const N_POLICIES: usize = 1_000;
const N_PRINCIPALS: usize = 10_000;
/// Single calls behind each figure.
const N_CALLS: usize = 10_000;
const NOW_S: u64 = 1_795_564_800;

/// A counter: this tool protects nothing.
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// One figure, in microseconds.
struct Figure {
    what: &'static str,
    p50_us: f64,
    p99_us: f64,
    limit_us: f64,
}

/// Times `call` with each of `0..n`.
fn figure(what: &'static str, limit_us: f64, n: usize, mut call: impl FnMut(usize)) -> Figure {
    let mut ns: Vec<u64> = (0..n)
        .map(|n| {
            let begin = Instant::now();
            call(n);
            begin.elapsed().as_nanos() as u64
        })
        .collect();
    ns.sort_unstable();
    let at = |part: usize| ns[n * part / 100] as f64 / 1_000.0;
    Figure { what, p50_us: at(50), p99_us: at(99), limit_us }
}

fn main() -> ExitCode {
    let mut figures = decisions();
    figures.extend(credentials());
    println!("{:<44}{:>10}{:>10}{:>10}", "what", "p50 us", "p99 us", "limit us");
    for Figure { what, p50_us, p99_us, limit_us } in &figures {
        println!("{what:<44}{p50_us:>10.2}{p99_us:>10.2}{limit_us:>10.0}");
    }
    let all = figures.iter().all(|figure| figure.p50_us < figure.limit_us);
    println!("{}", if all { "every median is within its limit" } else { "a limit is broken" });
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Policies of a group and a model each, ten principals a group.
fn policies() -> Policies {
    let mut own = String::new();
    let mut projects = String::from("[groups]\n");
    let per_group = N_PRINCIPALS / N_POLICIES;
    for n in 0..N_POLICIES {
        writeln!(
            own,
            "@id(\"own/{n}\")\npermit (principal in Group::\"g{n}\", action == Action::\"infer\", \
             resource in Model::\"m{n}\") when {{ context.zone != \"public\" }};"
        )
        .unwrap();
        let members: Vec<_> =
            (0..per_group).map(|k| format!("\"p{}\"", n * per_group + k)).collect();
        writeln!(projects, "g{n} = [{}]", members.join(", ")).unwrap();
    }
    let [first, _] = starter();
    let file = |name: &str, text: String| PolicyFile { name: name.into(), text };
    let files = [first, file("own.cedar", own)];
    let projects = file("projects.toml", projects);
    Policies::new("bench".parse().unwrap(), &files, Some(&projects)).unwrap()
}

fn decisions() -> Vec<Figure> {
    let policies = policies();
    let names: Vec<String> = (0..N_PRINCIPALS).map(|n| format!("p{n}")).collect();
    let models: Vec<ModelName> =
        (0..N_POLICIES).map(|n| format!("m{n}").parse().unwrap()).collect();
    let at = Stamp {
        wall_ns: NOW_S * 1_000_000_000,
        raw_ns: 0,
        mono_ns: 0,
        source: ClockSource::Simulated,
        error_ns: 0,
    };
    let question = |n: usize| AccessQuestion {
        who: Who::Principal {
            name: &names[n % N_PRINCIPALS],
            groups: &[],
            method: "api-key",
            strength: 0,
            scopes: &["infer"],
        },
        action: PolicyAction::Infer,
        resource: Resource::Model {
            name: &models[n % N_PRINCIPALS / (N_PRINCIPALS / N_POLICIES)],
            version: Some(ModelVersion::FIRST),
        },
        purpose: None,
        circumstances: Circumstances { listener: "inference", zone: Zone::Private, at },
    };
    let uncached = figure("an uncached decision", 60.0, N_CALLS, |n| {
        assert!(policies.decide_anew(&question(n)).is_allowed);
    });
    // Few enough that none takes another's place.
    let warm = 256;
    (0..warm).for_each(|n| drop(policies.decide(&question(n))));
    let cached = figure("a cached decision", 2.0, N_CALLS, |n| {
        assert!(policies.decide(&question(n % warm)).is_allowed);
    });
    vec![cached, uncached]
}

fn credentials() -> Vec<Figure> {
    let entropy = Counter(AtomicU64::new(1));
    let mut keys = Keys::new("bench".parse().unwrap(), MacKey::random(&entropy));
    let texts: Vec<String> = (0..N_PRINCIPALS)
        .map(|n| {
            let new = NewKey {
                principal: format!("p{n}").parse().unwrap(),
                scopes: Scopes::inference(ModelScope::All),
                ttl_s: 3_600,
            };
            keys.issue(&new, NOW_S, &entropy).unwrap().reveal().to_string()
        })
        .collect();
    let ring = keys.ring();
    let key = figure("an API key", 5.0, N_CALLS, |n| {
        assert!(ring.authenticate(&texts[n % N_PRINCIPALS], NOW_S).is_ok());
    });
    let (issuers, tokens) = tokens();
    let ask = |ring: &KeyRing, n: usize| {
        assert!(issuers.authenticate(&tokens[n], None, ring, NOW_S).is_ok());
    };
    let first = figure("a token at first sight (Ed25519)", 200.0, tokens.len(), |n| ask(&ring, n));
    let recent = tokens.len() - 1;
    let again = figure("a token seen before", 5.0, N_CALLS, |_| ask(&ring, recent));
    vec![key, again, first]
}

/// An issuer, and tokens of many of its subjects.
fn tokens() -> (Issuers, Vec<String>) {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig",
        "x": base64url(key.public_key().as_ref())}]});
    let rules = IssuerRules {
        name: "corp".parse().unwrap(),
        kind: IssuerKind::Oidc,
        issuer: "https://login.example".into(),
        audience: "api://bench".into(),
        algorithms: BTreeSet::from([Algorithm::EdDsa]),
        kinds: TokenKinds::Any,
        tenant: None,
        clients: BTreeSet::new(),
        skew_s: 60,
        life_s_max: 86_400,
        stale_s_max: 86_400,
        needs_binding: false,
        scopes: Scopes::inference(ModelScope::All),
    };
    let set = JwkSet::parse(jwks.to_string().as_bytes(), &rules.algorithms, NOW_S).unwrap();
    let issuers = Issuers::new(vec![Issuer { rules: Arc::new(rules), keys: Some(Arc::new(set)) }]);
    let header = base64url(json!({"alg": "EdDSA", "kid": "ed"}).to_string().as_bytes());
    let token = |n: usize| {
        let claims = json!({"iss": "https://login.example", "aud": "api://bench",
            "sub": format!("s{n}"), "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 3_600,
            "groups": ["fraud-team", "risk"]});
        let signed = format!("{header}.{}", base64url(claims.to_string().as_bytes()));
        format!("{signed}.{}", base64url(key.sign(signed.as_bytes()).as_ref()))
    };
    (issuers, (0..2_000).map(token).collect())
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for k in 0..=chunk.len() {
            text.push(char::from(DIGITS[(word >> (18 - 6 * k) & 63) as usize]));
        }
    }
    text
}
