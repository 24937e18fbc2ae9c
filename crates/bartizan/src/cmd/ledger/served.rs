//! `bartizan ledger verify URL`: a log that somebody serves, from outside.

use std::io;
use std::path::Path;

use bartizan_core::Digest;
use bartizan_ledger::tlog::{
    BUNDLE_ENTRY_BYTES_MAX, Quorum, Resource, Served, ServedError, verify_served,
};
use bartizan_outbound::https::{HttpsClient, HttpsSettings};
use hyper::http::{Request, StatusCode};
use serde_json::json;

use super::check::quorum_text;
use super::{Failure, Format, Outcome};
use crate::answer::Answer;
use crate::render::progress::Progress;

/// Longest resource: a full bundle.
const RESOURCE_BYTES_MAX: usize = 256 * (BUNDLE_ENTRY_BYTES_MAX + 2);

/// The URL that an argument is, if it is one.
pub(super) fn url_of(argument: &Path) -> Option<&str> {
    let text = argument.to_str()?;
    (text.starts_with("https://") || text.starts_with("http://")).then_some(text)
}

/// Verifies the log that is served at `url`.
///
/// # Errors
/// What could not be read.
pub(super) fn run(
    url: &str,
    policy: Option<&Path>,
    format: Format,
    out: &mut dyn io::Write,
) -> Outcome {
    let Some(policy) = super::policy(policy, Path::new(url))? else {
        let text = "whose log this is, is not known: give `--policy FILE`";
        return Err(Failure::usage(text));
    };
    let settings =
        HttpsSettings { answer_bytes_max: RESOURCE_BYTES_MAX, ..HttpsSettings::default() };
    let client = HttpsClient::new(settings).map_err(Failure::unknown)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut read = |resource: &Resource| {
        let url = format!("{}/{resource}", url.trim_end_matches('/'));
        let request = Request::get(url).body(bytes::Bytes::new()).map_err(io::Error::other)?;
        let answer = runtime.block_on(client.send(request)).map_err(io::Error::other)?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer.into_body().to_vec())),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(io::Error::other(format!("the server answered with {status}"))),
        }
    };
    let mut bar = Progress::new("verifying");
    let verified = verify_served(&mut read, &policy, &mut |done, all| bar.at(done, all));
    drop(bar);
    match verified {
        Ok(served) => {
            show(&served, format, out)?;
            Ok(if served.judgement.is_good() { Answer::Yes } else { Answer::No })
        }
        Err(error) if error.is_unknown() => Err(Failure::unknown(error)),
        Err(error @ ServedError::Absent { resource: Resource::Checkpoint }) => {
            Err(Failure::unknown(error))
        }
        Err(error) => Err(Failure::no(error)),
    }
}

fn show(served: &Served, format: Format, out: &mut dyn io::Write) -> io::Result<()> {
    let Served { origin, size, root, judgement } = served;
    let witnesses: Vec<_> = judgement.cosigned.iter().map(|one| &one.witness).collect();
    match format {
        Format::Text => {
            writeln!(out, "log       {origin}")?;
            writeln!(out, "entries   {size}, each in its bundle, its tile and the root")?;
            writeln!(out, "root      {}", Digest(*root).hex())?;
            writeln!(out, "signed    by {} of the policy's log keys", judgement.log_keys.len())?;
            writeln!(out, "witnesses {}", quorum_text(judgement.quorum))?;
            writeln!(out, "not seen  what is sealed, and the write-ahead log: neither is served")?;
            writeln!(out, "{}", if judgement.is_good() { "in order" } else { "NOT TRUSTED" })
        }
        Format::Json => {
            let value = json!({
                "origin": origin,
                "size": size,
                "root": Digest(*root).hex(),
                "log_keys": judgement.log_keys,
                "cosigned": witnesses,
                "forged": judgement.forged,
                "quorum_missed": judgement.quorum == Quorum::Missed,
                "good": judgement.is_good(),
            });
            writeln!(out, "{}", serde_json::to_string_pretty(&value)?)
        }
    }
}
