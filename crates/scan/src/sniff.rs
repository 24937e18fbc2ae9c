//! Which format a part is, by its content alone.

use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::source::{Stream, View};
use crate::{
    checkpoint, compress, config, gguf, hdf5, identify, lightgbm, numpy, onnx, pickle, safetensors,
    tar, tensorflow, text, torch, zip,
};

/// First bytes of a part, and how long it is where that is known.
pub(crate) struct Head<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) len: Option<u64>,
    /// All of it, where it can be read at random.
    pub(crate) view: Option<&'a View<'a>>,
}

impl Head<'_> {
    pub(crate) fn starts(&self, magic: &[u8]) -> bool {
        self.bytes.starts_with(magic)
    }

    pub(crate) fn at(&self, offset: usize, magic: &[u8]) -> bool {
        self.bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    }
}

/// How a format is read.
#[derive(Clone, Copy)]
pub(crate) enum Reader {
    /// In one pass: works on what a decoder puts out, too.
    Forward(fn(&mut Scope<'_>, &mut Stream<'_>) -> Result<(), Stop>),
    /// At random: what a decoder puts out must then fit the window.
    Random(fn(&mut Scope<'_>, &View<'_>) -> Result<(), Stop>),
    /// Not at all; why.
    None(&'static str),
}

/// A format: the one line that adds it.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    /// What it is called in reports.
    pub(crate) name: &'static str,
    /// Whether a part is of it. Two formats may both say yes: the earlier in [`FORMATS`] reads.
    pub(crate) claims: fn(&Head<'_>) -> bool,
    /// How it is read.
    pub(crate) reader: Reader,
}

/// All formats, those with the surest marks first.
pub(crate) const FORMATS: &[Format] = &[
    hdf5::FORMAT,
    zip::FORMAT,
    safetensors::FORMAT,
    gguf::FORMAT,
    torch::LEGACY,
    Format { name: "pickle", claims: pickle::claims, reader: Reader::Forward(pickle::read) },
    numpy::FORMAT,
    compress::GZIP,
    compress::ZLIB,
    compress::BZIP2,
    compress::XZ,
    compress::LZMA,
    compress::LZ4,
    compress::ZSTD,
    tar::FORMAT,
    lightgbm::FORMAT,
    config::UBJSON,
    onnx::FORMAT,
    tensorflow::SAVED_MODEL,
    tensorflow::KERAS,
    tensorflow::GRAPH,
    tensorflow::FINGERPRINT,
    tensorflow::CORE_ML,
    checkpoint::SENTENCEPIECE,
    checkpoint::INDEX,
    config::JSON,
];

/// The format that claims a part. `name` is its file name, which decides nothing but which text
/// format a text is read as.
pub(crate) fn sniff(head: &Head<'_>, name: &str) -> Option<Format> {
    FORMATS
        .iter()
        .copied()
        .find(|format| (format.claims)(head))
        .or_else(|| identify::identify(head))
        .or_else(|| text::of(head, name))
}

/// Extensions and what they promise.
const EXTENSIONS: &[(&str, &[&str])] = &[
    ("gguf", &["gguf"]),
    ("h5", &["hdf5"]),
    ("hdf5", &["hdf5"]),
    ("joblib", &["pickle", "zlib", "gzip", "bzip2", "xz", "lzma", "lz4"]),
    ("keras", &["zip", "hdf5"]),
    ("npy", &["npy"]),
    ("npz", &["zip"]),
    ("onnx", &["onnx"]),
    ("pickle", &["pickle"]),
    ("pkl", &["pickle", "zlib", "gzip", "bzip2", "xz", "lzma", "lz4"]),
    ("pt", &["zip", "torch legacy", "tar", "pickle"]),
    ("pth", &["zip", "torch legacy", "tar", "pickle"]),
    ("safetensors", &["safetensors"]),
    ("zip", &["zip"]),
];

/// Remarks on a name that promises another format.
pub(crate) fn compare_name(scope: &mut Scope<'_>, name: &str) {
    let Some((_, extension)) = name.rsplit_once('.') else { return };
    let extension = extension.to_ascii_lowercase();
    let promised = EXTENSIONS.iter().find(|(ending, _)| *ending == extension);
    let (Some((_, formats)), Some(&found)) = (promised, scope.formats.first()) else { return };
    if !formats.contains(&found) {
        let what = format!("the name ends in .{extension}, the content is {found}");
        scope.report(&rules::FILE_MISMATCH, 0, what);
    }
}
