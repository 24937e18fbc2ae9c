//! Graphs, nodes, attributes, and the types of inputs and outputs.

use bartizan_core::limits;

use super::tensor::RawTensor;
use super::wire::{Fields, Payload};
use super::{
    ATTRIBUTES_MAX, ATTRIBUTES_PER_NODE_MAX, Attribute, AttributeValue, EDGES_MAX, Graph,
    INITIALIZERS_MAX, NODES_MAX, Node, OnnxError, ValueInfo, check_limit, plain_domain,
};

/// What all nodes of a graph may have together.
#[derive(Default)]
struct Totals {
    edges: usize,
    attributes: usize,
}

pub(super) fn read(bytes: &[u8]) -> Result<Graph<'_>, OnnxError> {
    let mut fields = Fields::new(bytes, "GraphProto");
    let mut graph = Graph::default();
    let mut totals = Totals::default();
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => {
                check_limit("nodes", graph.nodes.len().saturating_add(1), NODES_MAX)?;
                graph.nodes.push(read_node(fields.bytes(payload)?, &mut totals)?);
            }
            5 => {
                let count = graph.initializers.len().saturating_add(1);
                check_limit("tensors", count, INITIALIZERS_MAX)?;
                graph.initializers.push(RawTensor::read(fields.bytes(payload)?)?);
            }
            11 | 12 => {
                let values = if number == 11 { &mut graph.inputs } else { &mut graph.outputs };
                let count = values.len().saturating_add(1);
                check_limit("inputs or outputs", count, INITIALIZERS_MAX)?;
                values.push(read_value_info(fields.bytes(payload)?)?);
            }
            15 => return Err(fields.fault("it has sparse tensors, which are not read")),
            _ => {}
        }
    }
    Ok(graph)
}

fn read_node<'a>(bytes: &'a [u8], totals: &mut Totals) -> Result<Node<'a>, OnnxError> {
    let mut fields = Fields::new(bytes, "NodeProto");
    let mut node = Node::default();
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 | 2 => {
                totals.edges = totals.edges.saturating_add(1);
                check_limit("inputs and outputs of nodes", totals.edges, EDGES_MAX)?;
                let edges = if number == 1 { &mut node.inputs } else { &mut node.outputs };
                edges.push(fields.text(payload)?);
            }
            3 => node.name = fields.text(payload)?,
            4 => node.op = fields.text(payload)?,
            5 => {
                totals.attributes = totals.attributes.saturating_add(1);
                check_limit("attributes", totals.attributes, ATTRIBUTES_MAX)?;
                let count = node.attributes.len().saturating_add(1);
                check_limit("attributes of one node", count, ATTRIBUTES_PER_NODE_MAX)?;
                let attribute = read_attribute(fields.bytes(payload)?)?;
                if node.attributes.iter().any(|other| other.name == attribute.name) {
                    return Err(fields.fault("an attribute is given twice"));
                }
                node.attributes.push(attribute);
            }
            7 => node.domain = plain_domain(fields.text(payload)?),
            _ => {}
        }
    }
    if node.op.is_empty() {
        return Err(fields.fault("the operator is missing"));
    }
    Ok(node)
}

/// The parts of an `AttributeProto`, of which its type says which one counts.
#[derive(Default)]
struct Parts<'a> {
    name: &'a str,
    kind: i64,
    float: Option<f32>,
    int: Option<i64>,
    text: Option<&'a [u8]>,
    tensor: Option<&'a [u8]>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    texts: Vec<&'a [u8]>,
}

fn read_attribute(bytes: &[u8]) -> Result<Attribute<'_>, OnnxError> {
    let mut fields = Fields::new(bytes, "AttributeProto");
    let mut parts = Parts::default();
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => parts.name = fields.text(payload)?,
            2 => parts.float = Some(fields.float(payload)?),
            3 => parts.int = Some(fields.int(payload)?),
            4 => parts.text = Some(fields.bytes(payload)?),
            5 => parts.tensor = Some(fields.bytes(payload)?),
            7 => fields.floats(payload, &mut parts.floats)?,
            8 => fields.ints(payload, &mut parts.ints)?,
            9 => parts.texts.push(fields.bytes(payload)?),
            20 => parts.kind = fields.int(payload)?,
            _ => {}
        }
    }
    let value = match parts.kind {
        1 => AttributeValue::Float(parts.float.unwrap_or(0.0)),
        2 => AttributeValue::Int(parts.int.unwrap_or(0)),
        3 => AttributeValue::Text(parts.text.unwrap_or(&[])),
        4 => match parts.tensor {
            Some(tensor) => AttributeValue::Tensor(RawTensor::read(tensor)?),
            None => return Err(fields.fault("its tensor is missing")),
        },
        6 => AttributeValue::Floats(parts.floats),
        7 => AttributeValue::Ints(parts.ints),
        8 => AttributeValue::Texts(parts.texts),
        0 => return Err(fields.fault("its type is missing")),
        _ => AttributeValue::Other,
    };
    Ok(Attribute { name: parts.name, value })
}

fn read_value_info(bytes: &[u8]) -> Result<ValueInfo<'_>, OnnxError> {
    let mut fields = Fields::new(bytes, "ValueInfoProto");
    let mut info = ValueInfo::default();
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => info.name = fields.text(payload)?,
            2 => {
                if let Some(tensor) = find_message(fields.bytes(payload)?, "TypeProto", 1)? {
                    read_tensor_type(tensor, &mut info)?;
                }
            }
            _ => {}
        }
    }
    Ok(info)
}

fn read_tensor_type(bytes: &[u8], info: &mut ValueInfo<'_>) -> Result<(), OnnxError> {
    let mut fields = Fields::new(bytes, "TypeProto.Tensor");
    info.elem_type = Some(0);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => info.elem_type = Some(fields.int(payload)?),
            2 => info.shape = Some(read_shape(fields.bytes(payload)?)?),
            _ => {}
        }
    }
    Ok(())
}

fn read_shape(bytes: &[u8]) -> Result<Vec<Option<i64>>, OnnxError> {
    let mut fields = Fields::new(bytes, "TensorShapeProto");
    let mut shape = Vec::new();
    while let Some((number, payload)) = fields.next()? {
        if number != 1 {
            continue;
        }
        check_limit("dimensions", shape.len().saturating_add(1), limits::DIMS_MAX)?;
        let mut dimension = Fields::new(fields.bytes(payload)?, "TensorShapeProto.Dimension");
        let mut extent = None;
        while let Some((number, payload)) = dimension.next()? {
            if number == 1 {
                extent = Some(dimension.int(payload)?);
            }
        }
        shape.push(extent);
    }
    Ok(shape)
}

/// The last message in field `wanted` of another message.
fn find_message<'a>(
    bytes: &'a [u8],
    message: &'static str,
    wanted: u64,
) -> Result<Option<&'a [u8]>, OnnxError> {
    let mut fields = Fields::new(bytes, message);
    let mut found = None;
    while let Some((number, payload)) = fields.next()? {
        if let (true, Payload::Bytes(bytes)) = (number == wanted, payload) {
            found = Some(bytes);
        }
    }
    Ok(found)
}
