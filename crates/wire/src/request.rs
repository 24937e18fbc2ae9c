//! What a protocol's body says, whatever the protocol.

use bartizan_core::{ModelName, ModelVersion, Tensor, limits};

/// Bounds on one body. Each is checked before memory is taken for what it bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest body, in bytes.
    pub body_bytes_max: usize,
    /// Most lists and objects within each other; at most 64, and the protocol needs 11.
    pub depth_max: usize,
    /// Most elements in all tensors of a request; at most [`limits::ELEMENTS_MAX`].
    pub elements_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: limits::BODY_BYTES_MAX,
            depth_max: 32,
            elements_max: limits::ELEMENTS_MAX,
        }
    }
}

/// What a caller says about its request; policy says whether it may. Each text has 1 to
/// [`limits::ASSERTED_BYTES_MAX`] bytes and no control character.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Asserted {
    /// Whom the decision is about: `bartizan-subject`.
    pub subject: Option<Box<str>>,
    /// Who uses the caller's product: `bartizan-end-user`.
    pub end_user: Option<Box<str>>,
    /// What the answer is for: `bartizan-purpose`.
    pub purpose: Option<Box<str>>,
    /// The caller's own name for the request: `bartizan-correlation-id`.
    pub correlation_id: Option<Box<str>>,
}

impl std::fmt::Debug for Asserted {
    /// Says which texts there are, never what they say: they are personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = |text: &Option<Box<str>>| text.as_ref().map(|_| "[redacted]");
        f.debug_struct("Asserted")
            .field("subject", &said(&self.subject))
            .field("end_user", &said(&self.end_user))
            .field("purpose", &said(&self.purpose))
            .field("correlation_id", &said(&self.correlation_id))
            .finish()
    }
}

/// Which outputs a request wants as raw bytes behind the JSON: the binary tensor extension. None
/// by default.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BinaryWish {
    /// Whether those that are not named are wanted so: `binary_data_output`.
    pub by_default: bool,
    /// Outputs that say so for themselves: `binary_data`.
    pub named: Vec<(Box<str>, bool)>,
}

impl BinaryWish {
    /// Whether `output` is wanted as raw bytes.
    pub fn is_for(&self, output: &str) -> bool {
        let own = self.named.iter().find(|(name, _)| **name == *output);
        own.map_or(self.by_default, |(_, is_binary)| *is_binary)
    }

    /// Whether no output at all may be.
    pub fn is_none(&self) -> bool {
        !self.by_default && self.named.iter().all(|(_, is_binary)| !is_binary)
    }
}

/// A request for inference.
#[derive(Clone, PartialEq)]
pub struct InferRequest {
    /// The caller's id, echoed in the reply.
    pub id: Option<Box<str>>,
    /// Tensors in the caller's order; at least one.
    pub inputs: Vec<Tensor>,
    /// Names of the outputs asked for; all where absent.
    pub outputs: Option<Vec<Box<str>>>,
    /// What the caller says about the request.
    pub asserted: Asserted,
    /// Which outputs it wants as raw bytes.
    pub binary: BinaryWish,
}

impl InferRequest {
    /// A request of `inputs` that says nothing else.
    pub(crate) fn of(inputs: Vec<Tensor>) -> Self {
        let (id, outputs, binary) = (None, None, BinaryWish::default());
        Self { id, inputs, outputs, asserted: Asserted::default(), binary }
    }
}

impl std::fmt::Debug for InferRequest {
    /// Shapes and types, never values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inputs: Vec<_> =
            self.inputs.iter().map(|tensor| (tensor.datatype(), tensor.shape())).collect();
        f.debug_struct("InferRequest")
            .field("inputs", &inputs)
            .field("n_outputs", &self.outputs.as_ref().map(Vec::len))
            .field("asserted", &self.asserted)
            .finish_non_exhaustive()
    }
}

/// The value of one parameter of a reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParameterValue<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any text.
    Text(&'a str),
}

/// A reply, as it is to be written.
#[derive(Clone, Copy, Debug)]
pub struct InferReply<'a> {
    /// The model that answered.
    pub model: &'a ModelName,
    /// Its version.
    pub version: ModelVersion,
    /// The request's id, where it had one.
    pub id: Option<&'a str>,
    /// Outputs in the order in which they are written.
    pub outputs: &'a [Tensor],
    /// Parameters in the order in which they are written; names are unique.
    pub parameters: &'a [(&'a str, ParameterValue<'a>)],
}
