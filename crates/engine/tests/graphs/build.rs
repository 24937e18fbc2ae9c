//! A writer of small ONNX files: just enough of protobuf for the tests.

/// One message under construction.
#[derive(Clone, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while 0x80 <= value {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    pub(crate) fn int(self, field: u64, value: i64) -> Self {
        self.varint(field << 3).varint(value as u64)
    }

    pub(crate) fn float(self, field: u64, value: f32) -> Self {
        let mut message = self.varint(field << 3 | 5);
        message.0.extend(value.to_le_bytes());
        message
    }

    pub(crate) fn bytes(self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        let mut message = self.varint(field << 3 | 2).varint(bytes.as_ref().len() as u64);
        message.0.extend(bytes.as_ref());
        message
    }

    pub(crate) fn each<T>(
        self,
        items: impl IntoIterator<Item = T>,
        put: impl Fn(Self, T) -> Self,
    ) -> Self {
        items.into_iter().fold(self, put)
    }
}

pub(crate) fn attribute(name: &str, kind: i64) -> Message {
    Message::default().bytes(1, name).int(20, kind)
}

pub(crate) fn int(name: &str, value: i64) -> Message {
    attribute(name, 2).int(3, value)
}

pub(crate) fn float(name: &str, value: f32) -> Message {
    attribute(name, 1).float(2, value)
}

pub(crate) fn text(name: &str, value: &str) -> Message {
    attribute(name, 3).bytes(4, value)
}

pub(crate) fn floats(name: &str, values: &[f32]) -> Message {
    attribute(name, 6).each(values, |message, value| message.float(7, *value))
}

pub(crate) fn ints(name: &str, values: &[i64]) -> Message {
    attribute(name, 7).each(values, |message, value| message.int(8, *value))
}

pub(crate) fn texts(name: &str, values: &[&str]) -> Message {
    attribute(name, 8).each(values, |message, value| message.bytes(9, value))
}

pub(crate) fn tensor_attribute(name: &str, tensor: Message) -> Message {
    attribute(name, 4).bytes(5, tensor.0)
}

/// A tensor's frame: name, element type and dimensions.
pub(crate) fn tensor(name: &str, elem_type: i64, dims: &[i64]) -> Message {
    let message = Message::default().bytes(8, name).int(2, elem_type);
    message.each(dims, |message, dim| message.int(1, *dim))
}

pub(crate) fn f32_tensor(name: &str, dims: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, FLOAT, dims).bytes(9, raw)
}

pub(crate) fn i64_tensor(name: &str, dims: &[i64], values: &[i64]) -> Message {
    tensor(name, INT64, dims).each(values, |message, value| message.int(7, *value))
}

pub(crate) const FLOAT: i64 = 1;
pub(crate) const INT64: i64 = 7;
pub(crate) const STRING: i64 = 8;
pub(crate) const ML: &str = "ai.onnx.ml";

pub(crate) fn node(
    op: &str,
    domain: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: &[Message],
) -> Message {
    Message::default()
        .each(inputs, |message, name| message.bytes(1, name))
        .each(outputs, |message, name| message.bytes(2, name))
        .bytes(3, format!("the-{op}"))
        .bytes(4, op)
        .each(attributes, |message, attribute| message.bytes(5, &attribute.0))
        .bytes(7, domain)
}

/// An input or output; a dimension of -1 is open.
pub(crate) fn value(name: &str, elem_type: i64, dims: &[i64]) -> Message {
    let shape = Message::default().each(dims, |message, dim| {
        let extent = if *dim < 0 {
            Message::default().bytes(2, "n")
        } else {
            Message::default().int(1, *dim)
        };
        message.bytes(1, extent.0)
    });
    let tensor = Message::default().int(1, elem_type).bytes(2, shape.0);
    Message::default().bytes(1, name).bytes(2, Message::default().bytes(1, tensor.0).0)
}

/// A whole file under construction.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) nodes: Vec<Message>,
    pub(crate) tensors: Vec<Message>,
    pub(crate) inputs: Vec<Message>,
    pub(crate) outputs: Vec<Message>,
    pub(crate) opset: i64,
}

impl Model {
    /// From `x`, floats `[rows, width]`, to `y` of `elem_type`.
    pub(crate) fn new(width: i64, elem_type: i64) -> Self {
        Self {
            inputs: vec![value("x", FLOAT, &[-1, width])],
            outputs: vec![value("y", elem_type, &[-1])],
            opset: 18,
            ..Self::default()
        }
    }

    pub(crate) fn node(
        mut self,
        op: &str,
        domain: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[Message],
    ) -> Self {
        self.nodes.push(node(op, domain, inputs, outputs, attributes));
        self
    }

    pub(crate) fn tensor(mut self, tensor: Message) -> Self {
        self.tensors.push(tensor);
        self
    }

    pub(crate) fn graph(&self) -> Message {
        Message::default()
            .each(&self.nodes, |message, node| message.bytes(1, &node.0))
            .each(&self.tensors, |message, tensor| message.bytes(5, &tensor.0))
            .each(&self.inputs, |message, input| message.bytes(11, &input.0))
            .each(&self.outputs, |message, output| message.bytes(12, &output.0))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let opset =
            |domain: &str, version: i64| Message::default().bytes(1, domain).int(2, version);
        Message::default()
            .int(1, 8)
            .bytes(7, self.graph().0)
            .bytes(8, opset("", self.opset).0)
            .bytes(8, opset(ML, 3).0)
            .0
    }
}
