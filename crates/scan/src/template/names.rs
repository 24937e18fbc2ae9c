//! Names that templates use, and those that only attacks need.

/// Methods of texts, lists and dictionaries that chat templates call.
pub(super) const METHODS: &[&str] = &[
    "append",
    "capitalize",
    "changed",
    "copy",
    "count",
    "cycle",
    "endswith",
    "extend",
    "find",
    "get",
    "index",
    "insert",
    "isalnum",
    "isalpha",
    "isdigit",
    "islower",
    "isspace",
    "isupper",
    "items",
    "join",
    "keys",
    "lower",
    "lstrip",
    "partition",
    "pop",
    "removeprefix",
    "removesuffix",
    "replace",
    "reverse",
    "rfind",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "title",
    "update",
    "upper",
    "values",
    "zfill",
];
/// Those of them whose result is a number or boolean.
pub(super) const NUMBER_METHODS: &[&str] = &[
    "changed",
    "count",
    "endswith",
    "find",
    "index",
    "isalnum",
    "isalpha",
    "isdigit",
    "islower",
    "isspace",
    "isupper",
    "rfind",
    "startswith",
];
/// Those of them that put their arguments into what they are called on.
pub(super) const CHANGING: &[&str] = &["append", "extend", "insert", "update"];
/// Fields of `loop` that are numbers or booleans.
pub(super) const LOOP_NUMBERS: &[&str] =
    &["depth", "depth0", "first", "index", "index0", "last", "length", "revindex", "revindex0"];
/// Filters and the place among their arguments in which the name of an attribute stands.
pub(super) const ATTRIBUTE_PLACES: &[(&str, usize)] = &[
    ("attr", 0),
    ("groupby", 0),
    ("join", 1),
    ("max", 1),
    ("min", 1),
    ("rejectattr", 0),
    ("selectattr", 0),
    ("sort", 2),
    ("sum", 0),
    ("unique", 1),
];
/// Filters that give what they get, or parts of it.
pub(super) const PASSING: &[&str] = &[
    "d",
    "default",
    "dictsort",
    "first",
    "items",
    "last",
    "list",
    "rejectattr",
    "reverse",
    "selectattr",
    "sort",
];
/// Functions of Jinja, and those that transformers and llama.cpp add.
pub(super) const FUNCTIONS: &[&str] = &[
    "caller",
    "cycler",
    "dict",
    "joiner",
    "loop",
    "namespace",
    "raise_exception",
    "range",
    "strftime_now",
    "super",
];
/// Filters of Jinja, and `from_json` of transformers.
pub(super) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "from_json",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "random",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "urlize",
    "wordcount",
    "wordwrap",
    "xmlattr",
];
/// Tests of Jinja.
pub(super) const TESTS: &[&str] = &[
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "None",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];
/// Attributes of functions, generators, frames, code and tracebacks of Python begin so.
const INTERNAL_STARTS: &[&str] = &["ag_", "co_", "cr_", "f_", "func_", "gi_", "im_", "tb_"];
/// Names that run something.
const CODE: &[&str] = &[
    "builtins",
    "check_output",
    "compile",
    "eval",
    "exec",
    "execfile",
    "get_flashed_messages",
    "getattr",
    "globals",
    "import_module",
    "importlib",
    "load_module",
    "locals",
    "mro",
    "os",
    "popen",
    "setattr",
    "subclasses",
    "subprocess",
    "sys",
    "system",
    "url_for",
];

/// Whether an attribute leads into Python's own objects: all that do begin with an underscore or
/// in one of a few ways.
pub(super) fn is_internal(name: &str) -> bool {
    name.starts_with('_')
        || INTERNAL_STARTS
            .iter()
            .any(|start| name.strip_prefix(start).is_some_and(|rest| INTERNAL_ENDS.contains(&rest)))
        || name == "mro"
}

/// What follows [`INTERNAL_STARTS`] in names that Python has.
const INTERNAL_ENDS: &[&str] = &[
    "await",
    "back",
    "builtins",
    "closure",
    "code",
    "consts",
    "defaults",
    "dict",
    "frame",
    "func",
    "globals",
    "lasti",
    "locals",
    "name",
    "names",
    "next",
    "origin",
    "running",
    "self",
    "suspended",
    "trace",
    "yieldfrom",
];

/// Whether a name runs something, called or as a value.
pub(super) fn is_code(name: &str) -> bool {
    CODE.contains(&name)
}

/// Whether a text holds a name with two underscores on both sides, as Python's own names have, in
/// letters of any size.
pub(super) fn names_internal(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("__") {
        let word = after.split(|c: char| !c.is_ascii_alphabetic() && c != '_').next().unwrap_or("");
        if let Some((name, _)) = word.split_once("__")
            && !name.is_empty()
        {
            return true;
        }
        rest = after;
    }
    false
}
