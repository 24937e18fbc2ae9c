//! From a request to its response: which route, who asks, who answers.
//!
//! Invariants
//! - G1: nothing but a constant is given before a credential has been checked (or the operator
//!   has opened the listener);
//! - G2: every refusal is recorded or counted: by itself where a principal is known, folded
//!   where none is.

mod grpc;
mod models;

use std::convert::Infallible;
use std::sync::Arc;

use bartizan_access::{
    AdminPermit, Circumstances, Credential, LocalPeer, Method, Scene, permit_admin,
    permit_describe, permit_local, permit_metrics,
};
use bartizan_core::{DecisionId, ModelName, Refusal, RefusalCode, Stamp, entropy};
use bartizan_decision::{Ask, FoldKey, Snapshot, Whom, refuse};
use bartizan_wire::azure_ml::{self, SwaggerVersion};
use bartizan_wire::kserve_v1;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::http::Uri;
use hyper::http::request::Parts;

use crate::answer::Answered;
use crate::body;
use crate::caller::{self, Caller, Peer, Shown};
use crate::describe;
use crate::lane::Lane;
use crate::log_reading;
use crate::messages;
use crate::pipeline::{self, Conclusion, Question};
use crate::protocol::{Outcome, Speech};
use crate::reply;
use crate::route::{self, Found, Handler, Listener, Needs, Params, Rpc};
use crate::said::{self, Said};
use crate::shared::Live;

/// Longest body of an admin operation, in bytes.
const ADMIN_BODY_BYTES_MAX: usize = 256 * 1024;

/// Header by which Azure ML's clients choose a deployment: the name of a model, or name and
/// version, as in `fraud-3`.
const DEPLOYMENT: &str = "azureml-model-deployment";

/// One request being answered.
pub(crate) struct Turn<'a> {
    lane: &'a Arc<Lane>,
    live: Arc<Live>,
    peer: Peer,
    shown: Option<Arc<Shown>>,
    at: Stamp,
    said: Said,
}

pub(crate) async fn serve(
    lane: Arc<Lane>,
    listener: Listener,
    (peer, shown): (Peer, Option<Arc<Shown>>),
    request: Request<Incoming>,
) -> Result<Answered, Infallible> {
    lane.metrics.in_flight.inc();
    let (Parts { method, uri, headers, .. }, body) = request.into_parts();
    let found = route::find(listener, method.as_str(), uri.path());
    let (route, speech) = match found {
        Found::Route(route, _) => (route.path, route.speech),
        Found::OtherMethod(_) | Found::Nothing => ("none", Speech::lost(uri.path(), &headers)),
    };
    let trace_context = said::trace_context(&headers);
    let patience = if speech == Speech::OipGrpc { messages::patience(&headers) } else { None };
    let mut turn = Turn {
        live: lane.live.load_full(),
        at: lane.clock.now(),
        said: Said { listener, zone: peer.zone(), route, speech, trace_context, patience },
        lane: &lane,
        peer,
        shown,
    };
    let at = turn.at;
    let dialect = turn.said.speech.dialect();
    let echo = dialect.echo(&headers);
    let (mut answer, refusal) = turn.answer(&uri, headers, found, body).await;
    lane.metrics.in_flight.dec();
    let took_ns = lane.clock.now().mono_ns.saturating_sub(at.mono_ns);
    // Reading the log decides nothing.
    if listener != Listener::Log {
        lane.metrics.decided(refusal, took_ns);
    }
    answer.headers_mut().extend(echo);
    dialect.finish(Outcome { refusal, took_ns }, &mut answer);
    Ok(answer)
}

impl Turn<'_> {
    async fn answer(
        &mut self,
        uri: &Uri,
        headers: HeaderMap,
        found: Found<'_>,
        body: Incoming,
    ) -> (Answered, Option<RefusalCode>) {
        if let Err(refusal) = self.check_head(uri, &headers) {
            return self.refuse_stranger(refusal, "");
        }
        match found {
            Found::Route(route, _) if route.needs == Needs::Nothing => {
                return self.constant(route.handler, body).await;
            }
            Found::Route(route, _) if route.needs == Needs::OpenedByOperator => {
                if route.handler == Handler::ReadLog {
                    return (self.read_log(uri.path()).await, None);
                }
                return (describe::metrics(self.lane, &self.live.snapshot), None);
            }
            Found::Route(route, params) if route.needs == Needs::SameUser => {
                return self.operate_locally(params, body).await;
            }
            // Readers of the log try names that may be gone; that is nobody's refusal.
            Found::Nothing if self.said.listener == Listener::Log => {
                return (log_reading::absent(), None);
            }
            Found::OtherMethod(allowed) if self.said.listener == Listener::Log => {
                let mut answer = reply::json(405, "");
                reply::allow(&mut answer, allowed);
                return (answer, None);
            }
            Found::Route(..) | Found::OtherMethod(_) | Found::Nothing => {}
        }
        let credential = match self.authenticate(&headers).await {
            Ok(credential) => credential,
            Err((refusal, reason)) => return self.refuse_stranger(refusal, reason),
        };
        match found {
            Found::Route(route, params) => {
                self.answer_known(route.handler, params, credential, (uri, headers, body)).await
            }
            Found::OtherMethod(allowed) => {
                let detail = format!("this route takes {allowed}");
                let refusal = Refusal::new(RefusalCode::MethodNotAllowed).because(detail);
                let (mut answer, code) = self.refuse_known(&credential, refusal).await;
                reply::allow(&mut answer, allowed);
                (answer, code)
            }
            Found::Nothing => {
                self.refuse_known(&credential, Refusal::new(RefusalCode::NotFound)).await
            }
        }
    }

    async fn answer_known(
        &self,
        handler: Handler,
        params: Params<'_>,
        credential: Credential,
        (uri, headers, body): (&Uri, HeaderMap, Incoming),
    ) -> (Answered, Option<RefusalCode>) {
        let snapshot = &self.live.snapshot;
        let forbidden = || Refusal::new(RefusalCode::Forbidden);
        let outcome = match handler {
            Handler::Infer => return self.infer(params, &credential, headers, body).await,
            // Whoever may issue keys could make one in any name: over the network a key is not
            // enough to administer.
            Handler::Operate if credential.identity().method == Method::ApiKey => Err(forbidden()
                .because("an API key does not administer: show a client certificate or a token")),
            Handler::Operate => {
                match permit_admin(&credential, self.said.listener.as_str(), self.said.zone) {
                    Ok(permit) => return self.operate(permit, params, body).await,
                    Err(_) => Err(forbidden()),
                }
            }
            Handler::Metrics => permit_metrics(self.scene(), &credential)
                .map(|_| describe::metrics(self.lane, snapshot))
                .map_err(|_| forbidden()),
            Handler::ServerMetadata | Handler::OpenApi => {
                permit_describe(self.scene(), &credential, None)
                    .map(|_| describe::server(handler, self.said.speech))
                    .map_err(|_| forbidden())
            }
            Handler::ModelMetadata | Handler::ModelReady => {
                self.model(handler, params, &credential)
            }
            Handler::ModelList => permit_describe(self.scene(), &credential, None)
                .map(|_| self.list_models(&credential))
                .map_err(|_| forbidden()),
            Handler::Swagger => {
                self.swagger(uri.query().unwrap_or_default(), &headers, &credential)
            }
            // Its routes need nothing and were answered before.
            Handler::ReadLog => Err(Refusal::new(RefusalCode::NotFound)),
            Handler::ModelConfig
            | Handler::ModelStatistics
            | Handler::RepositoryIndex
            | Handler::RepositoryLoad
            | Handler::RepositoryUnload
            | Handler::Unimplemented => self.about_models(handler, params, &credential, body).await,
            Handler::Call(Rpc::StreamInfer) => self.stream(headers, body),
            Handler::Call(rpc) => return self.call(rpc, &credential, headers, body).await,
            Handler::Live | Handler::Ready | Handler::Check | Handler::Watch => {
                return self.constant(handler, body).await;
            }
        };
        match outcome {
            Ok(answer) => (answer, None),
            Err(refusal) => self.refuse_known(&credential, refusal).await,
        }
    }

    fn model(
        &self,
        handler: Handler,
        [name, version]: Params<'_>,
        credential: &Credential,
    ) -> Result<Answered, Refusal> {
        let model = self.described(name, version, credential)?;
        let is_ready = self.lane.is_ready();
        let speech = self.said.speech;
        Ok(describe::model(handler, speech, &model, &self.live.snapshot, is_ready))
    }

    /// The names of the models that the credential may ask about.
    fn list_models(&self, credential: &Credential) -> Answered {
        let may = |model: &bartizan_decision::Model| {
            let asked = Some((model.name(), Some(model.version())));
            permit_describe(self.scene(), credential, asked).is_ok()
        };
        let models = self.live.snapshot.models().filter(|model| may(model));
        let mut names: Vec<_> = models.map(|model| model.name()).collect();
        names.dedup();
        reply::json(200, kserve_v1::model_list(names.into_iter()))
    }

    fn swagger(
        &self,
        query: &str,
        headers: &HeaderMap,
        credential: &Credential,
    ) -> Result<Answered, Refusal> {
        let not_found = || Refusal::new(RefusalCode::NotFound);
        let version = SwaggerVersion::of_query(query).ok_or_else(not_found)?;
        let (name, of) = self.implied(headers)?;
        let name: ModelName = name.parse().map_err(|_| not_found())?;
        let of = of.map(|text| text.parse()).transpose();
        let model = of.ok().and_then(|of| self.live.snapshot.model(name.as_str(), of));
        let asked = (&name, model.map(|model| model.version()));
        permit_describe(self.scene(), credential, Some(asked))
            .map_err(|_| Refusal::new(RefusalCode::Forbidden))?;
        let model = model.ok_or_else(not_found)?;
        let body = azure_ml::swagger(&name, model.version(), model.contract(), version);
        Ok(reply::json(200, body.to_string()))
    }

    /// The model, and the version if one is said, of a path that names none: what the head says,
    /// else what the configuration says, else the only model there is.
    ///
    /// # Errors
    /// A refusal, where it is none of the three.
    fn implied(&self, headers: &HeaderMap) -> Result<(String, Option<String>), Refusal> {
        let snapshot = &self.live.snapshot;
        if let Some(value) = headers.get(DEPLOYMENT).filter(|_| self.said.speech == Speech::AzureMl)
        {
            let name = value.to_str().unwrap_or_default();
            let versioned = name.rsplit_once('-').filter(|(_, digits)| {
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
            });
            return Ok(match versioned {
                Some((base, version)) if snapshot.model(name, None).is_none() => {
                    (base.into(), Some(version.into()))
                }
                Some(_) | None => (name.into(), None),
            });
        }
        if let Some((name, version)) = &self.lane.limits.implied_model {
            return Ok((name.to_string(), version.map(|version| version.to_string())));
        }
        let mut names = snapshot.models().map(|model| model.name());
        let first = names.next();
        match first.filter(|first| names.all(|name| name == *first)) {
            Some(only) => Ok((only.to_string(), None)),
            None => {
                let detail = "this path names no model, and there is not exactly one; the operator \
                              says which one it means with `score.model`, or use a path that names it";
                Err(Refusal::new(RefusalCode::NotFound).because(detail))
            }
        }
    }

    /// The policies in force, and where and when they are asked.
    fn scene(&self) -> Scene<'_> {
        let listener = self.said.listener.as_str();
        let circumstances = Circumstances { listener, zone: self.said.zone, at: self.at };
        Scene { policies: self.live.snapshot.policies(), circumstances }
    }

    fn check_head(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let limits = &self.lane.limits;
        let bytes: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>()
            + uri.path_and_query().map_or(0, |path| path.as_str().len());
        if limits.headers_max < headers.len() || limits.header_bytes_max < bytes {
            let detail = format!(
                "at most {} headers and {} bytes of head are taken",
                limits.headers_max, limits.header_bytes_max
            );
            return Err(Refusal::new(RefusalCode::HeadersTooLarge).because(detail));
        }
        Ok(())
    }

    /// Who asks. Where a missing key of an issuer had to be looked for, what is live then counts
    /// for the rest of the request.
    async fn authenticate(
        &mut self,
        headers: &HeaderMap,
    ) -> Result<Credential, (Refusal, &'static str)> {
        let unauthenticated = || (Refusal::new(RefusalCode::Unauthenticated), "no-credential");
        let bearer = caller::bearer(headers).map_err(|()| unauthenticated())?;
        let shown = self.shown.as_deref();
        let caller = Caller { lane: self.lane, peer: self.peer, shown, bearer };
        caller.prove(&mut self.live, self.at).await
    }

    async fn read_log(&self, path: &str) -> Answered {
        match &self.lane.log_reading {
            Some(reading) => reading.clone().answer(path).await,
            None => log_reading::absent(),
        }
    }

    async fn constant(&self, handler: Handler, body: Incoming) -> (Answered, Option<RefusalCode>) {
        if self.said.speech == Speech::OipGrpc {
            return match grpc::constant(self.lane, handler, body).await {
                Ok(answer) => (answer, None),
                Err(refusal) => (self.say(&refusal), Some(refusal.code)),
            };
        }
        let is_yes = handler == Handler::Live || self.lane.is_ready();
        (describe::health(handler, self.said.speech, is_yes), None)
    }

    /// A refusal of nobody in particular: folded, at once, without a record of its own.
    fn refuse_stranger(
        &self,
        refusal: Refusal,
        reason: &'static str,
    ) -> (Answered, Option<RefusalCode>) {
        let refusal = self.note_stranger(refusal, reason);
        (self.say(&refusal), Some(refusal.code))
    }

    /// Counts a refusal of nobody in particular, and gives it the id of its tally.
    fn note_stranger(&self, mut refusal: Refusal, reason: &'static str) -> Refusal {
        let source = self.live.snapshot.pseudonym_of_source(&self.peer.source(), self.at);
        let listener = self.said.listener.as_str();
        let key = FoldKey { listener, code: refusal.code, reason, whom: Whom::Source(source) };
        let random = entropy::random(&*self.lane.entropy);
        let fresh = DecisionId::new(self.at.wall_ns, random);
        refusal.decision = Some(self.lane.folder().note(key, self.at, fresh));
        refusal
    }

    async fn refuse_known(
        &self,
        credential: &Credential,
        refusal: Refusal,
    ) -> (Answered, Option<RefusalCode>) {
        self.respond(self.conclude_refusal(credential, refusal).await)
    }

    async fn conclude_refusal(&self, credential: &Credential, refusal: Refusal) -> Conclusion {
        let arrival = pipeline::arrival(self.lane, self.at, &self.said);
        let withheld = refuse(self.live.snapshot.clone(), arrival, credential, refusal);
        pipeline::conclude(self.lane, withheld, self.at).await
    }

    async fn infer(
        &self,
        [model, version]: Params<'_>,
        credential: &Credential,
        headers: HeaderMap,
        body: Incoming,
    ) -> (Answered, Option<RefusalCode>) {
        let dialect = self.said.speech.dialect();
        let asserted = match dialect.check_head(&headers).and_then(|()| said::asserted(&headers)) {
            Ok(asserted) => asserted,
            Err(refusal) => return self.refuse_known(credential, refusal).await,
        };
        let wanted = said::wanted_coding(&headers);
        let implied = if model.is_empty() { Some(self.implied(&headers)) } else { None };
        let (model, version) = match &implied {
            None => (model, (!version.is_empty()).then_some(version)),
            Some(Ok((model, version))) => (model.as_str(), version.as_deref()),
            Some(Err(refusal)) => return self.refuse_known(credential, refusal.clone()).await,
        };
        let ask = Ask { model, version, asserted };
        let question = Question { at: self.at, ask, said: &self.said, headers };
        let snapshot: Arc<Snapshot> = self.live.snapshot.clone();
        let concluded = pipeline::infer(self.lane, snapshot, credential, question, body).await;
        let (answer, code) = self.respond(concluded);
        (reply::coded(answer, wanted).await, code)
    }

    async fn operate_locally(
        &self,
        params: Params<'_>,
        body: Incoming,
    ) -> (Answered, Option<RefusalCode>) {
        let Peer::Process { uid } = self.peer else {
            return self.refuse_stranger(Refusal::new(RefusalCode::Forbidden), "");
        };
        let owner_uid = rustix::process::geteuid().as_raw();
        let pseudonym = self.live.snapshot.keys().local_pseudonym(uid);
        match permit_local(LocalPeer { uid, owner_uid, pseudonym }) {
            Ok(permit) => self.operate(permit, params, body).await,
            Err(denied) => {
                self.refuse_stranger(Refusal::new(RefusalCode::Forbidden), denied.as_str())
            }
        }
    }

    /// Performs an operation of the store's owner, who records it.
    async fn operate(
        &self,
        permit: AdminPermit,
        [operation, _]: Params<'_>,
        incoming: Incoming,
    ) -> (Answered, Option<RefusalCode>) {
        let wait = self.lane.limits.body_wait_max;
        let body = match body::read(incoming, ADMIN_BODY_BYTES_MAX, wait).await {
            Ok(body) => body,
            Err(refusal) => return (self.say(&refusal), Some(refusal.code)),
        };
        let (admin, operation) = (self.lane.admin.clone(), operation.to_owned());
        let work = move || admin.perform(&permit, &operation, &body);
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => (reply::json(done.status, done.body), None),
            Err(_) => {
                let refusal = Refusal::new(RefusalCode::Internal);
                (self.say(&refusal), Some(refusal.code))
            }
        }
    }

    /// A refusal without a record of its own, in the words of the route.
    fn say(&self, refusal: &Refusal) -> Answered {
        self.said.speech.dialect().refuse(refusal)
    }

    fn respond(&self, conclusion: Conclusion) -> (Answered, Option<RefusalCode>) {
        match conclusion {
            Conclusion::Refused(refusal) => (self.say(&refusal), Some(refusal.code)),
            Conclusion::Told(told) => {
                let code = told.refusal().map(|refusal| refusal.code);
                (self.said.speech.dialect().told(*told), code)
            }
        }
    }
}
