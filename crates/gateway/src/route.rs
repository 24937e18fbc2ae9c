//! Every route there is, in one table: what it takes, who may use it, who answers.
//!
//! Invariants
//! - R1: a request reaches a handler only through [`find`], and the pipeline asks [`Needs`]
//!   before it calls one; a route that is not in [`ROUTES`] does not exist.

use bartizan_access::Action;

use crate::protocol::Speech;

/// Where requests come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listener {
    /// The inference protocols.
    Inference,
    /// The admin API over TLS.
    Admin,
    /// Health and metrics, plain, for the machine's own agents.
    Operations,
    /// The log as anyone may read it, opened by the operator.
    Log,
    /// The admin API over the store's own socket.
    Socket,
}

impl Listener {
    /// The word for records, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Admin => "admin",
            Self::Operations => "operations",
            Self::Log => "log",
            Self::Socket => "socket",
        }
    }
}

/// What a caller must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: the answer is a constant.
    Nothing,
    /// A credential whose scopes hold this action.
    Key(Action),
    /// To be the user that the server runs as, by the kernel's word.
    SameUser,
    /// Nothing, because the operator opened this listener to whoever reaches it.
    OpenedByOperator,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Whether the process lives.
    Live,
    /// Whether it would answer.
    Ready,
    /// What the server is.
    ServerMetadata,
    /// What a model takes and gives.
    ModelMetadata,
    /// Whether a model would answer.
    ModelReady,
    /// Tensors and engine of a model, as Triton says it.
    ModelConfig,
    /// What models have done so far.
    ModelStatistics,
    /// The models that there are.
    RepositoryIndex,
    /// Take a model into service.
    RepositoryLoad,
    /// Take a model out of service.
    RepositoryUnload,
    /// Shared memory, trace and log settings: refused in words.
    Unimplemented,
    /// Which models there are.
    ModelList,
    /// What Azure ML's `/score` takes and gives.
    Swagger,
    /// A decision.
    Infer,
    /// The description of this API.
    OpenApi,
    /// The numbers of the moment.
    Metrics,
    /// A checkpoint, a tile or a bundle of the log.
    ReadLog,
    /// An operation of the owner of the store.
    Operate,
    /// A call of gRPC whose message says what it asks.
    Call(Rpc),
    /// The standard health service of gRPC, once.
    Check,
    /// The same, and again whenever it changes.
    Watch,
}

/// A call of gRPC that needs a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the protocol's own names say all")]
pub enum Rpc {
    Infer,
    StreamInfer,
    ServerMetadata,
    ModelMetadata,
    ModelReady,
    ModelConfig,
    ModelStatistics,
    RepositoryIndex,
    RepositoryModelLoad,
    RepositoryModelUnload,
    /// What there is by name and never will be: shared memory, trace and log settings.
    Unimplemented,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Where it is found.
    pub listener: Listener,
    /// Its method.
    pub method: &'static str,
    /// Its path; a part in braces stands for any one part, with a `*` for all that follow.
    pub path: &'static str,
    /// What a caller must show.
    pub needs: Needs,
    /// Who answers.
    pub handler: Handler,
    /// The protocol in which it is asked, answered and refused.
    pub speech: Speech,
}

const fn route(
    listener: Listener,
    method: &'static str,
    path: &'static str,
    needs: Needs,
    handler: Handler,
) -> Route {
    Route { listener, method, path, needs, handler, speech: Speech::of(path) }
}

const fn rpc(path: &'static str, needs: Needs, handler: Handler) -> Route {
    let (listener, method, speech) = (Listener::Inference, "POST", Speech::OipGrpc);
    Route { listener, method, path, needs, handler, speech }
}

const METRICS: Needs = Needs::Key(Action::Metrics);
const ADMIN: Needs = Needs::Key(Action::Admin);
const DESCRIBE: Needs = Needs::Key(Action::Describe);
const INFER: Needs = Needs::Key(Action::Infer);

/// Every route; see R1. Those that are asked most come first.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    route(Listener::Inference, "POST", "/v2/models/{model}/infer", INFER, Handler::Infer),
    route(Listener::Inference, "POST", "/v2/models/{model}/versions/{version}/infer", INFER, Handler::Infer),
    rpc("/inference.GRPCInferenceService/ModelInfer", INFER, Handler::Call(Rpc::Infer)),
    route(Listener::Inference, "GET", "/v2/health/live", Needs::Nothing, Handler::Live),
    route(Listener::Inference, "GET", "/v2/health/ready", Needs::Nothing, Handler::Ready),
    route(Listener::Inference, "GET", "/v2", DESCRIBE, Handler::ServerMetadata),
    route(Listener::Inference, "GET", "/v2/models/stats", METRICS, Handler::ModelStatistics),
    route(Listener::Inference, "GET", "/v2/models/{model}", DESCRIBE, Handler::ModelMetadata),
    route(Listener::Inference, "GET", "/v2/models/{model}/versions/{version}", DESCRIBE, Handler::ModelMetadata),
    route(Listener::Inference, "GET", "/v2/models/{model}/ready", DESCRIBE, Handler::ModelReady),
    route(Listener::Inference, "GET", "/v2/models/{model}/versions/{version}/ready", DESCRIBE, Handler::ModelReady),
    route(Listener::Inference, "POST", "/score", INFER, Handler::Infer),
    route(Listener::Inference, "GET", "/", Needs::Nothing, Handler::Ready),
    route(Listener::Inference, "GET", "/swagger.json", DESCRIBE, Handler::Swagger),
    route(Listener::Inference, "POST", "/invocations", INFER, Handler::Infer),
    route(Listener::Inference, "GET", "/ping", Needs::Nothing, Handler::Ready),
    route(Listener::Inference, "GET", "/health", Needs::Nothing, Handler::Ready),
    route(Listener::Inference, "GET", "/version", DESCRIBE, Handler::ServerMetadata),
    route(Listener::Inference, "POST", "/v1/models/{model}:predict", INFER, Handler::Infer),
    route(Listener::Inference, "GET", "/v1/models", DESCRIBE, Handler::ModelList),
    route(Listener::Inference, "GET", "/v1/models/{model}", DESCRIBE, Handler::ModelReady),
    route(Listener::Inference, "GET", "/v2/models/{model}/config", DESCRIBE, Handler::ModelConfig),
    route(Listener::Inference, "GET", "/v2/models/{model}/versions/{version}/config", DESCRIBE, Handler::ModelConfig),
    route(Listener::Inference, "GET", "/v2/models/{model}/stats", METRICS, Handler::ModelStatistics),
    route(Listener::Inference, "GET", "/v2/models/{model}/versions/{version}/stats", METRICS, Handler::ModelStatistics),
    route(Listener::Inference, "POST", "/v2/repository/index", DESCRIBE, Handler::RepositoryIndex),
    route(Listener::Inference, "POST", "/v2/repository/models/{model}/load", ADMIN, Handler::RepositoryLoad),
    route(Listener::Inference, "POST", "/v2/repository/models/{model}/unload", ADMIN, Handler::RepositoryUnload),
    route(Listener::Inference, "GET", "/v2/systemsharedmemory/status", DESCRIBE, Handler::Unimplemented),
    route(Listener::Inference, "POST", "/v2/systemsharedmemory/unregister", DESCRIBE, Handler::Unimplemented),
    route(Listener::Inference, "POST", "/v2/systemsharedmemory/region/{region}/{operation}", DESCRIBE, Handler::Unimplemented),
    route(Listener::Inference, "GET", "/v2/cudasharedmemory/status", DESCRIBE, Handler::Unimplemented),
    route(Listener::Inference, "POST", "/v2/cudasharedmemory/unregister", DESCRIBE, Handler::Unimplemented),
    route(Listener::Inference, "POST", "/v2/cudasharedmemory/region/{region}/{operation}", DESCRIBE, Handler::Unimplemented),
    route(Listener::Inference, "GET", "/v2/trace/setting", DESCRIBE, Handler::Unimplemented),
    route(Listener::Inference, "GET", "/v2/logging", DESCRIBE, Handler::Unimplemented),
    route(Listener::Inference, "GET", "/openapi.json", DESCRIBE, Handler::OpenApi),
    rpc("/inference.GRPCInferenceService/ModelStreamInfer", INFER, Handler::Call(Rpc::StreamInfer)),
    rpc("/inference.GRPCInferenceService/ServerLive", Needs::Nothing, Handler::Live),
    rpc("/inference.GRPCInferenceService/ServerReady", Needs::Nothing, Handler::Ready),
    rpc("/inference.GRPCInferenceService/ServerMetadata", DESCRIBE, Handler::Call(Rpc::ServerMetadata)),
    rpc("/inference.GRPCInferenceService/ModelMetadata", DESCRIBE, Handler::Call(Rpc::ModelMetadata)),
    rpc("/inference.GRPCInferenceService/ModelReady", DESCRIBE, Handler::Call(Rpc::ModelReady)),
    rpc("/inference.GRPCInferenceService/ModelConfig", DESCRIBE, Handler::Call(Rpc::ModelConfig)),
    rpc("/inference.GRPCInferenceService/ModelStatistics", METRICS, Handler::Call(Rpc::ModelStatistics)),
    rpc("/inference.GRPCInferenceService/RepositoryIndex", DESCRIBE, Handler::Call(Rpc::RepositoryIndex)),
    rpc("/inference.GRPCInferenceService/RepositoryModelLoad", ADMIN, Handler::Call(Rpc::RepositoryModelLoad)),
    rpc("/inference.GRPCInferenceService/RepositoryModelUnload", ADMIN, Handler::Call(Rpc::RepositoryModelUnload)),
    rpc("/inference.GRPCInferenceService/SystemSharedMemoryStatus", DESCRIBE, Handler::Call(Rpc::Unimplemented)),
    rpc("/inference.GRPCInferenceService/SystemSharedMemoryRegister", DESCRIBE, Handler::Call(Rpc::Unimplemented)),
    rpc("/inference.GRPCInferenceService/SystemSharedMemoryUnregister", DESCRIBE, Handler::Call(Rpc::Unimplemented)),
    rpc("/inference.GRPCInferenceService/CudaSharedMemoryStatus", DESCRIBE, Handler::Call(Rpc::Unimplemented)),
    rpc("/inference.GRPCInferenceService/CudaSharedMemoryRegister", DESCRIBE, Handler::Call(Rpc::Unimplemented)),
    rpc("/inference.GRPCInferenceService/CudaSharedMemoryUnregister", DESCRIBE, Handler::Call(Rpc::Unimplemented)),
    rpc("/inference.GRPCInferenceService/TraceSetting", DESCRIBE, Handler::Call(Rpc::Unimplemented)),
    rpc("/inference.GRPCInferenceService/LogSettings", DESCRIBE, Handler::Call(Rpc::Unimplemented)),
    rpc("/grpc.health.v1.Health/Check", Needs::Nothing, Handler::Check),
    rpc("/grpc.health.v1.Health/Watch", Needs::Nothing, Handler::Watch),
    route(Listener::Admin, "GET", "/v2/health/live", Needs::Nothing, Handler::Live),
    route(Listener::Admin, "GET", "/v2/health/ready", Needs::Nothing, Handler::Ready),
    route(Listener::Admin, "GET", "/metrics", Needs::Key(Action::Metrics), Handler::Metrics),
    route(Listener::Admin, "POST", "/admin/v1/{operation}", Needs::Key(Action::Admin), Handler::Operate),
    route(Listener::Operations, "GET", "/v2/health/live", Needs::Nothing, Handler::Live),
    route(Listener::Operations, "GET", "/v2/health/ready", Needs::Nothing, Handler::Ready),
    route(Listener::Operations, "GET", "/metrics", Needs::OpenedByOperator, Handler::Metrics),
    route(Listener::Log, "GET", "/checkpoint", Needs::OpenedByOperator, Handler::ReadLog),
    route(Listener::Log, "GET", "/tile/{level}/{tile*}", Needs::OpenedByOperator, Handler::ReadLog),
    route(Listener::Log, "GET", "/tile/entries/{tile*}", Needs::OpenedByOperator, Handler::ReadLog),
    route(Listener::Socket, "POST", "/admin/v1/{operation}", Needs::SameUser, Handler::Operate),
];

/// The parts of a path that stood in braces, in order; no route has more than two.
pub type Params<'a> = [&'a str; 2];

/// What a method and a path lead to.
#[derive(Debug)]
pub enum Found<'a> {
    /// A route, and what stood for its braces.
    Route(&'static Route, Params<'a>),
    /// Routes of other methods: the methods that the path takes.
    OtherMethod(&'static str),
    /// Nothing.
    Nothing,
}

/// The route of `method` and `path` on `listener`. One trailing slash is overlooked.
pub fn find<'a>(listener: Listener, method: &str, path: &'a str) -> Found<'a> {
    let mut other = Found::Nothing;
    for route in ROUTES.iter().filter(|route| route.listener == listener) {
        let Some(params) = matches(route.path, path) else { continue };
        if route.method == method {
            return Found::Route(route, params);
        }
        other = Found::OtherMethod(route.method);
    }
    other
}

fn matches<'a>(pattern: &str, path: &'a str) -> Option<Params<'a>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
    let mut params: Params<'a> = ["", ""];
    let mut n_params = 0;
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        let part = parts.next()?;
        if wanted.ends_with("*}") {
            // What follows is not looked at here: whoever answers takes the whole path.
            return (!part.is_empty()).then_some(params);
        }
        if let Some((_, verb)) = wanted.split_once('}') {
            // A part in braces has no colon; what stands behind them is a verb, as in `:predict`.
            let named = part.strip_suffix(verb)?;
            if named.is_empty() || named.contains(':') {
                return None;
            }
            *params.get_mut(n_params)? = named;
            n_params += 1;
        } else if wanted != part {
            return None;
        }
    }
    parts.next().is_none().then_some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler(listener: Listener, method: &str, path: &str) -> Option<(Handler, String)> {
        match find(listener, method, path) {
            Found::Route(route, params) => Some((route.handler, params.join(","))),
            Found::OtherMethod(_) | Found::Nothing => None,
        }
    }

    /// R1: every route is found by its own path and by no near miss of it.
    #[test]
    fn a_path_leads_to_its_route_and_no_other() {
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            let found = handler(route.listener, route.method, &path);
            assert_eq!(found.map(|(handler, _)| handler), Some(route.handler), "{path}");
            let longer =
                if route.path.ends_with("*}") { "/x".to_owned() } else { format!("{path}/x") };
            for near in [longer, format!("/{path}"), path.replace('/', "//")] {
                let found = find(route.listener, route.method, &near);
                assert!(
                    !matches!(found, Found::Route(other, _) if other.path == route.path),
                    "{near}"
                );
            }
            assert!(matches!(find(route.listener, "PUT", &path), Found::OtherMethod(_)));
        }
        let versioned = "/v2/models/a/versions/3/infer";
        let expected = Some((Handler::Infer, "a,3".to_owned()));
        assert_eq!(handler(Listener::Inference, "POST", versioned), expected);
        assert!(handler(Listener::Inference, "GET", "/v2/").is_some());
        assert!(handler(Listener::Log, "GET", "/tile/0/x001/234.p/5").is_some());
        assert!(handler(Listener::Log, "GET", "/tile/0").is_none());
        let predict = handler(Listener::Inference, "POST", "/v1/models/a:predict");
        assert_eq!(predict, Some((Handler::Infer, "a,".to_owned())));
        for path in ["/v1/models/:predict", "/v1/models/a:b:predict", "/v1/models/a:explain"] {
            assert!(handler(Listener::Inference, "POST", path).is_none(), "{path}");
        }
        for path in ["/v2/models//infer", "/admin/v1/key.issue", "/metrics", "", "/", "v2"] {
            assert!(handler(Listener::Inference, "POST", path).is_none(), "{path}");
        }
    }

    #[test]
    fn only_constants_are_given_to_strangers() {
        for route in ROUTES {
            let open = matches!(route.needs, Needs::Nothing | Needs::OpenedByOperator);
            let operations = matches!(route.listener, Listener::Operations | Listener::Log);
            let constant = matches!(
                route.handler,
                Handler::Live | Handler::Ready | Handler::Check | Handler::Watch
            );
            assert!(!open || constant || operations, "{} {}", route.method, route.path);
            let same_user = route.needs == Needs::SameUser;
            assert_eq!(same_user, route.listener == Listener::Socket, "{}", route.path);
        }
    }
}
