//! `GET /swagger.json`: what `/score` takes and gives, from the contract.

use bartizan_core::contract::{AnswerShape, Input, Missing, Role};
use bartizan_core::{Contract, Datatype, ModelName, ModelVersion};
use serde_json::{Map, Value, json};

/// Which form the description has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwaggerVersion {
    /// Swagger 2.0, which `?version=2` and no version ask for.
    Two,
    /// OpenAPI 3.0.
    Three,
    /// OpenAPI 3.1.
    ThreeOne,
}

impl SwaggerVersion {
    /// The version of a query, as azureml-inference-server reads it; `None` of an unknown one.
    pub fn of_query(query: &str) -> Option<Self> {
        let wanted = query.split('&').find_map(|pair| pair.strip_prefix("version="));
        match wanted {
            None | Some("2") => Some(Self::Two),
            Some("3") => Some(Self::Three),
            Some("3.1") => Some(Self::ThreeOne),
            Some(_) => None,
        }
    }
}

/// The description of `/score` for a model under `contract`, as JSON.
pub fn swagger(
    name: &ModelName,
    version: ModelVersion,
    contract: &Contract,
    form: SwaggerVersion,
) -> Value {
    let input = json!({
        "type": "object",
        "required": ["data"],
        "properties": { "data": { "type": "array", "items": row(contract) } },
    });
    let output = output(contract);
    let error = json!({
        "type": "object",
        "properties": { "message": { "type": "string" }, "code": { "type": "string" } },
    });
    let info = json!({ "title": name.as_str(), "version": version.to_string() });
    let schemas = json!({ "ServiceInput": input, "ServiceOutput": output, "ErrorResponse": error });
    if form == SwaggerVersion::Two { two(&info, &schemas) } else { three(&info, &schemas, form) }
}

fn two(info: &Value, schemas: &Value) -> Value {
    let answer = |description: &str, schema: &str| json!({ "description": description, "schema": { "$ref": format!("#/definitions/{schema}") } });
    json!({
        "swagger": "2.0",
        "info": info,
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {
            "Bearer": { "type": "apiKey", "name": "Authorization", "in": "header" },
        },
        "paths": {
            "/": { "get": {
                "operationId": "ServiceHealthCheck",
                "responses": { "200": {
                    "description": "The service is up", "schema": { "type": "string" },
                } },
            } },
            "/score": { "post": {
                "operationId": "RunMLService",
                "security": [{ "Bearer": [] }],
                "parameters": [{
                    "name": "serviceInputPayload", "in": "body",
                    "schema": { "$ref": "#/definitions/ServiceInput" },
                }],
                "responses": {
                    "200": answer("The prediction", "ServiceOutput"),
                    "default": answer("Why there is none", "ErrorResponse"),
                },
            } },
        },
        "definitions": schemas,
    })
}

fn three(info: &Value, schemas: &Value, form: SwaggerVersion) -> Value {
    let content = |schema: &str| json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } });
    let openapi = if form == SwaggerVersion::Three { "3.0.3" } else { "3.1.0" };
    json!({
        "openapi": openapi,
        "info": info,
        "security": [{ "Bearer": [] }],
        "paths": {
            "/": { "get": {
                "operationId": "ServiceHealthCheck",
                "security": [],
                "responses": { "200": {
                    "description": "The service is up",
                    "content": { "text/plain": { "schema": { "type": "string" } } },
                } },
            } },
            "/score": { "post": {
                "operationId": "RunMLService",
                "requestBody": { "required": true, "content": content("ServiceInput") },
                "responses": {
                    "200": { "description": "The prediction", "content": content("ServiceOutput") },
                    "default": {
                        "description": "Why there is none", "content": content("ErrorResponse"),
                    },
                },
            } },
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": { "Bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// One row of a request: an object where every column has a name, else a list.
fn row(contract: &Contract) -> Value {
    let inputs = contract.inputs();
    let named = |input: &Input| {
        let len = input.row_len().unwrap_or(0);
        len == 1 || (1 < len && len == input.features.len() as u64)
    };
    if !inputs.iter().all(named) {
        return json!({ "type": "array", "items": inputs.first().map_or(json!({}), cell) });
    }
    let mut properties = Map::new();
    for input in inputs {
        let n_columns = usize::try_from(input.row_len().unwrap_or(1)).unwrap_or(1);
        for column_idx in 0..n_columns {
            let feature = input.feature(column_idx);
            let name = feature.map_or(input.name.as_str(), |feature| feature.name.as_str());
            let mut schema = cell(input);
            let is_optional = feature.is_some_and(|feature| feature.missing == Missing::Allowed);
            if let (true, Some(keys)) = (is_optional, schema.as_object_mut()) {
                keys.insert("x-nullable".into(), true.into());
            }
            properties.insert(name.into(), schema);
        }
    }
    let required: Vec<_> = properties.keys().cloned().collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn cell(input: &Input) -> Value {
    of_type(input.datatype)
}

fn of_type(datatype: Datatype) -> Value {
    match datatype {
        Datatype::Bool => json!({ "type": "boolean" }),
        Datatype::Bytes => json!({ "type": "string" }),
        Datatype::Fp32 => json!({ "type": "number", "format": "float" }),
        Datatype::Fp64 | Datatype::Fp16 | Datatype::Bf16 => {
            json!({ "type": "number", "format": "double" })
        }
        Datatype::Uint8
        | Datatype::Uint16
        | Datatype::Uint32
        | Datatype::Uint64
        | Datatype::Int8
        | Datatype::Int16
        | Datatype::Int32
        | Datatype::Int64 => json!({ "type": "integer" }),
    }
}

/// The answer, as [`super::render_score`] writes it where nothing is withheld.
fn output(contract: &Contract) -> Value {
    let table = &contract.file().table;
    let label = contract.outputs().iter().find(|output| output.role == Role::Label);
    let picked: Vec<_> = match (&table.outputs, label) {
        (Some(names), _) => {
            let found = |name: &String| contract.outputs().iter().find(|o| o.name == *name);
            names.iter().filter_map(found).collect()
        }
        (None, Some(label)) => vec![label],
        (None, None) => contract.outputs().iter().collect(),
    };
    let list = |datatype, shape: &[i64]| {
        let is_flat = shape.iter().skip(1).all(|dim| *dim == 1);
        let depth = if is_flat { 1 } else { shape.len().max(1) };
        (0..depth).fold(of_type(datatype), |inner, _| json!({ "type": "array", "items": inner }))
    };
    let natural = if picked.len() == 1 { AnswerShape::Values } else { AnswerShape::Columns };
    let rows = match (table.answer.unwrap_or(natural), picked.as_slice()) {
        (AnswerShape::Values, [only]) => list(only.datatype, &only.shape),
        (AnswerShape::Values | AnswerShape::Columns, _) => {
            let keys: Map<_, _> = picked
                .iter()
                .map(|output| (output.name.clone(), list(output.datatype, &output.shape)))
                .collect();
            json!({ "type": "object", "properties": keys })
        }
        (AnswerShape::Records, _) => {
            let keys: Map<_, _> =
                picked.iter().map(|output| (output.name.clone(), json!({}))).collect();
            json!({ "type": "array", "items": { "type": "object", "properties": keys } })
        }
    };
    match table.answer_key.as_deref() {
        None | Some("") => rows,
        Some(key) => json!({ "type": "object", "properties": { key: rows } }),
    }
}
