//! The keeper against a small issuer on this machine.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bartizan_core::clock::NS_PER_S;
use bartizan_testkit::SimClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::https::{HttpsClient, HttpsSettings};

const KEY_A: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// Longer than any step takes, short enough for a failing test.
const AMPLE: Duration = Duration::from_secs(20);

/// An issuer that publishes what it is told to, and counts who looks.
struct Issuer {
    url: String,
    n_looks: Arc<AtomicUsize>,
    says: Arc<Mutex<String>>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (n_looks, says) = (Arc::<AtomicUsize>::default(), Arc::new(Mutex::new(KEY_A.into())));
        let issuer = Self { url: url.clone(), n_looks: n_looks.clone(), says: says.clone() };
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                        break;
                    }
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let body = if head.contains("openid-configuration") {
                    format!("{{\"issuer\":\"{url}\",\"jwks_uri\":\"{url}/keys\"}}")
                } else {
                    n_looks.fetch_add(1, Ordering::SeqCst);
                    says.lock().unwrap().clone()
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        issuer
    }

    fn source(&self) -> Source {
        let client = HttpsClient::new(HttpsSettings::default()).unwrap();
        Source { issuer: self.url.clone(), keys: KeysAt::Discovery, client }
    }

    fn n_looks(&self) -> usize {
        self.n_looks.load(Ordering::SeqCst)
    }

    fn say(&self, text: &str) {
        *self.says.lock().unwrap() = text.to_owned();
    }
}

struct Stage {
    issuer: Issuer,
    keeper: KeyKeeper,
    clock: Arc<SimClock>,
    news: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    /// A keeper at work whose first look has ended.
    async fn start() -> Self {
        let issuer = Issuer::start().await;
        let clock = Arc::new(SimClock::new(1_795_564_800 * NS_PER_S));
        let algorithms = BTreeSet::from([Algorithm::EdDsa]);
        let issuers = [("corp".parse().unwrap(), issuer.source(), algorithms)];
        let keeper = KeyKeeper::new(issuers, clock.clone());
        let news = Arc::new(Mutex::new(Vec::new()));
        let (running, heard) = (keeper.clone(), news.clone());
        tokio::spawn(async move {
            let listener: Listener = Arc::new(move |one| {
                heard.lock().unwrap().push(match one {
                    KeyNews::Changed { keys, .. } => format!("changed {}", keys.n_keys()),
                    KeyNews::Same { .. } => "same".to_owned(),
                    KeyNews::Failed { error, .. } => format!("failed: {error}"),
                });
            });
            running.run(listener).await;
        });
        let stage = Self { issuer, keeper, clock, news };
        let begun = Instant::now();
        while stage.news.lock().unwrap().is_empty() {
            assert!(begun.elapsed() < AMPLE, "no first look");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stage
    }

    fn pass(&self, span: Duration) {
        self.clock.advance(nanos(span));
    }

    async fn look(&self, id: &str) -> bool {
        self.keeper.look_again(&ask(id)).await
    }

    fn news(&self) -> Vec<String> {
        self.news.lock().unwrap().clone()
    }
}

fn ask(id: &str) -> AskAgain {
    AskAgain { issuer: "corp".parse().unwrap(), key_id: Digest::of(id.as_bytes()) }
}

/// I1 and I2: a hundred thousand unknown key ids are one look in ten seconds; those that ask at
/// one time share it.
#[tokio::test]
async fn unknown_key_ids_cannot_drive_an_issuer() {
    let stage = Stage::start().await;
    assert_eq!((stage.news(), stage.issuer.n_looks()), (vec!["changed 1".to_owned()], 1));
    for n in 0..100_000 {
        assert!(!stage.look(&format!("k{n}")).await, "a look within the pause");
    }
    assert_eq!(stage.issuer.n_looks(), 1);
    stage.pass(LOOK_PAUSE);
    let many: Vec<_> = (0..50)
        .map(|n| {
            let keeper = stage.keeper.clone();
            tokio::spawn(async move { keeper.look_again(&ask(&format!("k{n}"))).await })
        })
        .collect();
    let mut n_looked = 0;
    for one in many {
        n_looked += usize::from(one.await.unwrap());
    }
    assert!(1 <= n_looked, "nobody waited for the look");
    assert_eq!(stage.issuer.n_looks(), 2);
    stage.keeper.note_absent(&ask("bad"));
    stage.pass(LOOK_PAUSE);
    assert!(!stage.look("bad").await, "a bad id was looked for again");
    assert!(stage.look("other").await);
    stage.pass(BAD_ID_MAX);
    assert!(stage.look("bad").await, "a bad id is forgotten in time");
    assert_eq!(stage.issuer.n_looks(), 4);
}

/// I3: what is published badly, or not at all, leaves the keys that there are.
#[tokio::test]
async fn a_poisoned_set_is_no_news() {
    let stage = Stage::start().await;
    for (text, said) in [
        ("<html>", "failed"),
        (r#"{"keys":[]}"#, "failed"),
        (r#"{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}"#, "failed"),
        (KEY_A, "same"),
    ] {
        stage.issuer.say(text);
        stage.pass(LOOK_PAUSE);
        assert!(stage.look(text).await);
        assert!(stage.news().last().unwrap().starts_with(said), "{text}: {:?}", stage.news());
    }
    stage.issuer.say(&KEY_A.replace("\"a\"", "\"b\""));
    stage.pass(LOOK_PAUSE);
    assert!(stage.look("b").await);
    assert_eq!(stage.news().last().unwrap(), "changed 1");
    let stranger = AskAgain { issuer: "other".parse().unwrap(), key_id: Digest::of(b"") };
    assert!(!stage.keeper.look_again(&stranger).await);
}

/// I4.
#[tokio::test]
async fn only_the_issuers_own_document_counts() {
    let issuer = Issuer::start().await;
    let good = issuer.source();
    assert!(good.fetch().await.is_ok());
    let slash = Source { issuer: format!("{}/", issuer.url), ..good.clone() };
    let error = slash.fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::OtherIssuer { .. }), "{error}");
    let direct = Source { keys: KeysAt::Url(format!("{}/keys", issuer.url)), ..good.clone() };
    assert_eq!(direct.fetch().await.unwrap(), KEY_A.as_bytes());
    let plain = Source { keys: KeysAt::Url("http://192.0.2.1/keys".into()), ..good.clone() };
    assert!(matches!(plain.fetch().await.unwrap_err(), FetchError::Https { .. }));
    let absent = Source { keys: KeysAt::File("/nonexistent/keys".into()), ..good };
    assert!(matches!(absent.fetch().await.unwrap_err(), FetchError::File(_)));
}
