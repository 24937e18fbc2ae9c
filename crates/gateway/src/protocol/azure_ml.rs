//! Azure ML's online endpoints: `POST /score`.

use bartizan_core::{Refusal, RefusalCode};
use bartizan_decision::{Answer, Protocol, Rendered};
use bartizan_wire::azure_ml::{self, Manner};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Dialect, Heard, Outcome, Understood, media_type, table, tabled, unread};
use crate::answer::Answered;

/// Longest request id that a caller may give, in characters, as Azure ML's server has it.
const REQUEST_ID_CHARS_MAX: usize = 100;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
static MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
static DECISION: HeaderName = HeaderName::from_static("bartizan-decision");

/// Bodies of Azure ML.
#[derive(Debug)]
pub(crate) struct AzureMl;

/// The same for a request that chose the form of its answer.
#[derive(Debug)]
struct Asked(Manner);

fn answer(answer: &Answer<'_>, manner: Manner) -> Result<Rendered, Refusal> {
    let mut body = Vec::with_capacity(256);
    azure_ml::render_score(answer.outputs, answer.contract, manner, &mut body).map_err(unread)?;
    Ok(tabled(body, answer.obligations))
}

fn refusal(refusal: &Refusal) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    azure_ml::render_error(refusal, &mut body);
    body
}

impl Protocol for AzureMl {
    fn name(&self) -> &'static str {
        "azure-ml"
    }

    fn answer(&self, told: &Answer<'_>) -> Result<Rendered, Refusal> {
        answer(told, Manner::default())
    }

    fn refusal(&self, told: &Refusal) -> Vec<u8> {
        refusal(told)
    }
}

impl Protocol for Asked {
    fn name(&self) -> &'static str {
        AzureMl.name()
    }

    fn answer(&self, told: &Answer<'_>) -> Result<Rendered, Refusal> {
        answer(told, self.0)
    }

    fn refusal(&self, told: &Refusal) -> Vec<u8> {
        refusal(told)
    }
}

impl Dialect for AzureMl {
    fn hear(&self, heard: Heard<'_>) -> Result<Understood, Refusal> {
        let Heard { headers, body, model, limits } = heard;
        match media_type(headers).as_str() {
            "text/csv" => {
                let request = bartizan_wire::table::parse_csv(body, model.table(), &limits);
                return Ok(table(request.map_err(unread)?));
            }
            // What scripts read as JSON whatever it is called: `curl -d` calls it a form.
            ""
            | "application/json"
            | "text/plain"
            | "text/json"
            | "application/octet-stream"
            | "application/x-www-form-urlencoded" => {}
            _ => {
                let detail = "send the rows as `application/json` or `text/csv`";
                return Err(Refusal::new(RefusalCode::Unsupported).because(detail));
            }
        }
        let (request, manner) =
            azure_ml::parse_score(body, model.table(), &limits).map_err(unread)?;
        let is_plain = manner == Manner::default();
        let voice = (!is_plain).then(|| Box::new(Asked(manner)) as Box<dyn Protocol>);
        Ok(Understood { voice, ..table(request) })
    }

    fn check_head(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        for name in [&REQUEST_ID, &CLIENT_REQUEST_ID, &MS_REQUEST_ID] {
            if headers.get(name).is_some_and(|value| REQUEST_ID_CHARS_MAX < value.len()) {
                let detail =
                    format!("header `{name}` has at most {REQUEST_ID_CHARS_MAX} characters");
                return Err(Refusal::new(RefusalCode::HeadersTooLarge).because(detail));
            }
        }
        Ok(())
    }

    fn echo(&self, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        let short = |name: &HeaderName| {
            let value = headers.get(name)?;
            (value.len() <= REQUEST_ID_CHARS_MAX).then(|| (name.clone(), value.clone()))
        };
        let mut echo: Vec<_> =
            [&REQUEST_ID, &CLIENT_REQUEST_ID].into_iter().filter_map(short).collect();
        // The deprecated id is the client's, else the request's.
        let client = echo.iter().find(|(name, _)| *name == CLIENT_REQUEST_ID);
        if let Some((_, value)) = client.or_else(|| echo.first()) {
            echo.push((MS_REQUEST_ID.clone(), value.clone()));
        }
        echo
    }

    fn finish(&self, outcome: Outcome, answer: &mut Answered) {
        let headers = answer.headers_mut();
        if let Some(id) = headers.get(&DECISION).cloned() {
            for name in [&REQUEST_ID, &MS_REQUEST_ID] {
                if !headers.contains_key(name) {
                    headers.insert(name.clone(), id.clone());
                }
            }
            let failed = if outcome.refusal.is_some() { "True" } else { "False" };
            headers.insert("x-ms-run-function-failed", HeaderValue::from_static(failed));
            let took =
                format!("{}.{:03}", outcome.took_ns / 1_000_000, outcome.took_ns / 1_000 % 1_000);
            if let Ok(value) = HeaderValue::try_from(took) {
                headers.insert("x-ms-run-fn-exec-ms", value);
            }
        }
        let version = concat!("bartizan/", env!("CARGO_PKG_VERSION"));
        headers.insert("x-ms-server-version", HeaderValue::from_static(version));
    }
}
