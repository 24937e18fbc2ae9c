//! Formats that are recognised and not judged, each with the reason.

use crate::sniff::{Format, Head, Reader};

/// Magic bytes, where they stand, what they are, and why they are not cleared.
const MAGICS: &[(usize, &[u8], &str, &str)] = &[
    (0, b"7z\xbc\xaf\x27\x1c", "7z", "a 7z archive is not opened here"),
    (0, b"Rar!\x1a\x07", "rar", "a rar archive is not opened here"),
    (0, b"\x7fELF", "elf", "an ELF program or library is code"),
    (0, b"\xcf\xfa\xed\xfe", "mach-o", "a Mach-O program or library is code"),
    (0, b"\xca\xfe\xba\xbe", "mach-o", "a Mach-O or Java class file is code"),
    (0, b"MZ", "pe", "a Windows program or library is code"),
    (0, b"#!", "script", "a script is code"),
    (4, b"TFL3", "tflite", "the operators of a TFLite graph are not judged yet"),
    (4, b"ET12", "executorch", "an ExecuTorch program is code for its runtime"),
    (0, b"ftrt", "tensorrt", "a TensorRT engine is native code"),
    (0, b"ptrt", "tensorrt", "a TensorRT engine is native code"),
    (0, b"CBM1", "catboost", "a CatBoost model is not judged yet"),
    (0, b"\x00asm", "wasm", "WebAssembly is code"),
    (0, b"\x1f\xa0", "compress", "LZH data is not decoded here"),
    (0, b"\x1f\x9d", "compress", "LZW data is not decoded here"),
    (0, b"RDX", "r", "an R workspace may hold code"),
    (0, b"PAR1", "parquet", "a Parquet file is data, no model"),
    (0, b"SQLite format 3\x00", "sqlite", "an SQLite database is no model"),
];

/// The format of a head that no reader claims.
pub(crate) fn identify(head: &Head<'_>) -> Option<Format> {
    let found = MAGICS.iter().find(|(offset, magic, _, _)| head.at(*offset, magic))?;
    let &(_, _, name, why) = found;
    Some(Format { name, claims: |_| false, reader: Reader::None(why) })
}
