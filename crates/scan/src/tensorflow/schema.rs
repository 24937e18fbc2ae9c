//! Messages of TensorFlow 2.21, so far as they are walked.

use crate::protobuf::{Field, Kind, Schema, many, once};

use Kind::{Bytes, Data, Fixed32, Message, Numbers, Text, Varint};

/// A message of the format.
const fn schema(name: &'static str, fields: &'static [Field]) -> Schema {
    Schema { name, fields }
}

pub(super) static SAVED_MODEL: Schema =
    schema("SavedModel", &[once(1, Varint), many(2, Message(&META))]);
pub(super) static META: Schema = schema(
    "MetaGraphDef",
    &[
        once(1, Message(&META_INFO)),
        once(2, Message(&GRAPH)),
        once(3, Data),
        many(4, Data),
        many(5, Data),
        many(6, Message(&ASSET)),
        once(7, Message(&OBJECTS)),
    ],
);
static META_INFO: Schema = schema(
    "MetaGraphDef.MetaInfoDef",
    &[
        once(1, Text),
        once(2, Data),
        once(3, Data),
        many(4, Text),
        once(5, Text),
        once(6, Text),
        once(7, Varint),
        many(8, Data),
    ],
);
pub(super) static GRAPH: Schema = schema(
    "GraphDef",
    &[
        many(1, Message(&NODE)),
        once(2, Message(&LIBRARY)),
        once(3, Varint),
        once(4, Data),
        once(5, Data),
    ],
);
pub(super) static NODE: Schema = schema(
    "NodeDef",
    &[
        once(1, Text),
        once(2, Bytes),
        many(3, Text),
        once(4, Text),
        many(5, Message(&ATTRIBUTE)),
        once(6, Data),
        once(7, Data),
    ],
);
static ATTRIBUTE: Schema = schema("AttrEntry", &[once(1, Bytes), once(2, Message(&VALUE))]);
static VALUE: Schema = schema(
    "AttrValue",
    &[
        once(1, Message(&LIST)),
        once(2, Bytes),
        once(3, Varint),
        once(4, Fixed32),
        once(5, Varint),
        once(6, Varint),
        once(7, Data),
        once(8, Message(&TENSOR)),
        once(9, Text),
        once(10, Message(&CALL)),
    ],
);
static LIST: Schema = schema(
    "AttrValue.ListValue",
    &[
        many(2, Bytes),
        many(3, Numbers),
        many(4, Numbers),
        many(5, Numbers),
        many(6, Numbers),
        many(7, Data),
        many(8, Message(&TENSOR)),
        many(9, Message(&CALL)),
    ],
);
static CALL: Schema = schema("NameAttrList", &[once(1, Text), many(2, Message(&ATTRIBUTE))]);
static TENSOR: Schema = schema(
    "TensorProto",
    &[
        once(1, Varint),
        once(2, Data),
        once(3, Varint),
        once(4, Data),
        many(5, Numbers),
        many(6, Numbers),
        many(7, Numbers),
        many(8, Bytes),
        many(9, Numbers),
        many(10, Numbers),
        many(11, Numbers),
        many(12, Numbers),
        many(13, Numbers),
        many(14, Data),
        many(15, Data),
        many(16, Numbers),
        many(17, Numbers),
        once(18, Data),
    ],
);
static LIBRARY: Schema =
    schema("FunctionDefLibrary", &[many(1, Message(&FUNCTION)), many(2, Data), many(3, Data)]);
static FUNCTION: Schema = schema(
    "FunctionDef",
    &[
        once(1, Message(&SIGNATURE)),
        many(3, Message(&NODE)),
        many(4, Data),
        many(5, Message(&ATTRIBUTE)),
        many(6, Data),
        many(7, Data),
        many(8, Data),
    ],
);
static SIGNATURE: Schema = schema(
    "OpDef",
    &[
        once(1, Bytes),
        many(2, Data),
        many(3, Data),
        many(4, Data),
        once(5, Text),
        once(6, Text),
        once(8, Data),
        once(16, Varint),
        once(17, Varint),
        once(18, Varint),
        once(19, Varint),
        many(20, Text),
        once(21, Varint),
    ],
);
static ASSET: Schema = schema("AssetFileDef", &[once(1, Data), once(2, Bytes)]);
static OBJECTS: Schema = schema("SavedObjectGraph", &[many(1, Message(&OBJECT)), many(2, Data)]);
static OBJECT: Schema = schema(
    "SavedObject",
    &[
        many(1, Data),
        many(3, Data),
        once(4, Message(&USER_OBJECT)),
        once(5, Data),
        once(6, Data),
        once(7, Data),
        once(8, Data),
        once(9, Data),
        once(10, Data),
        many(11, Data),
        once(12, Data),
        once(13, Bytes),
        once(14, Data),
        many(15, Data),
        once(16, Bytes),
    ],
);
static USER_OBJECT: Schema =
    schema("SavedUserObject", &[once(1, Bytes), once(2, Data), once(3, Bytes)]);

/// `keras_metadata.pb`.
pub(super) static KERAS: Schema = schema("SavedMetadata", &[many(1, Message(&KERAS_OBJECT))]);
pub(super) static KERAS_OBJECT: Schema = schema(
    "SavedMetadata.SavedObject",
    &[once(2, Varint), once(3, Text), once(4, Text), once(5, Bytes), once(6, Data)],
);

/// `fingerprint.pb`.
pub(super) static FINGERPRINT: Schema = schema(
    "FingerprintDef",
    &[
        once(1, Varint),
        once(2, Varint),
        once(3, Varint),
        once(4, Varint),
        once(5, Varint),
        once(6, Data),
        once(7, Text),
    ],
);

/// `Model` of Core ML: the version, the description, and one field for each kind of model.
pub(super) static CORE_ML: Schema = schema(
    "CoreML.Specification.Model",
    &[
        once(1, Varint),
        once(2, Data),
        once(10, Varint),
        once(200, Data),
        once(201, Data),
        once(202, Data),
        once(300, Data),
        once(301, Data),
        once(302, Data),
        once(303, Data),
        once(304, Data),
        once(400, Data),
        once(401, Data),
        once(402, Data),
        once(403, Data),
        once(404, Data),
        once(500, Data),
        once(501, Data),
        once(502, Data),
        once(555, Data),
        once(556, Data),
        once(560, Data),
        once(600, Data),
        once(601, Data),
        once(602, Data),
        once(603, Data),
        once(604, Data),
        once(606, Data),
        once(607, Data),
        once(609, Data),
        once(900, Data),
        once(2000, Data),
        once(2001, Data),
        once(2002, Data),
        once(2003, Data),
        once(2004, Data),
        once(2005, Data),
        once(2006, Data),
        once(3000, Data),
    ],
);
