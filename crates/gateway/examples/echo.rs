//! The floor that `cargo xtask bench serve` measures against: hyper, HTTP/1.1, one thread, one
//! reply of a given size for every body, nothing else. It knows nothing of the gateway.
//!
//! `echo REPLY_BYTES [CERTIFICATE_PEM KEY_PEM]` listens on a free loopback port, prints
//! `listening on ADDRESS`, and serves until it is killed.

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (reply_bytes, tls) = match args.as_slice() {
        [reply] => (reply.parse()?, None),
        [reply, certificate, key] => (reply.parse()?, Some(acceptor(certificate, key)?)),
        _ => return Err("usage: echo REPLY_BYTES [CERTIFICATE_PEM KEY_PEM]".into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(listen(reply_bytes, tls))
}

fn acceptor(certificate: &str, key: &str) -> Result<TlsAcceptor, Box<dyn Error>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn listen(reply_bytes: usize, tls: Option<TlsAcceptor>) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let reply = Bytes::from(vec![b' '; reply_bytes]);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (reply, tls) = (reply.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, reply).await,
                Some(tls) => {
                    // A peer that fails the handshake has no one to tell.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, reply).await;
                    }
                }
            }
        });
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, reply: Bytes) {
    let service = service_fn(move |request: Request<Incoming>| {
        let reply = reply.clone();
        async move {
            // A body that is cut short ends the connection anyway.
            let _ = request.into_body().collect().await;
            Ok::<_, Infallible>(Response::new(Full::new(reply)))
        }
    });
    // A peer that goes away has no one to tell.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
