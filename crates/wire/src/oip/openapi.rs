//! The inference listener, described as OpenAPI 3.0.3.
//!
//! It is checked against the server by a schema fuzzer, so it says no more than is kept: every
//! status that a route answers with, and for requests only what is refused otherwise.
//!
//! Invariants
//! - O1: a route documents exactly the statuses that it can answer with.

use bartizan_core::{Datatype, RefusalCode, limits};
use serde_json::{Map, Value, json};

use super::parse::{ID_BYTES_MAX, NAME_BYTES_MAX};
use crate::status;

/// Refusals before a request has a handler: of its head and its credential, and of its record.
const OF_ANY: &[RefusalCode] = &[
    RefusalCode::HeadersTooLarge,
    RefusalCode::Unauthenticated,
    RefusalCode::Forbidden,
    RefusalCode::Throttled,
    RefusalCode::Internal,
    RefusalCode::Unrecordable,
    RefusalCode::AccessUnavailable,
];
/// Refusals of an inference beyond those.
const OF_INFER: &[RefusalCode] = &[
    RefusalCode::NotFound,
    RefusalCode::Malformed,
    RefusalCode::Unsupported,
    RefusalCode::TooLarge,
    RefusalCode::Mismatch,
    RefusalCode::InputRefused,
    RefusalCode::Slow,
    RefusalCode::Overloaded,
    RefusalCode::ModelUnavailable,
    RefusalCode::DeadlineExceeded,
    RefusalCode::Unpublished,
    RefusalCode::Draining,
];

/// The description of the inference listener, as the server's `version` has it: an OpenAPI
/// 3.0.3 document.
pub fn openapi(version: &str) -> Value {
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Bartizan inference",
            "version": version,
            "description": "The Open Inference Protocol, version 2, over REST with JSON tensors. \
                            Every answer and every refusal has a decision id; every answer has \
                            a receipt of its record.",
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "security": [{ "key": [] }],
        "paths": paths(),
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key: `bz_...`.",
                },
            },
            "schemas": schemas(),
        },
    })
}

fn paths() -> Value {
    let model = || path_parameter("model", "A model's name.");
    let version = || path_parameter("version", "A model's version: 1, 2, 3, ...");
    let describe = |id: &str, summary: &str, schema: &str, parameters: Vec<Value>| {
        let mut refusals = OF_ANY.to_vec();
        if !parameters.is_empty() {
            refusals.push(RefusalCode::NotFound);
        }
        let mut responses = error_responses(&refusals);
        responses.insert("200".into(), response("The description.", reference(schema)));
        if schema == "ModelReady" {
            let either = json!({ "oneOf": [reference(schema), reference("Error")] });
            responses.insert("503".into(), response("It would not answer.", either));
        }
        operation("get", id, summary, parameters, responses)
    };
    json!({
        "/v2/health/live": health("live", "Whether the process lives", "Live"),
        "/v2/health/ready": health("ready", "Whether the server would answer", "Ready"),
        "/v2": describe("serverMetadata", "What the server is", "ServerMetadata", vec![]),
        "/openapi.json": describe("openapi", "This description", "OpenApi", vec![]),
        "/v2/models/{model}":
            describe("modelMetadata", "What a model takes and gives", "ModelMetadata", vec![model()]),
        "/v2/models/{model}/versions/{version}": describe(
            "versionMetadata",
            "What a version takes and gives",
            "ModelMetadata",
            vec![model(), version()],
        ),
        "/v2/models/{model}/ready":
            describe("modelReady", "Whether a model would answer", "ModelReady", vec![model()]),
        "/v2/models/{model}/versions/{version}/ready": describe(
            "versionReady",
            "Whether a version would answer",
            "ModelReady",
            vec![model(), version()],
        ),
        "/v2/models/{model}/infer": infer("infer", "Asks the newest version", vec![model()]),
        "/v2/models/{model}/versions/{version}/infer":
            infer("inferVersion", "Asks one version", vec![model(), version()]),
    })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn path_parameter(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": { "type": "string", "minLength": 1 },
    })
}

/// A header by which a caller says something about its request.
fn asserted_header(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "header",
        "required": false,
        "description": format!("{description} The key must be allowed to say it."),
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": limits::ASSERTED_BYTES_MAX,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        },
    })
}

fn operation(
    method: &str,
    id: &str,
    summary: &str,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
) -> Value {
    let operation = json!({
        "operationId": id,
        "summary": summary,
        "parameters": parameters,
        "responses": responses,
    });
    let mut methods = Map::new();
    methods.insert(method.into(), operation);
    Value::Object(methods)
}

fn response(description: &str, schema: Value) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": schema } },
    })
}

fn health(id: &str, summary: &str, schema: &str) -> Value {
    let mut responses = error_responses(&[RefusalCode::HeadersTooLarge]);
    responses.insert("200".into(), response("It is.", reference(schema)));
    if schema == "Ready" {
        responses.insert("503".into(), response("It is not.", reference(schema)));
    }
    let mut health = operation("get", id, summary, vec![], responses);
    if let Some(operation) = health.pointer_mut("/get").and_then(Value::as_object_mut) {
        operation.insert("security".into(), json!([]));
    }
    health
}

fn infer(id: &str, summary: &str, mut parameters: Vec<Value>) -> Value {
    parameters.extend([
        asserted_header("bartizan-subject", "Whom the decision is about."),
        asserted_header("bartizan-end-user", "Who uses the caller's product."),
        asserted_header("bartizan-purpose", "What the answer is for."),
        asserted_header("bartizan-correlation-id", "The caller's own name for the request."),
    ]);
    let mut responses = error_responses(&[OF_ANY, OF_INFER].concat());
    let mut answer = response("The answer, on record.", reference("InferResponse"));
    if let Some(answer) = answer.as_object_mut() {
        let receipt = "Place and leaf hash of the record: \"origin\";index=n;leaf=:base64:.";
        let headers = json!({
            "bartizan-decision": header("Id of the decision.", json!({ "type": "string", "format": "uuid" })),
            "bartizan-receipt": header(receipt, json!({ "type": "string" })),
        });
        answer.insert("headers".into(), headers);
    }
    responses.insert("200".into(), answer);
    let mut infer = operation("post", id, summary, parameters, responses);
    if let Some(operation) = infer.pointer_mut("/post").and_then(Value::as_object_mut) {
        let schema = reference("InferRequest");
        let body =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        operation.insert("requestBody".into(), body);
    }
    infer
}

fn header(description: &str, schema: Value) -> Value {
    json!({ "description": description, "required": true, "schema": schema })
}

/// Responses for `codes`, by status; codes of one status share one.
fn error_responses(codes: &[RefusalCode]) -> Map<String, Value> {
    let mut responses = Map::new();
    for code in codes {
        let text = status(*code).to_string();
        let mut words = vec![code.as_str()];
        words.extend(codes.iter().filter(|other| *other != code).filter_map(|other| {
            if status(*other) == status(*code) { Some(other.as_str()) } else { None }
        }));
        words.sort_unstable();
        let mut error = response(&format!("Refused: {}.", words.join(", ")), reference("Error"));
        let decision = header("Id of the decision, or `unrecorded`.", json!({ "type": "string" }));
        let mut headers = Map::from_iter([("bartizan-decision".to_owned(), decision)]);
        if let 429 | 503 = status(*code) {
            let schema = json!({ "type": "integer", "minimum": 1 });
            headers.insert("retry-after".into(), header("Seconds to wait.", schema));
        }
        if status(*code) == 401 {
            let schema = json!({ "type": "string" });
            headers.insert("www-authenticate".into(), header("How to prove oneself.", schema));
        }
        if let Some(error) = error.as_object_mut() {
            error.insert("headers".into(), Value::Object(headers));
        }
        responses.insert(text, error);
    }
    responses
}

fn schemas() -> Value {
    let mut schemas = Map::new();
    for part in [request_schemas(), reply_schemas(), description_schemas()] {
        if let Value::Object(part) = part {
            schemas.extend(part);
        }
    }
    Value::Object(schemas)
}

fn datatypes() -> Value {
    let names: Vec<_> = Datatype::ALL.iter().map(|datatype| datatype.as_str()).collect();
    json!({ "type": "string", "enum": names })
}

fn request_schemas() -> Value {
    let asserted = || {
        json!({
            "type": "string",
            "minLength": 1,
            "maxLength": limits::ASSERTED_BYTES_MAX,
            "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$",
        })
    };
    let name = || json!({ "type": "string", "maxLength": NAME_BYTES_MAX });
    json!({
        "InferRequest": {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "id": { "type": "string", "maxLength": ID_BYTES_MAX },
                "parameters": reference("RequestParameters"),
                "inputs": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": limits::TENSORS_MAX,
                    "items": reference("RequestInput"),
                },
                "outputs": {
                    "type": "array",
                    "description": "The outputs wanted, each once; all where absent.",
                    "maxItems": limits::TENSORS_MAX,
                    "items": reference("RequestOutput"),
                },
            },
        },
        "RequestParameters": {
            "type": "object",
            "description": "Other keys are ignored, but none that begins with `bartizan-`.",
            "properties": {
                "bartizan-subject": asserted(),
                "bartizan-end-user": asserted(),
                "bartizan-purpose": asserted(),
                "bartizan-correlation-id": asserted(),
            },
        },
        "RequestInput": {
            "type": "object",
            "required": ["name", "shape", "datatype", "data"],
            "properties": {
                "name": name(),
                "shape": {
                    "type": "array",
                    "maxItems": limits::DIMS_MAX,
                    "items": { "type": "integer", "minimum": 0 },
                },
                "datatype": datatypes(),
                "data": request_data(),
                "parameters": { "type": "object" },
            },
        },
        "RequestOutput": {
            "type": "object",
            "required": ["name"],
            "properties": { "name": name(), "parameters": { "type": "object" } },
        },
    })
}

fn request_data() -> Value {
    json!({
        "type": "array",
        "description": "Row-major, flat or nested as `shape` says. In floating-point tensors \
                        `null` is a missing value.",
        "items": {
            "anyOf": [
                { "type": "number", "nullable": true },
                { "type": "boolean" },
                { "type": "string" },
                { "type": "array", "items": {} },
            ],
        },
    })
}

fn reply_schemas() -> Value {
    let codes: Vec<_> = RefusalCode::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "InferResponse": {
            "type": "object",
            "required": ["model_name", "model_version", "outputs"],
            "additionalProperties": false,
            "properties": {
                "model_name": { "type": "string" },
                "model_version": { "type": "string" },
                "id": { "type": "string" },
                "parameters": { "type": "object" },
                "outputs": { "type": "array", "items": reference("ResponseOutput") },
            },
        },
        "ResponseOutput": {
            "type": "object",
            "required": ["name", "datatype", "shape", "data"],
            "additionalProperties": false,
            "properties": {
                "name": { "type": "string" },
                "datatype": datatypes(),
                "shape": { "type": "array", "items": { "type": "integer", "minimum": 0 } },
                "data": {
                    "type": "array",
                    "description": "Flat, row-major. NaN and infinities are `null`.",
                    "items": {
                        "anyOf": [
                            { "type": "number", "nullable": true },
                            { "type": "boolean" },
                            { "type": "string" },
                        ],
                    },
                },
            },
        },
        "Error": {
            "type": "object",
            "required": ["error", "code"],
            "additionalProperties": false,
            "properties": {
                "error": { "type": "string", "description": "What is wrong, in a sentence." },
                "code": { "type": "string", "enum": codes },
                "decision": {
                    "type": "string",
                    "format": "uuid",
                    "description": "Under this id the operator finds the reason.",
                },
            },
        },
    })
}

fn description_schemas() -> Value {
    let flag = |name: &str| {
        json!({
            "type": "object",
            "required": [name],
            "additionalProperties": false,
            "properties": { name: { "type": "boolean" } },
        })
    };
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    let tensors = || json!({ "type": "array", "items": reference("TensorMetadata") });
    let text = || json!({ "type": "string" });
    let object = |properties: Value| {
        let required: Vec<_> = properties.as_object().into_iter().flat_map(Map::keys).collect();
        json!({
            "type": "object",
            "required": required,
            "additionalProperties": false,
            "properties": properties,
        })
    };
    json!({
        "Live": flag("live"),
        "Ready": flag("ready"),
        "ServerMetadata":
            object(json!({ "name": text(), "version": text(), "extensions": texts() })),
        "ModelMetadata": object(json!({
            "name": text(),
            "versions": texts(),
            "platform": text(),
            "inputs": tensors(),
            "outputs": tensors(),
        })),
        "TensorMetadata": object(json!({
            "name": text(),
            "datatype": datatypes(),
            "shape": { "type": "array", "items": { "type": "integer", "minimum": -1 } },
        })),
        "ModelReady": object(json!({ "name": text(), "ready": { "type": "boolean" } })),
        "OpenApi": {
            "type": "object",
            "required": ["openapi", "info", "paths"],
        },
    })
}

#[cfg(test)]
mod tests;
