//! What a file is, told by its content: for errors that say what to do next.
//!
//! Nothing is decoded beyond what tells the kind: pickles are not run, archives are not unpacked.
//! A name's ending only decides between kinds whose content looks the same.

use std::fmt;

/// How much of a file's beginning is enough, in bytes.
pub const HEAD_BYTES: usize = 4_096;

/// What a file, or a folder, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// An ONNX model, as far as its beginning shows.
    Onnx,
    /// A Python pickle.
    Pickle,
    /// A pickle written by joblib, compressed or not.
    Joblib,
    /// A NumPy array (`.npy`).
    Numpy,
    /// A PyTorch checkpoint: a zip archive with a pickle in it.
    Torch,
    /// A Keras 3 model: a zip archive.
    Keras,
    /// Some other zip archive.
    Zip,
    /// Tensors in safetensors' format: weights without a model.
    SafeTensors,
    /// An HDF5 file: Keras' older format.
    Hdf5,
    /// A LightGBM model as text.
    LightGbm,
    /// An XGBoost model as JSON.
    XgBoostJson,
    /// An XGBoost model as UBJSON.
    XgBoostUbj,
    /// A Parquet table.
    Parquet,
    /// A folder that MLflow wrote.
    MlflowFolder,
    /// A TensorFlow SavedModel folder.
    SavedModelFolder,
    /// A folder of another kind.
    Folder,
    /// Something compressed, whose content is not looked into.
    Compressed,
    /// No bytes at all.
    Empty,
    /// Nothing of the above.
    Unknown,
}

/// Kinds with what they are called and what the user can do next.
const ABOUT: &[(FileKind, &str, &str)] = &[
    (FileKind::Onnx, "an ONNX model", "bartizan serve FILE"),
    (FileKind::Pickle, "a Python pickle", CONVERT_SKLEARN),
    (FileKind::Joblib, "a joblib file (a Python pickle)", CONVERT_SKLEARN),
    (FileKind::Numpy, "a NumPy array", "it holds data, not a model: save the model as ONNX"),
    (FileKind::Torch, "a PyTorch checkpoint (a zip archive with a pickle)", CONVERT_TORCH),
    (FileKind::Keras, "a Keras model", CONVERT_KERAS),
    (FileKind::Zip, "a zip archive", "unpack it and give the ONNX file inside"),
    (FileKind::SafeTensors, "safetensors (weights without a model)", CONVERT_TORCH),
    (FileKind::Hdf5, "an HDF5 file (Keras' older format)", CONVERT_KERAS),
    (FileKind::LightGbm, "a LightGBM model as text", "bartizan serve FILE"),
    (FileKind::XgBoostJson, "an XGBoost model as JSON", "bartizan serve FILE"),
    (FileKind::XgBoostUbj, "an XGBoost model as UBJSON", "bartizan serve FILE"),
    (FileKind::Parquet, "a Parquet table", "it holds data: give it as `--reference FILE`"),
    (FileKind::MlflowFolder, "an MLflow model folder", CONVERT_MLFLOW),
    (FileKind::SavedModelFolder, "a TensorFlow SavedModel folder", CONVERT_SAVED_MODEL),
    (FileKind::Folder, "a folder", "give the ONNX file itself"),
    (FileKind::Compressed, "a compressed file", "unpack it and give the ONNX file inside"),
    (FileKind::Empty, "an empty file", "export the model again"),
    (FileKind::Unknown, "a file of no kind we know", "export the model as ONNX"),
];

const CONVERT_SKLEARN: &str = "convert it where you trust it, in Python with scikit-learn and \
     skl2onnx: python -c \"import joblib, skl2onnx; m = joblib.load('MODEL'); \
     from skl2onnx.common.data_types import FloatTensorType as F; \
     o = skl2onnx.to_onnx(m, initial_types=[('features', F([None, m.n_features_in_]))], \
     options={'zipmap': False}); open('model.onnx', 'wb').write(o.SerializeToString())\"";
const CONVERT_TORCH: &str = "export it where the model's code is: \
     torch.onnx.export(model, example_inputs, 'model.onnx', dynamic_axes={'x': {0: 'rows'}})";
const CONVERT_KERAS: &str = "export it where you trust it, with Keras 3: \
     python -c \"import keras; keras.models.load_model('MODEL').export('model.onnx', format='onnx')\"";
const CONVERT_SAVED_MODEL: &str = "convert it with tf2onnx: \
     python -m tf2onnx.convert --saved-model FOLDER --output model.onnx";
const CONVERT_MLFLOW: &str = "convert the model inside, where you trust it: \
     python -c \"import mlflow, skl2onnx; m = mlflow.sklearn.load_model('FOLDER'); \
     from skl2onnx.common.data_types import FloatTensorType as F; \
     o = skl2onnx.to_onnx(m, initial_types=[('features', F([None, m.n_features_in_]))], \
     options={'zipmap': False}); open('model.onnx', 'wb').write(o.SerializeToString())\"";

impl FileKind {
    fn about(self) -> (&'static str, &'static str) {
        let found = ABOUT.iter().find(|(kind, _, _)| *kind == self);
        found.map_or(("", ""), |(_, name, next)| (name, next))
    }

    /// Whether an engine of this crate loads such files.
    pub fn is_loaded_here(self) -> bool {
        matches!(self, Self::Onnx | Self::LightGbm | Self::XgBoostJson | Self::XgBoostUbj)
    }

    /// What it is called, with its article: `a Python pickle`.
    pub fn name(self) -> &'static str {
        self.about().0
    }

    /// What to do with it: a line to paste, or advice.
    pub fn next_step(self) -> &'static str {
        self.about().1
    }

    /// Whether loading it in its own library can run code that it carries.
    pub fn may_carry_code(self) -> bool {
        matches!(
            self,
            Self::Pickle
                | Self::Joblib
                | Self::Torch
                | Self::Keras
                | Self::Hdf5
                | Self::MlflowFolder
                | Self::SavedModelFolder
        )
    }
}

/// The whole of it for people: what it is, that it was not run, what to do.
impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, next) = self.about();
        write!(f, "this is {name}; it is not executed; next: {next}")
    }
}

/// What a file is whose first bytes are `head` ([`HEAD_BYTES`] are enough) and which is called
/// `name`.
pub fn sniff(head: &[u8], name: &str) -> FileKind {
    let is_called = |endings: &[&str]| {
        let name = name.to_ascii_lowercase();
        endings.iter().any(|ending| name.ends_with(ending))
    };
    if head.is_empty() {
        return FileKind::Empty;
    }
    if let Some(kind) = by_magic(head) {
        return kind;
    }
    if is_compressed(head) {
        // joblib compresses its pickles as a whole.
        let joblib = is_called(&[".joblib", ".pkl", ".pickle", ".jbl"])
            || [".pkl.", ".joblib.", ".pickle."].iter().any(|part| name.contains(part));
        return if joblib { FileKind::Joblib } else { FileKind::Compressed };
    }
    if is_pickle(head) {
        let joblib = is_called(&[".joblib", ".jbl"]) || contains(head, b"joblib.numpy_pickle");
        return if joblib { FileKind::Joblib } else { FileKind::Pickle };
    }
    if let Some(kind) = by_text(head) {
        return kind;
    }
    if is_onnx(head) { FileKind::Onnx } else { FileKind::Unknown }
}

/// What a folder is that holds entries of these names.
pub fn sniff_folder<'n>(entries: impl IntoIterator<Item = &'n str>) -> FileKind {
    let mut kind = FileKind::Folder;
    for entry in entries {
        match entry {
            "MLmodel" => return FileKind::MlflowFolder,
            "saved_model.pb" => kind = FileKind::SavedModelFolder,
            _ => {}
        }
    }
    kind
}

fn by_magic(head: &[u8]) -> Option<FileKind> {
    const MAGIC: &[(&[u8], FileKind)] = &[
        (b"\x93NUMPY", FileKind::Numpy),
        (b"\x89HDF\r\n\x1a\n", FileKind::Hdf5),
        (b"PAR1", FileKind::Parquet),
    ];
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(*kind);
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        // The first entries' names stand in the head, uncompressed.
        let torch = [&b"/data.pkl"[..], b"data.pkl", b"/.format_version", b"code/__torch__"];
        let keras = [&b"metadata.json"[..], b"model.weights.h5"];
        return Some(if torch.iter().any(|name| contains(head, name)) {
            FileKind::Torch
        } else if keras.iter().any(|name| contains(head, name)) {
            FileKind::Keras
        } else {
            FileKind::Zip
        });
    }
    let header_bytes = head.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))?;
    let is_header = 2 <= header_bytes && header_bytes <= 100_000_000;
    let body = head.get(8..).unwrap_or(&[]);
    (is_header && body.starts_with(b"{\"")).then_some(FileKind::SafeTensors)
}

/// gzip, zlib, bzip2, xz, lzma, lz4 (frames), zstd: what joblib writes, and its kin.
fn is_compressed(head: &[u8]) -> bool {
    const MAGIC: &[&[u8]] = &[
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ\x00",
        b"\x5d\x00\x00\x80\x00",
        b"\x04\x22\x4d\x18",
        b"\x28\xb5\x2f\xfd",
    ];
    // RFC 1950: method 8 with a 32 KiB window, and the first two bytes a multiple of 31.
    let zlib = match head {
        [0x78, flags, ..] => (0x7800 + u32::from(*flags)).is_multiple_of(31) && flags & 0x20 == 0,
        _ => false,
    };
    zlib || MAGIC.iter().any(|magic| head.starts_with(magic))
}

/// Protocols 2 to 5 begin with their number; 0 and 1 are known by their first opcodes.
fn is_pickle(head: &[u8]) -> bool {
    match head {
        [0x80, protocol @ 2..=5, next, ..] => {
            // A frame, or any opcode that can begin a value; ONNX's first byte 0x08 is not here.
            *protocol < 4 || *next == 0x95 || next.is_ascii_graphic() || *next == 0x8c
        }
        [b'(' | b'c' | b'i' | b'l' | b'd' | b']' | b'}' | b')', ..] => {
            // `ccopy_reg\n_reconstructor\n`, `(lp0\n`, `(dp0\n`, `(iname\nname\n`, `]q\x00`.
            let opens = [
                &b"ccopy_reg\n"[..],
                b"ccopyreg\n",
                b"c__builtin__\n",
                b"cbuiltins\n",
                b"(lp",
                b"(dp",
                b"(i",
                b"(tp",
                b"(c",
                b"]q\x00",
                b"}q\x00",
                b")q\x00",
                b"(K",
                b"(U",
                b"(X",
            ];
            opens.iter().any(|open| head.starts_with(open)) || is_global(head)
        }
        _ => false,
    }
}

/// `c`, a dotted module, a line end, a name, a line end: the opcode GLOBAL.
fn is_global(head: &[u8]) -> bool {
    let Some(rest) = head.strip_prefix(b"c") else { return false };
    let mut lines = rest.split(|byte| *byte == b'\n').take(2);
    let is_name = |line: &[u8]| {
        (1..=200).contains(&line.len())
            && line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(byte))
    };
    rest.iter().filter(|byte| **byte == b'\n').count() >= 2 && lines.all(is_name)
}

fn by_text(head: &[u8]) -> Option<FileKind> {
    let text = head.trim_ascii_start();
    if text.starts_with(b"tree\n") || text.starts_with(b"tree\r\n") {
        return Some(FileKind::LightGbm);
    }
    let is_xgboost = contains(head, b"learner") || contains(head, b"gradient_booster");
    if text.starts_with(b"{") && is_xgboost {
        // UBJSON writes the length of a key before it: `{L`, `{l`, `{U`, `{i`.
        let ubj = matches!(text.get(1), Some(b'L' | b'l' | b'U' | b'i' | b'I' | b'$' | b'#'));
        return Some(if ubj { FileKind::XgBoostUbj } else { FileKind::XgBoostJson });
    }
    None
}

/// A `ModelProto`: the IR version first, or a known field of it, then fields that it has.
fn is_onnx(head: &[u8]) -> bool {
    let mut rest = head;
    let mut seen_version = false;
    for _ in 0..8 {
        let Some((key, after)) = rest.split_first() else { return seen_version };
        let (number, wire_type) = (key >> 3, key & 7);
        let varint = varint(after);
        match (number, wire_type, varint) {
            (1, 0, Some((version, after))) if (1..=100).contains(&version) => {
                seen_version = true;
                rest = after;
            }
            (5, 0, Some((_, after))) => rest = after,
            // The graph may be longer than the head; that it begins is enough.
            (7, 2, Some(_)) => return seen_version,
            (2..=4 | 6 | 8 | 14, 2, Some((length, after))) => {
                match usize::try_from(length).ok().and_then(|length| after.get(length..)) {
                    Some(after) => rest = after,
                    None => return seen_version,
                }
            }
            _ => return false,
        }
    }
    seen_version
}

/// A number in protobuf's encoding, and what follows.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let value = bytes[..=end]
        .iter()
        .rev()
        .fold(0_u64, |value, byte| value.wrapping_shl(7) | u64::from(byte & 0x7f));
    Some((value, &bytes[end + 1..]))
}

fn contains(head: &[u8], wanted: &[u8]) -> bool {
    head.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_content() {
        let safetensors = [&64_u64.to_le_bytes()[..], br#"{"w":{"dtype":"F32""#].concat();
        let cases: &[(&[u8], &str, FileKind)] = &[
            (b"", "model.onnx", FileKind::Empty),
            (b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00}\x94", "a.onnx", FileKind::Pickle),
            (b"\x80\x05\x95\x1c\x00\x00\x00", "model.pkl", FileKind::Pickle),
            (b"\x80\x02]q\x00(K\x01e.", "model", FileKind::Pickle),
            (b"\x80\x03cnumpy\ndtype\n", "model.pkl", FileKind::Pickle),
            (b"ccopy_reg\n_reconstructor\np0\n", "model", FileKind::Pickle),
            (b"cos\nsystem\n(S'id'\ntR.", "model.onnx", FileKind::Pickle),
            (b"(lp0\nI1\na.", "model", FileKind::Pickle),
            (b"]q\x00(K\x01e.", "model", FileKind::Pickle),
            (b"\x80\x04\x95\x1c\x00\x00\x00", "model.joblib", FileKind::Joblib),
            (b"\x80\x03cjoblib.numpy_pickle\nNumpyArrayWrapper\n", "model", FileKind::Joblib),
            (b"\x78\x9c\x6b\x60", "model.pkl.z", FileKind::Joblib),
            (b"\x78\x5e\x6b\x60", "model.joblib", FileKind::Joblib),
            (b"\x1f\x8b\x08\x08", "model.joblib.gz", FileKind::Joblib),
            (b"BZh91AY", "model.pkl", FileKind::Joblib),
            (b"\xfd7zXZ\x00\x00", "model.joblib", FileKind::Joblib),
            (b"\x04\x22\x4d\x18\x64", "model.joblib", FileKind::Joblib),
            (b"\x1f\x8b\x08\x08", "model.onnx.gz", FileKind::Compressed),
            (b"\x93NUMPY\x01\x00", "x.npy", FileKind::Numpy),
            (b"PK\x03\x04\x00\x00archive/data.pklFB", "model.pt", FileKind::Torch),
            (b"PK\x03\x04\x14\x00metadata.json{", "model.keras", FileKind::Keras),
            (b"PK\x03\x04\x14\x00readme.txt", "model.zip", FileKind::Zip),
            (&safetensors, "model.safetensors", FileKind::SafeTensors),
            (b"\x89HDF\r\n\x1a\n\x00", "model.h5", FileKind::Hdf5),
            (b"tree\nversion=v4\nnum_class=1\n", "model.txt", FileKind::LightGbm),
            (br#"{"learner":{"attributes":{}"#, "model.json", FileKind::XgBoostJson),
            (b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{", "model.ubj", FileKind::XgBoostUbj),
            (b"PAR1\x15\x04", "rows.parquet", FileKind::Parquet),
            (b"\x08\x08\x12\x08skl2onnx\x1a\x061.20.0", "model.bin", FileKind::Onnx),
            (b"\x08\x08\x3a\xff\xff\x03", "model.onnx", FileKind::Onnx),
            (b"hello", "model.onnx", FileKind::Unknown),
            (b"{\"a\": 1}", "contract.json", FileKind::Unknown),
            (b"\x08\x08\xff\xff", "model.onnx", FileKind::Unknown),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "model.onnx", FileKind::Unknown),
        ];
        for (head, name, kind) in cases {
            assert_eq!(sniff(head, name), *kind, "{name}: {head:?}");
        }
        assert_eq!(sniff_folder(["MLmodel", "model.pkl"]), FileKind::MlflowFolder);
        assert_eq!(sniff_folder(["saved_model.pb", "variables"]), FileKind::SavedModelFolder);
        assert_eq!(sniff_folder(["notes.txt"]), FileKind::Folder);
    }

    #[test]
    fn every_kind_says_that_it_is_not_executed_and_what_to_do() {
        for (kind, name, next) in ABOUT {
            let text = kind.to_string();
            assert!(text.contains("it is not executed") && text.contains(name), "{text}");
            assert!(!next.is_empty() && text.ends_with(next), "{text}");
            assert!(!next.contains("  "), "{next}");
        }
        assert!(FileKind::Pickle.may_carry_code() && !FileKind::Onnx.may_carry_code());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_have_a_kind(head in proptest::collection::vec(0_u8..=255, 0..64)) {
            let _ = sniff(&head, "model.onnx");
        }
    }
}
