//! What is asked of an endpoint that somebody else runs, and what it answers.
//!
//! The request is written from cleared tensors, never from a caller's bytes. The answer is read
//! as strictly as a stranger's request: within limits, by the contract's own outputs.

use bartizan_core::{Contract, RefusalCode, Tensor};

use crate::error::Fault;
use crate::json::Reader;
use crate::oip::json_text;
use crate::request::Limits;
use crate::table::{self, Plan, text_of, write_list, write_rows};
use crate::{WireError, grpc, mlflow, oip};

/// Header in which Azure ML's server reports its version.
pub const VERSION_HEADER: &str = "x-ms-server-version";

/// Which protocol an endpoint speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The Open Inference Protocol over REST.
    OipRest,
    /// The Open Inference Protocol over gRPC.
    OipGrpc {
        /// What the endpoint calls the model.
        model: Box<str>,
        /// The version to ask; the endpoint's choice where empty.
        version: Box<str>,
    },
    /// Azure ML's `/score`; rows go under the key.
    AzureMl {
        /// `data` or `input_data`.
        rows_under: &'static str,
    },
    /// MLflow's `/invocations`.
    Mlflow,
}

/// What an endpoint answered.
#[derive(Debug)]
pub struct Told {
    /// Its outputs, in the contract's order.
    pub outputs: Vec<Tensor>,
    /// The version of the model that it reports.
    pub version: Option<Box<str>>,
}

/// An endpoint that answers under a contract.
#[derive(Debug)]
pub struct Endpoint {
    kind: Kind,
    inputs: Plan,
    outputs: Plan,
}

impl Endpoint {
    /// The endpoint of `kind` that answers under `contract`.
    ///
    /// # Errors
    /// [`RefusalCode::Unsupported`] where tables cannot carry the contract's tensors.
    pub fn new(kind: Kind, contract: &Contract) -> Result<Self, WireError> {
        let (inputs, outputs) = (Plan::new(contract), Plan::of_outputs(contract));
        if !matches!(kind, Kind::OipRest | Kind::OipGrpc { .. }) {
            inputs.check().and_then(|()| outputs.check())?;
        }
        Ok(Self { kind, inputs, outputs })
    }

    /// Media type of its requests.
    pub fn media_type(&self) -> &'static str {
        if self.is_grpc() { "application/grpc" } else { "application/json" }
    }

    /// Whether it is asked by calls: then the answer's `grpc-status` must be 0.
    pub fn is_grpc(&self) -> bool {
        matches!(self.kind, Kind::OipGrpc { .. })
    }

    /// Appends the request for the answer to `inputs`, in the contract's order, to `out`.
    ///
    /// # Errors
    /// [`RefusalCode::Internal`] where a text is not UTF-8.
    pub fn render(&self, inputs: &[Tensor], out: &mut Vec<u8>) -> Result<(), WireError> {
        let (named, bare) = match &self.kind {
            Kind::OipRest => return oip::render_request(inputs, out),
            Kind::OipGrpc { model, version } => {
                grpc::render_call(model, version, inputs, out);
                return Ok(());
            }
            Kind::AzureMl { rows_under } => (*rows_under, *rows_under),
            Kind::Mlflow => ("dataframe_split", "instances"),
        };
        // A scripted `data` is a list of rows, by all of Azure's templates.
        let is_plain = self.kind == (Kind::AzureMl { rows_under: "data" });
        let names = self.inputs.column_names().filter(|_| !is_plain);
        out.push(b'{');
        json_text(if names.is_some() { named } else { bare }, out);
        out.push(b':');
        match (names, inputs) {
            (Some(names), _) => {
                out.extend_from_slice(b"{\"columns\":[");
                for (n, name) in names.iter().enumerate() {
                    if 0 < n {
                        out.push(b',');
                    }
                    json_text(name, out);
                }
                out.extend_from_slice(b"],\"index\":[");
                let n_rows = inputs.first().map_or(0, Tensor::n_rows);
                for row_idx in 0..n_rows {
                    if 0 < row_idx {
                        out.push(b',');
                    }
                    out.extend_from_slice(itoa::Buffer::new().format(row_idx).as_bytes());
                }
                out.extend_from_slice(b"],\"data\":");
                write_rows(inputs, out)?;
                out.push(b'}');
            }
            (None, [only]) => write_list(only, out)?,
            (None, _) => write_rows(inputs, out)?,
        }
        out.push(b'}');
        Ok(())
    }

    /// Reads the answer to a request of `n_rows` rows.
    ///
    /// # Errors
    /// [`WireError`] that says how it is not what the contract promises; never a value of it.
    pub fn parse(&self, body: &[u8], n_rows: usize, limits: &Limits) -> Result<Told, WireError> {
        let told = match &self.kind {
            Kind::OipGrpc { .. } => grpc::parse_called(body, limits)?,
            Kind::OipRest => oip::parse_answer(body, limits)?,
            Kind::Mlflow => {
                let outputs = mlflow::one_of(body, &self.outputs, limits, &["predictions"])?;
                Told { outputs, version: None }
            }
            Kind::AzureMl { .. } => Told { outputs: self.scored(body, limits)?, version: None },
        };
        let outputs = self.outputs.arrange(told.outputs, n_rows)?;
        Ok(Told { outputs, ..told })
    }

    /// The rows of an answer of `/score`: bare, or under one of the keys that templates use.
    fn scored(&self, body: &[u8], limits: &Limits) -> Result<Vec<Tensor>, Box<Fault>> {
        const KEYS: [&str; 5] = ["Results", "result", "results", "predictions", "data"];
        let mut reader = Reader::new(text_of(body, limits)?, limits.depth_max);
        let key = match reader.peek() {
            Some(b'{') => reader.clone().first_key()?,
            _ => None,
        };
        let is_wrapped = key.is_some_and(|key| KEYS.contains(&&*key) && !self.outputs.knows(&key));
        if is_wrapped {
            return mlflow::one_of(body, &self.outputs, limits, &KEYS);
        }
        let outputs = table::any_table(&mut reader, table::begin(&self.outputs, limits)?)?;
        reader.finish()?;
        Ok(outputs)
    }
}

impl Plan {
    /// `outputs` in the contract's order, if they are what it promises for `n_rows` rows.
    fn arrange(&self, mut outputs: Vec<Tensor>, n_rows: usize) -> Result<Vec<Tensor>, WireError> {
        let wrong = |message: String| WireError { code: RefusalCode::ModelUnavailable, message };
        let mut arranged = Vec::with_capacity(outputs.len());
        for (name, datatype, shape) in self.promised() {
            let Some(at) = outputs.iter().position(|output| output.name() == name) else {
                return Err(wrong(format!("output `{name}` is missing in the upstream's answer")));
            };
            let output = outputs.swap_remove(at);
            let fits = |(dim, wanted): (&u64, &Option<u64>)| wanted.is_none_or(|w| w == *dim);
            let is_shaped = output.shape().len() == shape.len()
                && output.shape().iter().zip(&shape).all(fits)
                && output.n_rows() == n_rows;
            if output.datatype() != datatype || !is_shaped {
                let found = (output.datatype(), output.shape());
                return Err(wrong(format!(
                    "the upstream answers output `{name}` as {} {:?} for {n_rows} rows; the \
                     contract promises {datatype} {shape:?}",
                    found.0, found.1
                )));
            }
            arranged.push(output);
        }
        Ok(arranged)
    }
}
