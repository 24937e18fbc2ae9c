//! Messages of ONNX (onnx.proto of onnx 1.23), so far as they are walked.

use crate::protobuf::{Field, Kind, Schema, many, once};

use Kind::{Bytes, Data, Fixed32, Message, Numbers, Text, Varint};

/// A message of the format.
const fn schema(name: &'static str, fields: &'static [Field]) -> Schema {
    Schema { name, fields }
}

pub(super) static MODEL: Schema = schema(
    "ModelProto",
    &[
        once(1, Varint),
        once(2, Bytes),
        once(3, Text),
        once(4, Text),
        once(5, Varint),
        once(6, Text),
        once(7, Message(&GRAPH)),
        many(8, Message(&OPSET)),
        many(14, Message(&ENTRY)),
        many(20, Message(&TRAINING)),
        many(25, Message(&FUNCTION)),
        many(26, Message(&DEVICES)),
    ],
);
pub(super) static OPSET: Schema = schema("OperatorSetIdProto", &[once(1, Bytes), once(2, Varint)]);
static TRAINING: Schema = schema(
    "TrainingInfoProto",
    &[
        once(1, Message(&GRAPH)),
        once(2, Message(&GRAPH)),
        many(3, Message(&ENTRY)),
        many(4, Message(&ENTRY)),
    ],
);
pub(super) static GRAPH: Schema = schema(
    "GraphProto",
    &[
        many(1, Message(&NODE)),
        once(2, Text),
        many(5, Message(&TENSOR)),
        once(10, Text),
        many(11, Message(&INFO)),
        many(12, Message(&INFO)),
        many(13, Message(&INFO)),
        many(14, Message(&ANNOTATION)),
        many(15, Message(&SPARSE)),
        many(16, Message(&ENTRY)),
    ],
);
pub(super) static NODE: Schema = schema(
    "NodeProto",
    &[
        many(1, Text),
        many(2, Text),
        once(3, Text),
        once(4, Bytes),
        many(5, Message(&ATTRIBUTE)),
        once(6, Text),
        once(7, Bytes),
        once(8, Text),
        many(9, Message(&ENTRY)),
        // Which device of a cluster runs the node: numbers and names.
        many(10, Data),
    ],
);
static ATTRIBUTE: Schema = schema(
    "AttributeProto",
    &[
        once(1, Text),
        once(2, Fixed32),
        once(3, Varint),
        once(4, Data),
        once(5, Message(&TENSOR)),
        once(6, Message(&GRAPH)),
        many(7, Numbers),
        many(8, Numbers),
        many(9, Data),
        many(10, Message(&TENSOR)),
        many(11, Message(&GRAPH)),
        once(13, Text),
        once(14, Message(&TYPE)),
        many(15, Message(&TYPE)),
        once(20, Varint),
        once(21, Text),
        once(22, Message(&SPARSE)),
        many(23, Message(&SPARSE)),
    ],
);
static SPARSE: Schema = schema(
    "SparseTensorProto",
    &[once(1, Message(&TENSOR)), once(2, Message(&TENSOR)), many(3, Numbers)],
);
pub(super) static TENSOR: Schema = schema(
    "TensorProto",
    &[
        many(1, Numbers),
        once(2, Varint),
        once(3, Data),
        many(4, Numbers),
        many(5, Numbers),
        many(6, Data),
        many(7, Numbers),
        once(8, Bytes),
        once(9, Bytes),
        many(10, Numbers),
        many(11, Numbers),
        once(12, Text),
        many(13, Message(&ENTRY)),
        once(14, Varint),
        many(16, Message(&ENTRY)),
    ],
);
pub(super) static ENTRY: Schema =
    schema("StringStringEntryProto", &[once(1, Bytes), once(2, Bytes)]);
pub(super) static FUNCTION: Schema = schema(
    "FunctionProto",
    &[
        once(1, Bytes),
        many(4, Text),
        many(5, Text),
        many(6, Text),
        many(7, Message(&NODE)),
        once(8, Text),
        many(9, Message(&OPSET)),
        once(10, Bytes),
        many(11, Message(&ATTRIBUTE)),
        many(12, Message(&INFO)),
        once(13, Text),
        many(14, Message(&ENTRY)),
    ],
);
static INFO: Schema = schema(
    "ValueInfoProto",
    &[once(1, Text), once(2, Message(&TYPE)), once(3, Text), many(4, Message(&ENTRY))],
);
static TYPE: Schema = schema(
    "TypeProto",
    &[
        once(1, Message(&TENSOR_TYPE)),
        once(4, Message(&ELEMENT_TYPE)),
        once(5, Message(&MAP_TYPE)),
        once(6, Text),
        once(7, Message(&OPAQUE_TYPE)),
        once(8, Message(&TENSOR_TYPE)),
        once(9, Message(&ELEMENT_TYPE)),
    ],
);
static TENSOR_TYPE: Schema =
    schema("TypeProto.Tensor", &[once(1, Varint), once(2, Message(&SHAPE))]);
static ELEMENT_TYPE: Schema = schema("TypeProto.Sequence", &[once(1, Message(&TYPE))]);
static MAP_TYPE: Schema = schema("TypeProto.Map", &[once(1, Varint), once(2, Message(&TYPE))]);
static OPAQUE_TYPE: Schema = schema("TypeProto.Opaque", &[once(1, Text), once(2, Text)]);
static SHAPE: Schema = schema("TensorShapeProto", &[many(1, Message(&DIMENSION))]);
static DIMENSION: Schema =
    schema("TensorShapeProto.Dimension", &[once(1, Varint), once(2, Text), once(3, Text)]);
static ANNOTATION: Schema = schema("TensorAnnotation", &[once(1, Text), many(2, Message(&ENTRY))]);
static DEVICES: Schema =
    schema("DeviceConfigurationProto", &[once(1, Text), once(2, Varint), many(3, Text)]);
