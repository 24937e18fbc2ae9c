//! `bartizan conformance`: does a server of the Open Inference Protocol do what clients rely on?
//!
//! Any server, ours or another's, is asked the cases of `wire::conformance` one by one. Nothing is
//! recorded: it is asked as any client asks.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_outbound::https::{HttpsClient, HttpsError, HttpsSettings, Roots, Trailers};
use bartizan_wire::conformance::{Answer as Answered, Case, Question, Subject, cases};
use hyper::{Request, header};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Failure, Format, Outcome};
use crate::answer::Answer;
use crate::files;

/// Longest file that is read for it, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest answer that is taken, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Arguments of `bartizan conformance`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's address, like `https://localhost:8443`
    url: String,
    /// The model to ask
    model: String,
    /// Where it speaks gRPC, if not at the same address; `none` leaves gRPC out
    #[arg(long, value_name = "URL")]
    grpc: Option<String>,
    /// File with a request in JSON that the model answers; a row of ones where absent
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// File with the key or token to show
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// PEM file with the certificates to believe, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Shape of the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What came of one case.
#[derive(Debug, Serialize)]
struct Row {
    case: &'static str,
    asks: &'static str,
    holds: bool,
    /// What is there instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    /// What a client sees of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_sees: Option<&'static str>,
}

/// Runs `bartizan conformance`: yes where every case holds, no where one does not.
///
/// # Errors
/// Unknown where the server is not reached, or does not answer the plain request that the others
/// are held against.
pub(crate) fn run(args: &Args, out: &mut dyn io::Write) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asker = Asker::new(args)?;
    let rows = runtime.block_on(rows(args, &asker))?;
    let n_failed = rows.iter().filter(|row| !row.holds).count();
    match args.format {
        Format::Json => {
            let report = serde_json::json!({
                "server": args.url, "model": args.model, "cases": rows, "n_failed": n_failed,
            });
            writeln!(out, "{report:#}")?;
        }
        Format::Text => {
            for row in &rows {
                writeln!(out, "{}  {}", if row.holds { "ok    " } else { "FAILED" }, row.case)?;
                if let (Some(found), Some(sees)) = (&row.found, row.client_sees) {
                    writeln!(out, "        asked:  {}", row.asks)?;
                    writeln!(out, "        found:  {found}")?;
                    writeln!(out, "        client: {sees}")?;
                }
            }
            writeln!(out, "{} of {} cases hold", rows.len() - n_failed, rows.len())?;
        }
    }
    Ok(if n_failed == 0 { Answer::Yes } else { Answer::No })
}

async fn rows(args: &Args, asker: &Asker) -> Result<Vec<Row>, Failure> {
    let mut subject = subject(args, asker).await?;
    let plain = asker.ask(subject.plain_question()).await.map_err(Failure::unknown)?;
    subject.keep_answer(&plain).map_err(|found| {
        Failure::unknown(format!(
            "the server does not answer a plain request for `{}`: {found}; give one that it \
             answers with --request",
            args.model
        ))
    })?;
    let mut rows = Vec::new();
    for case in cases() {
        let question = case.question(&subject);
        if question.is_grpc && asker.grpc_url.is_none() {
            continue;
        }
        let found = match asker.ask(question).await {
            Ok(answer) => case.check(&subject, &answer).err(),
            Err(error) => Some(format!("no answer: {}", crate::log::Chain(&error))),
        };
        rows.push(row(case, found));
    }
    Ok(rows)
}

fn row(case: &Case, found: Option<String>) -> Row {
    let client_sees = found.is_some().then_some(case.sees);
    Row { case: case.id, asks: case.asks, holds: found.is_none(), found, client_sees }
}

async fn subject(args: &Args, asker: &Asker) -> Result<Subject, Failure> {
    if let Some(path) = &args.request {
        let json = files::read_bounded(path, FILE_BYTES_MAX).map_err(Failure::unknown)?;
        return Subject::with_request(&args.model, &json).map_err(Failure::usage);
    }
    let question = Subject::metadata_question(&args.model);
    let metadata = asker.ask(question).await.map_err(Failure::unknown)?;
    Subject::of_metadata(&args.model, &metadata.body).map_err(|error| {
        let text = format!("{error}; give a request that the model answers with --request");
        Failure::unknown(text)
    })
}

/// Asks one server.
struct Asker {
    rest: HttpsClient,
    grpc: HttpsClient,
    url: String,
    grpc_url: Option<String>,
    authorization: Option<Zeroizing<String>>,
}

impl Asker {
    fn new(args: &Args) -> Result<Self, Failure> {
        let roots = match &args.ca {
            None => Roots::System,
            Some(path) => {
                let pem = files::read_bounded(path, FILE_BYTES_MAX).map_err(Failure::unknown)?;
                Roots::from_pem(&pem).map_err(Failure::unknown)?
            }
        };
        let client = |http2_only: bool| {
            let settings = HttpsSettings {
                roots: roots.clone(),
                deadline: DEADLINE,
                answer_bytes_max: ANSWER_BYTES_MAX,
                http2_only,
                ..HttpsSettings::default()
            };
            HttpsClient::new(settings).map_err(Failure::unknown)
        };
        let authorization = match &args.key_file {
            None => None,
            Some(path) => {
                let bytes = files::read_bounded(path, FILE_BYTES_MAX).map_err(Failure::unknown)?;
                let bytes = Zeroizing::new(bytes);
                let text = std::str::from_utf8(&bytes)
                    .map_err(|_| Failure::usage("the key file is no text"))?;
                Some(Zeroizing::new(format!("Bearer {}", text.trim())))
            }
        };
        let grpc_url = match args.grpc.as_deref() {
            Some("none") => None,
            Some(url) => Some(url.to_owned()),
            None => Some(args.url.clone()),
        };
        let (rest, grpc) = (client(false)?, client(true)?);
        Ok(Self { rest, grpc, url: args.url.clone(), grpc_url, authorization })
    }

    async fn ask(&self, question: Question) -> Result<Answered, HttpsError> {
        let (client, url) = match &self.grpc_url {
            Some(url) if question.is_grpc => (&self.grpc, url),
            Some(_) | None => (&self.rest, &self.url),
        };
        let uri = format!("{}{}", url.trim_end_matches('/'), question.path);
        let mut request = Request::builder().method(question.method).uri(uri);
        for (name, value) in &question.headers {
            request = request.header(*name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.as_str());
        }
        let request = request
            .body(question.body.into())
            .map_err(|_| HttpsError::Url { why: "makes no request" })?;
        let answer = client.send(request).await?;
        let (head, body) = answer.into_parts();
        let trailers = head.extensions.get::<Trailers>().map(|Trailers(trailers)| trailers);
        let fields = head.headers.iter().chain(trailers.into_iter().flatten());
        let headers = fields.filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        Ok(Answered {
            status: head.status.as_u16(),
            headers: headers.collect(),
            body: body.to_vec(),
        })
    }
}
