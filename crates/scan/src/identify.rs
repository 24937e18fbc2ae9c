//! Formats that are recognised and not judged, each with the reason.

use crate::rules;
use crate::scope::Scope;
use crate::sniff::{Format, Head, Reader};

/// Magic bytes, where they stand, what they are, and why they are not cleared.
const MAGICS: &[(usize, &[u8], &str, &str)] = &[
    (0, b"7z\xbc\xaf\x27\x1c", "7z", "a 7z archive is not opened here"),
    (0, b"Rar!\x1a\x07", "rar", "a rar archive is not opened here"),
    (0, b"\x7fELF", "elf", "an ELF program or library is code"),
    (0, b"\xcf\xfa\xed\xfe", "mach-o", "a Mach-O program or library is code"),
    (0, b"\xca\xfe\xba\xbe", "mach-o", "a Mach-O or Java class file is code"),
    (0, b"MZqFpD", "llamafile", "a llamafile is a program"),
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
    (0, b"X\n\x00\x00\x00", "r", "an R object may hold code"),
    (
        0,
        b"binf",
        "xgboost binary",
        "XGBoost's old binary form is not judged: save it as JSON or UBJ",
    ),
    (
        0,
        b"bs64\t",
        "xgboost binary",
        "XGBoost's old text form is not judged: save it as JSON or UBJ",
    ),
    (0, b"\x12\x01\x00\x00\x00\x00\x00\x00", "mxnet", "MXNet parameters are not judged yet"),
    (0, b"RKNN", "rknn", "an RKNN model is native code"),
    (0, b"B\x00C\x00N\x00", "cntk", "a CNTK model is not judged yet"),
    (0, b"\x04\x00\x00\x00\x01\x00\x00\x00", "torch7", "a Torch7 file may hold Lua functions"),
    (0, b"\xac\xed\x00\x05", "java", "a serialized Java object runs code when it is read"),
    (1, b"\x0d\x0d\x0a", "python bytecode", "Python bytecode is code"),
    (1, b"\x0e\x0d\x0a", "python bytecode", "Python bytecode is code"),
    (0, b"\x89PNG\r\n\x1a\n", "png", "a picture is no model; leave it out of the scan"),
    (0, b"\xff\xd8\xff", "jpeg", "a picture is no model; leave it out of the scan"),
    (0, b"SQLite format 3\x00", "sqlite", "an SQLite database is no model"),
];

/// The format of a head that no reader claims.
pub(crate) fn identify(head: &Head<'_>) -> Option<Format> {
    let none = |name, why| Format { name, claims: |_| false, reader: Reader::None(why) };
    if let Some(&(_, _, name, why)) =
        MAGICS.iter().find(|(offset, magic, _, _)| head.at(*offset, magic))
    {
        return Some(none(name, why));
    }
    is_msgpack(head).then(|| none("msgpack", "MessagePack, as Flax writes it, is not judged yet"))
}

/// A map whose first key is a word.
fn is_msgpack(head: &Head<'_>) -> bool {
    let key = match head.bytes {
        [0x81..=0x8f, rest @ ..] | [0xde, _, _, rest @ ..] | [0xdf, _, _, _, _, rest @ ..] => rest,
        _ => return false,
    };
    let (len, word) = match key {
        [len @ 0xa1..=0xbf, word @ ..] => (usize::from(len & 0x1f), word),
        [0xd9, len, word @ ..] => (usize::from(*len), word),
        _ => return false,
    };
    let word = word.get(..len).unwrap_or(&[]);
    !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

/// Kinds of archives that are known by the names of their members, and why none is cleared.
const ARCHIVES: &[(&str, &str)] = &[
    ("MAR-INF/MANIFEST.json", "an archive of TorchServe (.mar) brings a handler that is run"),
    ("archive_format", "programs of torch.export (.pt2) are not judged yet"),
    ("serialized_exported_program.json", "programs of torch.export (.pt2) are not judged yet"),
    ("com.apple.CoreML/model.mlmodel", "packages of Core ML are not judged yet"),
    ("META-INF/MANIFEST.MF", "a Java archive is code"),
    ("AndroidManifest.xml", "an Android package is code"),
];

/// Says which kind of archive it is, where the kind is known and not judged.
pub(crate) fn archive<'n>(scope: &mut Scope<'_>, names: impl Iterator<Item = &'n str>) {
    for name in names {
        let known = ARCHIVES.iter().find(|(mark, _)| {
            name.strip_suffix(mark).is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
        });
        if let Some((_, why)) = known {
            scope.report(&rules::FILE_IDENTIFIED, 0, *why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;
    use crate::testing::{has, scan};

    /// Rows "identified, not cleared": each is named with its reason, and none is ever cleared.
    #[test]
    fn what_is_only_recognised_is_never_cleared() {
        for (offset, magic, name, why) in MAGICS {
            let mut bytes = vec![0xf7; *offset];
            bytes.extend_from_slice(magic);
            bytes.extend_from_slice(&[0xf7; 64]);
            let report = scan(&bytes);
            assert_eq!(report.verdict, Verdict::NotCleared, "{name}: {:?}", report.sightings);
            let seen = report.sightings.iter().any(|seen| &*seen.what == *why);
            assert!(seen, "{name}: {:?} {:?}", report.formats, report.sightings);
        }
        for flax in [&b"\x81\xa6params\x80"[..], b"\xde\x00\x01\xd9\x05state\x80"] {
            assert_eq!(scan(flax).formats, ["msgpack"]);
            assert!(has(&scan(flax), "scan.file.identified"));
        }
    }

    /// Archives that are recognised by a member's name, in a folder or not.
    #[test]
    fn archives_that_are_only_recognised_say_why() {
        for (file, what) in [
            (&include_bytes!("../corpus/hostile/zip/handler.mar")[..], ".mar"),
            (include_bytes!("../corpus/hostile/zip/program.pt2"), ".pt2"),
        ] {
            let report = scan(file);
            assert_eq!(report.verdict, Verdict::NotCleared, "{what}: {:?}", report.sightings);
            assert!(report.sightings.iter().any(|seen| seen.what.contains(what)), "{what}");
        }
    }
}
