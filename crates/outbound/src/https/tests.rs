//! The client against servers on this machine, good and bad.

use std::io;
use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

/// Long enough that only a failing test meets it.
const AMPLE: Duration = Duration::from_secs(20);
/// Short enough that a test of a deadline does not take long.
const SHORT: Duration = Duration::from_millis(150);

/// An authority, and what it has signed for `localhost`.
struct Authority {
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

#[derive(Clone, Copy, PartialEq)]
enum Valid {
    Now,
    Expired,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { root, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str, valid: Valid) -> ClientIdentity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if valid == Valid::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ClientIdentity { chain: vec![leaf.der().clone()], key }
    }

    fn settings(&self) -> HttpsSettings {
        HttpsSettings {
            roots: Roots::Only(vec![self.root.clone()]),
            connect: AMPLE,
            deadline: AMPLE,
            answer_bytes_max: 1_000,
            ..HttpsSettings::default()
        }
    }
}

/// What a server says to every request on every connection, then hangs up or keeps open.
#[derive(Clone)]
enum Script {
    Say(Vec<u8>),
    SayAndHold(Vec<u8>),
    Hang,
    Reset,
}

fn answer(head: &str, body: &str) -> Script {
    Script::Say(format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes())
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves `script` over TLS (or plain, without an identity); gives `host:port`.
async fn serve(script: Script, config: Option<ServerConfig>) -> String {
    let (listener, address) = listen().await;
    let tls = config.map(|config| TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (script, tls) = (script.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None if matches!(script, Script::Reset) => reset(socket),
                    None => play(socket, script).await,
                    Some(tls) => match tls.accept(socket).await {
                        Ok(stream) => play(stream, script).await,
                        Err(_) => Ok(()),
                    },
                }
            });
        }
    });
    format!("localhost:{}", address.port())
}

/// Closing with data unread, and no linger, makes the kernel send a reset.
fn reset(socket: TcpStream) -> io::Result<()> {
    socket.set_zero_linger()
}

async fn play(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    script: Script,
) -> io::Result<()> {
    let mut head = [0; 4_096];
    if stream.read(&mut head).await? == 0 {
        return Ok(());
    }
    match script {
        Script::Say(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Script::SayAndHold(bytes) => {
            stream.write_all(&bytes).await?;
            std::future::pending().await
        }
        Script::Hang => std::future::pending().await,
        Script::Reset => Ok(()),
    }
}

fn server(identity: ClientIdentity) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .unwrap()
}

fn get(url: &str) -> http::Request<Bytes> {
    http::Request::get(url).header("authorization", "Bearer secret").body(Bytes::new()).unwrap()
}

async fn ask(settings: HttpsSettings, url: &str) -> Result<http::Response<Bytes>, HttpsError> {
    HttpsClient::new(settings).unwrap().send(get(url)).await
}

/// The whole chain of an error, as the edge prints it.
fn chain(error: &HttpsError) -> String {
    let mut text = error.to_string();
    let mut link = std::error::Error::source(error);
    while let Some(at) = link {
        text = format!("{text}: {at}");
        link = at.source();
    }
    text
}

/// H1: the right certificate is answered and told; a stranger's, another name's and an expired
/// one are each refused, and the error says which.
#[tokio::test]
async fn only_a_certificate_of_the_roots_for_the_name_and_for_now_is_believed() {
    let (ours, other) = (Authority::new(), Authority::new());
    let said = answer("200 OK\r\ncontent-length: 2", "ok");
    let good = ours.sign("localhost", Valid::Now);
    let shown = good.chain[0].clone();
    let at = serve(said.clone(), Some(server(good))).await;
    let answered = ask(ours.settings(), &format!("https://{at}/x")).await.unwrap();
    assert_eq!((answered.status().as_u16(), &answered.body()[..]), (200, &b"ok"[..]));
    let peer = answered.extensions().get::<PeerCertificate>().unwrap();
    assert_eq!(peer.0, bartizan_core::Digest::of(&shown));
    for (identity, words) in [
        // The other authority bears the same name, so that only its signature tells.
        (other.sign("localhost", Valid::Now), "BadSignature"),
        (ours.sign("elsewhere.example", Valid::Now), "elsewhere.example"),
        (ours.sign("localhost", Valid::Expired), "expired"),
    ] {
        let at = serve(said.clone(), Some(server(identity))).await;
        let error = ask(ours.settings(), &format!("https://{at}/x")).await.unwrap_err();
        assert!(matches!(error, HttpsError::Tls { .. }), "{error:?}");
        assert!(!error.is_transient());
        let told = chain(&error);
        assert!(told.contains(words) && told.contains(&at), "{told}");
    }
    let at = serve(said, None).await;
    let error = ask(ours.settings(), &format!("https://{at}/x")).await.unwrap_err();
    assert!(matches!(error, HttpsError::Tls { .. }), "plain answered as TLS: {error:?}");
}

/// A server that asks for a certificate gets ours; without one it refuses.
#[tokio::test]
async fn the_client_shows_its_certificate_to_a_server_that_asks() {
    let ours = Authority::new();
    let mut roots = RootCertStore::empty();
    roots.add(ours.root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let identity = ours.sign("localhost", Valid::Now);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(identity.chain, identity.key)
        .unwrap();
    let at = serve(answer("200 OK\r\ncontent-length: 0", ""), Some(config)).await;
    let url = format!("https://{at}/x");
    let mine = ours.sign("client.example", Valid::Now);
    assert_eq!(format!("{mine:?}"), "ClientIdentity([redacted])");
    let settings = HttpsSettings { client_identity: Some(mine), ..ours.settings() };
    assert_eq!(ask(settings, &url).await.unwrap().status(), 200);
    assert!(ask(ours.settings(), &url).await.is_err());
}

/// H2 from both sides: loopback by name and number is taken, another machine is not, whatever
/// its name; one that is allowed by name is tried.
#[tokio::test]
async fn plain_http_stays_on_this_machine_unless_a_host_is_named() {
    let at = serve(answer("200 OK\r\ncontent-length: 0", ""), None).await;
    let settings = HttpsSettings { deadline: AMPLE, ..HttpsSettings::default() };
    assert_eq!(ask(settings.clone(), &format!("http://{at}/")).await.unwrap().status(), 200);
    let by_number = at.replace("localhost", "127.0.0.1");
    let answered = ask(settings.clone(), &format!("http://{by_number}/")).await.unwrap();
    assert!(answered.extensions().get::<PeerCertificate>().is_none());
    // An address of a network for documentation (RFC 5737): nothing is sent there.
    let refused = ask(settings.clone(), "http://192.0.2.1/").await.unwrap_err();
    assert!(matches!(refused, HttpsError::Plain { .. }), "{refused:?}");
    let allowed = PlainHttp::AlsoTo(["192.0.2.1".to_owned()].into());
    let settings = HttpsSettings { plain_http: allowed, connect: SHORT, ..settings };
    let tried = ask(settings, "http://192.0.2.1/").await.unwrap_err();
    assert!(!matches!(tried, HttpsError::Plain { .. }), "{tried:?}");
}

/// H3: a server that never answers, one that stops within its answer, and one that never
/// finishes the handshake are left at the deadline.
#[tokio::test]
async fn a_server_that_hangs_is_left_at_the_deadline() {
    let ours = Authority::new();
    let short = HttpsSettings { deadline: SHORT, ..ours.settings() };
    let half = Script::SayAndHold(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec());
    for script in [Script::Hang, half] {
        let config = server(ours.sign("localhost", Valid::Now));
        let at = serve(script, Some(config)).await;
        let error = ask(short.clone(), &format!("https://{at}/x")).await.unwrap_err();
        assert!(matches!(error, HttpsError::Deadline { limit, .. } if limit == SHORT), "{error:?}");
        assert!(error.is_transient());
    }
    let at = serve(Script::Hang, None).await;
    let slow_tls = HttpsSettings { connect: SHORT, ..ours.settings() };
    let error = ask(slow_tls, &format!("https://{at}/x")).await.unwrap_err();
    assert!(matches!(error, HttpsError::ConnectDeadline { .. }), "{error:?}");
}

/// H3: requests beyond the limit wait for their turn, and no longer than their deadline.
#[tokio::test]
async fn requests_beyond_the_limit_wait_within_their_deadline() {
    let at = serve(Script::Hang, None).await;
    let settings = HttpsSettings { requests_max: 1, deadline: AMPLE, ..HttpsSettings::default() };
    let client = HttpsClient::new(settings).unwrap();
    let url = format!("http://{at}/");
    let first = tokio::spawn({
        let (client, url) = (client.clone(), url.clone());
        async move { client.send(get(&url)).await }
    });
    while client.turns.available_permits() == 1 {
        tokio::task::yield_now().await;
    }
    let error = client.send_within(get(&url), SHORT).await.unwrap_err();
    assert!(matches!(error, HttpsError::Deadline { .. }), "{error:?}");
    first.abort();
    let _ = first.await;
    assert_eq!(client.turns.available_permits(), 1, "a turn came back");
}

/// H3: the last length that is taken, and the first that is not, claimed or not claimed.
#[tokio::test]
async fn an_answer_beyond_the_limit_is_refused_where_it_passes_it() {
    let ours = Authority::new();
    for (n_bytes, is_taken) in [(1_000, true), (1_001, false)] {
        let body = "x".repeat(n_bytes);
        for head in ["200 OK".to_owned(), format!("200 OK\r\ncontent-length: {n_bytes}")] {
            let config = server(ours.sign("localhost", Valid::Now));
            let at = serve(answer(&head, &body), Some(config)).await;
            match ask(ours.settings(), &format!("https://{at}/x")).await {
                Ok(answered) => assert!(is_taken && answered.body().len() == n_bytes, "{head}"),
                Err(HttpsError::TooLarge { limit_bytes, .. }) => {
                    assert!(!is_taken && limit_bytes == 1_000, "{head}");
                }
                Err(error) => panic!("{head}: {error:?}"),
            }
        }
    }
    let endless = "HTTP/1.1 200 OK\r\nx: ".to_owned() + &"y".repeat(HEAD_BYTES_MAX + 1);
    let config = server(ours.sign("localhost", Valid::Now));
    let at = serve(Script::SayAndHold(endless.into_bytes()), Some(config)).await;
    let error = ask(ours.settings(), &format!("https://{at}/x")).await.unwrap_err();
    assert!(matches!(error, HttpsError::Broken { .. }), "{error:?}");
}

/// A length that the body does not keep, a reset, and bytes that are not HTTP are errors, never
/// half an answer.
#[tokio::test]
async fn half_an_answer_is_an_error() {
    let cut = answer("200 OK\r\ncontent-length: 900", "short");
    let no_http = Script::Say(b"SSH-2.0-OpenSSH\r\n".to_vec());
    let chunked = answer("200 OK\r\ntransfer-encoding: chunked", "5\r\nab");
    for script in [cut, no_http, chunked, Script::Reset] {
        let at = serve(script, None).await;
        let error = ask(HttpsSettings::default(), &format!("http://{at}/x")).await.unwrap_err();
        assert!(matches!(error, HttpsError::Broken { .. }), "{error:?}");
    }
    let (listener, address) = listen().await;
    drop(listener);
    let error = ask(HttpsSettings::default(), &format!("http://{address}/x")).await.unwrap_err();
    assert!(matches!(error, HttpsError::Socket { .. }), "{error:?}");
}

/// H4 and H5: a redirect is an error that names its target, without what a query or a name could
/// give away; 304 is an answer.
#[tokio::test]
async fn a_redirect_is_named_and_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let to = "https://user:secret@other.example/next?token=secret";
        let head = format!("{status} Moved\r\nlocation: {to}\r\ncontent-length: 0");
        let at = serve(answer(&head, ""), None).await;
        let error = ask(HttpsSettings::default(), &format!("http://{at}/x?k=secret")).await;
        let error = error.unwrap_err();
        assert!(matches!(&error, HttpsError::Redirect { status: s, .. } if *s == status));
        let told = format!("{error} {error:?}");
        assert!(told.contains("other.example/next") && !told.contains("secret"), "{told}");
    }
    let at = serve(answer("304 Not Modified", ""), None).await;
    let answered = ask(HttpsSettings::default(), &format!("http://{at}/x")).await.unwrap();
    assert_eq!(answered.status(), 304);
}

/// H5: no URL with a name and a password is asked, and no error repeats one.
#[tokio::test]
async fn credentials_in_a_url_are_refused_and_never_told() {
    for url in ["https://me:secret@example.com/", "ftp://secret.example/", "/secret"] {
        let error = ask(HttpsSettings::default(), url).await.unwrap_err();
        assert!(matches!(error, HttpsError::Url { .. }), "{url}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{url}");
    }
    let ours = Authority::new();
    let at = serve(Script::Reset, None).await;
    let error = ask(ours.settings(), &format!("https://{at}/secret?k=secret")).await.unwrap_err();
    assert!(!format!("{} {error:?}", chain(&error)).contains("secret"), "{error:?}");
}

/// HTTP/2 is spoken where TLS negotiates it, and one connection then carries every request.
#[tokio::test]
async fn http2_is_spoken_where_it_is_negotiated() {
    use hyper::service::service_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let ours = Authority::new();
    let mut config = server(ours.sign("localhost", Valid::Now));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tls = TlsAcceptor::from(Arc::new(config));
    let (listener, address) = listen().await;
    let n_connections = Arc::new(AtomicUsize::new(0));
    let counted = n_connections.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let stream = tls.accept(socket).await.unwrap();
            let echo = service_fn(|request: http::Request<Incoming>| async move {
                let body = request.into_body().collect().await?.to_bytes();
                Ok::<_, hyper::Error>(http::Response::new(Full::new(body)))
            });
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(hyper_util::rt::TokioIo::new(stream), echo);
            tokio::spawn(serving);
        }
    });
    let client = HttpsClient::new(ours.settings()).unwrap();
    for _ in 0..3 {
        let url = format!("https://localhost:{}/x", address.port());
        let asked = http::Request::post(&url).body(Bytes::from_static(b"abc")).unwrap();
        let answered = client.send(asked).await.unwrap();
        assert_eq!(answered.version(), http::Version::HTTP_2);
        assert_eq!(&answered.body()[..], b"abc");
        assert!(answered.extensions().get::<PeerCertificate>().is_some());
    }
    assert_eq!(n_connections.load(Ordering::Relaxed), 1);
}

/// Roots that are no certificates, and a key of another pair, are told at the start.
#[test]
fn roots_and_identity_are_checked_at_the_start() {
    let ours = Authority::new();
    for pem in ["", "-----BEGIN CERTIFICATE-----\nAA==\n", "no pem"] {
        assert!(matches!(Roots::from_pem(pem.as_bytes()), Err(HttpsError::Roots)), "{pem:?}");
    }
    let none = HttpsSettings { roots: Roots::Only(Vec::new()), ..HttpsSettings::default() };
    assert!(matches!(HttpsClient::new(none), Err(HttpsError::Roots)));
    let mut mixed = ours.sign("a.example", Valid::Now);
    mixed.key = ours.sign("b.example", Valid::Now).key;
    let settings = HttpsSettings { client_identity: Some(mixed), ..ours.settings() };
    assert!(matches!(HttpsClient::new(settings), Err(HttpsError::Identity(_))));
}
