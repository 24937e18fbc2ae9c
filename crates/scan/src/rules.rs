//! The rules of the model gate.
//!
//! A rule's severity decides what it means for a file ([`Verdict::of`](crate::Verdict::of)):
//! high and critical make it hostile, low and medium keep it from being cleared, info is a
//! remark. What a rule found in words, where, and which advisories it matches is in the
//! [`Sighting`](crate::Sighting).

use bartizan_core::{Rule, Severity};

/// Version of rules and judgement: part of every statement, raised when a verdict may change.
pub const RULES_VERSION: u32 = 1;

/// All of them, by id.
pub const RULES: &[&Rule] = &[
    &CONFIG_CODE,
    &CONFIG_PATH,
    &CONFIG_TARGET,
    &FILE_BROKEN,
    &FILE_BUDGET,
    &FILE_CHANGED,
    &FILE_ENCRYPTED,
    &FILE_IDENTIFIED,
    &FILE_MISMATCH,
    &FILE_POLYGLOT,
    &FILE_TRAILING,
    &FILE_UNKNOWN,
    &FILE_UNREADABLE,
    &GGUF_BOUNDS,
    &HDF5_EXTERNAL,
    &KERAS_CODE,
    &KERAS_PATH,
    &KERAS_UNLISTED,
    &NUMPY_HEADER,
    &ONNX_CODE,
    &ONNX_CUSTOM,
    &ONNX_EXTERNAL,
    &PICKLE_ADDED,
    &PICKLE_BUILD,
    &PICKLE_CALL,
    &PICKLE_COMPUTED,
    &PICKLE_DIFFERS,
    &PICKLE_EXTENSION,
    &PICKLE_FRAME,
    &PICKLE_IMPORT,
    &PICKLE_LEFTOVER,
    &PICKLE_MEMO,
    &PICKLE_PERSISTENT,
    &PICKLE_UNLISTED,
    &PICKLE_USE,
    &REQUIREMENT_ODD,
    &SAFETENSORS_LAYOUT,
    &SKOPS_CODE,
    &SKOPS_UNLISTED,
    &TEMPLATE_ATTRIBUTE,
    &TEMPLATE_UNLISTED,
    &TENSORFLOW_OP,
    &TENSORFLOW_UNLISTED,
    &TORCHSCRIPT_REACHES,
    &TORCHSCRIPT_UNLISTED,
    &ZIP_ESCAPE,
    &ZIP_VIEWS,
];

/// The rule with this id.
pub fn by_id(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id).copied()
}

const fn rule(
    id: &'static str,
    severity: Severity,
    why: &'static str,
    remedy: &'static str,
) -> Rule {
    // AML.T0011.000: user execution, unsafe AI artifacts.
    let atlas = match severity {
        Severity::Info => None,
        Severity::Low | Severity::Medium | Severity::High | Severity::Critical => {
            Some("AML.T0011.000")
        }
    };
    Rule { id, severity, why, remedy, atlas }
}

const DO_NOT_LOAD: &str = "do not load it; ask whoever published it, and take the model as \
                           safetensors or ONNX from a source you trust";
const CONVERT: &str = "have the publisher convert the model to safetensors or ONNX, or review \
                       what is named and add it to the policy for this digest alone";
const DAMAGED: &str = "fetch the file again and compare its digest with the publisher's; a file \
                       that genuine libraries wrote does not look like this";

/// A configuration that makes its reader run code.
pub(crate) const CONFIG_CODE: Rule = rule(
    "scan.config.code",
    Severity::High,
    "a configuration file names code, a command or a constructor that its reader would run",
    DO_NOT_LOAD,
);
/// A configuration that reads a file outside its folder.
pub(crate) const CONFIG_PATH: Rule = rule(
    "scan.config.path",
    Severity::High,
    "a configuration names a file outside the model's folder or an address, from which its reader \
     would load",
    DO_NOT_LOAD,
);
/// A configuration that names something which is on no list.
pub(crate) const CONFIG_TARGET: Rule = rule(
    "scan.config.target",
    Severity::Medium,
    "a configuration file names a module, file or class to load that is on no list",
    "review what is named; remove the entry or except the file in the policy",
);
/// Cut off or malformed.
pub(crate) const FILE_BROKEN: Rule = rule(
    "scan.file.broken",
    Severity::Medium,
    "the file does not follow its own format, so that readers may disagree about what it holds",
    DAMAGED,
);
/// A budget ran out.
pub(crate) const FILE_BUDGET: Rule = rule(
    "scan.file.budget",
    Severity::Medium,
    "a budget of the scan (bytes, depth, ratio, count, memory or time) ran out before the end",
    "raise that budget if the file is expected to be so large, or split it",
);
/// It changed while it was read.
pub(crate) const FILE_CHANGED: Rule = rule(
    "scan.file.changed",
    Severity::Medium,
    "the file changed while it was read: what was judged is not what lies there now",
    "scan again when nobody writes to it",
);
/// Encrypted.
pub(crate) const FILE_ENCRYPTED: Rule = rule(
    "scan.file.encrypted",
    Severity::Medium,
    "a part is encrypted and cannot be judged",
    "decrypt it first, and scan what comes out",
);
/// A format that is known but not yet judged.
pub(crate) const FILE_IDENTIFIED: Rule = rule(
    "scan.file.identified",
    Severity::Medium,
    "the format is recognised, but nothing here can tell what loading it would do",
    "convert the model to safetensors or ONNX, or except this digest in the policy after review",
);
/// The name says one thing, the content another.
pub(crate) const FILE_MISMATCH: Rule = rule(
    "scan.file.mismatch",
    Severity::Info,
    "the name's extension is not that of the content; the content was judged",
    "rename the file after what it is",
);
/// Two formats in one file.
pub(crate) const FILE_POLYGLOT: Rule = rule(
    "scan.file.polyglot",
    Severity::Medium,
    "the file is valid as more than one format: what it does depends on who loads it",
    DAMAGED,
);
/// Bytes after the end.
pub(crate) const FILE_TRAILING: Rule = rule(
    "scan.file.trailing",
    Severity::Medium,
    "bytes follow the end of the data, where no reader of the format looks",
    DAMAGED,
);
/// Unknown content.
pub(crate) const FILE_UNKNOWN: Rule = rule(
    "scan.file.unknown",
    Severity::Medium,
    "the content is of no known format",
    "find out what the file is; leave it out of the model if nothing needs it",
);
/// Could not be opened or read.
pub(crate) const FILE_UNREADABLE: Rule = rule(
    "scan.file.unreadable",
    Severity::Medium,
    "the file could not be read, so nothing is known about it",
    "check that it exists, is a regular file and may be read",
);
/// GGUF counts, offsets or sizes outside the file.
pub(crate) const GGUF_BOUNDS: Rule = rule(
    "scan.gguf.bounds",
    Severity::High,
    "a count, size or offset lies outside the file or overflows: readers in C have been taken \
     over by such values",
    DO_NOT_LOAD,
);
/// HDF5 that reaches outside itself.
pub(crate) const HDF5_EXTERNAL: Rule = rule(
    "scan.hdf5.external",
    Severity::High,
    "an HDF5 link, dataset or attribute reaches into another file of the machine that loads it",
    DO_NOT_LOAD,
);
/// Keras: code in the model.
pub(crate) const KERAS_CODE: Rule = rule(
    "scan.keras.code",
    Severity::Critical,
    "the Keras configuration holds code or names a function or module that loading it would run",
    DO_NOT_LOAD,
);
/// Keras: a path in the configuration.
pub(crate) const KERAS_PATH: Rule = rule(
    "scan.keras.path",
    Severity::High,
    "a value of the Keras configuration is a path or address that loading it would open",
    DO_NOT_LOAD,
);
/// Keras: class on no list.
pub(crate) const KERAS_UNLISTED: Rule = rule(
    "scan.keras.unlisted",
    Severity::Medium,
    "the Keras configuration names a class that is on no list",
    CONVERT,
);
/// A NumPy header that is no plain literal.
pub(crate) const NUMPY_HEADER: Rule = rule(
    "scan.numpy.header",
    Severity::Medium,
    "the header of an array is not the plain dictionary that NumPy writes",
    DAMAGED,
);
/// ONNX: an operator that runs other code.
pub(crate) const ONNX_CODE: Rule = rule(
    "scan.onnx.code",
    Severity::High,
    "an operator runs a Python function, a library or a compiled engine that comes with the model",
    DO_NOT_LOAD,
);
/// ONNX: an operator of no known domain.
pub(crate) const ONNX_CUSTOM: Rule = rule(
    "scan.onnx.custom",
    Severity::Medium,
    "an operator is not of the ONNX standard: a library of somebody's would have to run it",
    "export the model with standard operators, or except this digest in the policy after review",
);
/// ONNX: external data outside its folder.
pub(crate) const ONNX_EXTERNAL: Rule = rule(
    "scan.onnx.external",
    Severity::High,
    "external tensor data lies outside the model's folder: loading it reads another file of the \
     machine",
    DO_NOT_LOAD,
);
/// A name that is not on the published list, added by whoever scans.
pub(crate) const PICKLE_ADDED: Rule = rule(
    "scan.pickle.added",
    Severity::Info,
    "a name is imported that is not on the published allow-list: whoever scans added it, by a \
     policy or a signed extension",
    "nothing, while whoever is named still vouches for it; it counts for this file and until its \
     day alone",
);
/// State set on what is no instance, or attributes that change how Python treats an object.
pub(crate) const PICKLE_BUILD: Rule = rule(
    "scan.pickle.build",
    Severity::High,
    "state is set on a class, function or module, or sets special attributes: later code is \
     redirected",
    DO_NOT_LOAD,
);
/// A dangerous function is called.
pub(crate) const PICKLE_CALL: Rule = rule(
    "scan.pickle.call",
    Severity::Critical,
    "loading the pickle calls a function that runs code, commands, or reaches files or the network",
    DO_NOT_LOAD,
);
/// A name or callee that is computed.
pub(crate) const PICKLE_COMPUTED: Rule = rule(
    "scan.pickle.computed",
    Severity::High,
    "what is imported or called is computed while loading, which no genuine writer does",
    DO_NOT_LOAD,
);
/// Bytes that Python's three readers of pickles take differently.
pub(crate) const PICKLE_DIFFERS: Rule = rule(
    "scan.pickle.differs",
    Severity::Medium,
    "bytes that pickle.py, _pickle.c and pickletools read differently: made to deceive a scanner",
    DAMAGED,
);
/// The extension registry.
pub(crate) const PICKLE_EXTENSION: Rule = rule(
    "scan.pickle.extension",
    Severity::Medium,
    "a name is taken from the extension registry of the process that loads it: it cannot be known \
     here",
    CONVERT,
);
/// Frames are violated.
pub(crate) const PICKLE_FRAME: Rule = rule(
    "scan.pickle.frame",
    Severity::High,
    "a frame's edge cuts an operand or does not hold: the C reader would read other bytes than a \
     scanner",
    DO_NOT_LOAD,
);
/// A dangerous name is imported.
pub(crate) const PICKLE_IMPORT: Rule = rule(
    "scan.pickle.import",
    Severity::Critical,
    "loading the pickle imports a function or module that runs code, commands, or reaches files or \
     the network",
    DO_NOT_LOAD,
);
/// Something is left on the stack.
pub(crate) const PICKLE_LEFTOVER: Rule = rule(
    "scan.pickle.leftover",
    Severity::Medium,
    "values that nothing uses are left when the pickle ends: something was hidden beside the model",
    DAMAGED,
);
/// Memo indexes that only cost memory.
pub(crate) const PICKLE_MEMO: Rule = rule(
    "scan.pickle.memo",
    Severity::High,
    "a memo index or size far beyond the file makes the reader allocate memory until it fails",
    DO_NOT_LOAD,
);
/// Persistent ids outside torch's own form.
pub(crate) const PICKLE_PERSISTENT: Rule = rule(
    "scan.pickle.persistent",
    Severity::Medium,
    "a persistent id is resolved by whoever loads the file, in a form that only torch's storages \
     may have",
    CONVERT,
);
/// A name on no list.
pub(crate) const PICKLE_UNLISTED: Rule = rule(
    "scan.pickle.unlisted",
    Severity::Medium,
    "the pickle imports a name that is on no list: nothing is known about what it does",
    CONVERT,
);
/// A listed name used in a way for which it is not listed.
pub(crate) const PICKLE_USE: Rule = rule(
    "scan.pickle.use",
    Severity::Medium,
    "a listed name is used in a way for which it is not listed",
    CONVERT,
);
/// A requirements file that installs from elsewhere.
pub(crate) const REQUIREMENT_ODD: Rule = rule(
    "scan.requirement.odd",
    Severity::Medium,
    "a requirements file installs from an address, path or index of its own, or runs options",
    "pin packages by name, version and hash from the index you trust",
);
/// Gaps, overlaps, tails or duplicates in safetensors.
pub(crate) const SAFETENSORS_LAYOUT: Rule = rule(
    "scan.safetensors.layout",
    Severity::Medium,
    "tensors overlap, leave gaps or a tail, or are declared twice: something else may hide there",
    DAMAGED,
);
/// skops: a node that calls what runs code.
pub(crate) const SKOPS_CODE: Rule = rule(
    "scan.skops.code",
    Severity::Critical,
    "a skops file names a function that runs code, commands, or reaches files or the network",
    DO_NOT_LOAD,
);
/// skops: a type on no list.
pub(crate) const SKOPS_UNLISTED: Rule = rule(
    "scan.skops.unlisted",
    Severity::Medium,
    "a skops file names a type that is on no list",
    CONVERT,
);
/// A template reaches beyond text.
pub(crate) const TEMPLATE_ATTRIBUTE: Rule = rule(
    "scan.template.attribute",
    Severity::High,
    "a chat template reaches for attributes or functions beyond those that templates need: this is \
     how they run code",
    DO_NOT_LOAD,
);
/// A template that uses what is on no list.
pub(crate) const TEMPLATE_UNLISTED: Rule = rule(
    "scan.template.unlisted",
    Severity::Medium,
    "a chat template uses a function, method, filter or syntax that is on no list, or puts the name \
     of what it reads together",
    "review the template, or replace it by the publisher's of another version",
);
/// TensorFlow operators that reach outside.
pub(crate) const TENSORFLOW_OP: Rule = rule(
    "scan.tensorflow.op",
    Severity::Critical,
    "the graph holds an operator that reads or writes files, runs Python, or talks to the network",
    DO_NOT_LOAD,
);
/// TensorFlow operators on no list.
pub(crate) const TENSORFLOW_UNLISTED: Rule = rule(
    "scan.tensorflow.unlisted",
    Severity::Medium,
    "the graph holds an operator that is on no list",
    CONVERT,
);
/// TorchScript operators that leave the interpreter.
pub(crate) const TORCHSCRIPT_REACHES: Rule = rule(
    "scan.torchscript.reaches",
    Severity::High,
    "TorchScript code uses an operator that opens files or leaves the interpreter",
    DO_NOT_LOAD,
);
/// TorchScript operators on no list.
pub(crate) const TORCHSCRIPT_UNLISTED: Rule = rule(
    "scan.torchscript.unlisted",
    Severity::Medium,
    "TorchScript code uses a name or operator that is on no list",
    CONVERT,
);
/// A name that leaves its archive.
pub(crate) const ZIP_ESCAPE: Rule = rule(
    "scan.archive.escape",
    Severity::High,
    "a member's name or link leads out of the archive: unpacking it writes elsewhere",
    DO_NOT_LOAD,
);
/// Views of a zip that disagree.
pub(crate) const ZIP_VIEWS: Rule = rule(
    "scan.zip.views",
    Severity::High,
    "local headers and central directory disagree, or members overlap: two readers would see two \
     different archives",
    DO_NOT_LOAD,
);

#[cfg(test)]
mod tests {
    use super::*;

    /// The table is sorted by id where ids are shown, holds each once, and each can be looked up.
    #[test]
    fn every_rule_has_one_id_under_which_it_is_found() {
        let mut ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
        for rule in RULES {
            assert_eq!(by_id(rule.id), Some(*rule));
            assert!(rule.id.starts_with("scan."), "{}", rule.id);
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), RULES.len());
        assert!(by_id("scan.nothing").is_none());
    }
}
