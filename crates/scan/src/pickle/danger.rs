//! Names that no model needs: they run code or commands, or reach files, processes, memory or the
//! network.
//!
//! This table does not clear anything: what is on no list is not cleared anyway. It only tells
//! hostile from unknown, and knows the advisories.

/// A dotted path; it and everything below it is dangerous.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Danger {
    pub(crate) path: &'static str,
    pub(crate) advisories: &'static [&'static str],
}

/// The entry that `module.name` is or lies in, also through other modules: `torch` /
/// `serialization.os.system` lies in `os`.
pub(super) fn find(module: &str, name: &str) -> Option<&'static Danger> {
    let path = format!("{module}.{name}");
    if let Some(danger) = at_or_below(&path) {
        return Some(danger);
    }
    // Whatever a module imports is an attribute of it: look at the path from each part on. Only
    // whole modules count there, not names that any class may have.
    let mut rest = path.as_str();
    while let Some((_, after)) = rest.split_once('.') {
        rest = after;
        let plain = rest.trim_start_matches('_');
        let first = plain.split('.').next().unwrap_or("");
        if plain.contains('.') || name.contains('.') {
            if let Some(danger) = TABLE.iter().find(|danger| danger.path == first) {
                return Some(danger);
            }
            if let Some(danger) = at_or_below(&format!("builtins.{plain}")) {
                return Some(danger);
            }
        }
    }
    None
}

fn at_or_below(path: &str) -> Option<&'static Danger> {
    TABLE.iter().find(|danger| {
        path.strip_prefix(danger.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

const fn known(path: &'static str, advisories: &'static [&'static str]) -> Danger {
    Danger { path, advisories }
}

const fn plain(path: &'static str) -> Danger {
    known(path, &[])
}

const TABLE: &[Danger] = &[
    // The interpreter itself.
    plain("builtins.eval"),
    plain("builtins.exec"),
    plain("builtins.compile"),
    plain("builtins.open"),
    plain("builtins.__import__"),
    plain("builtins.breakpoint"),
    plain("builtins.input"),
    plain("builtins.setattr"),
    plain("builtins.delattr"),
    plain("builtins.globals"),
    plain("builtins.locals"),
    plain("builtins.vars"),
    plain("builtins.dir"),
    plain("builtins.help"),
    plain("builtins.exit"),
    plain("builtins.quit"),
    plain("builtins.map"),
    plain("builtins.filter"),
    plain("builtins.apply"),
    plain("builtins.execfile"),
    plain("builtins.file"),
    plain("builtins.reload"),
    plain("__main__.__builtins__"),
    plain("__builtin__"),
    plain("__builtins__"),
    plain("sys"),
    plain("code"),
    plain("codeop"),
    plain("_code"),
    plain("runpy"),
    plain("importlib"),
    plain("imp"),
    plain("_imp"),
    plain("zipimport"),
    plain("pkgutil"),
    plain("inspect"),
    plain("gc"),
    plain("marshal"),
    plain("types.FunctionType"),
    plain("types.CodeType"),
    plain("types.LambdaType"),
    plain("types.MethodType"),
    plain("_pickle"),
    plain("pickle"),
    plain("cPickle"),
    plain("shelve"),
    plain("dbm"),
    plain("dill"),
    plain("cloudpickle"),
    plain("ast"),
    plain("dis"),
    plain("symtable"),
    plain("compileall"),
    plain("py_compile"),
    plain("py2exe"),
    plain("site"),
    plain("sitecustomize"),
    plain("atexit"),
    plain("warnings"),
    plain("weakref.finalize"),
    plain("concurrent"),
    plain("threading"),
    plain("_thread"),
    plain("multiprocessing"),
    plain("sched"),
    plain("interpreters"),
    plain("_interpreters"),
    plain("_xxsubinterpreters"),
    // The operating system.
    plain("os"),
    plain("posix"),
    plain("nt"),
    plain("posixpath"),
    plain("ntpath"),
    plain("subprocess"),
    plain("_posixsubprocess"),
    plain("commands"),
    plain("popen2"),
    plain("pty"),
    plain("tty"),
    plain("fcntl"),
    plain("resource"),
    plain("signal"),
    plain("pwd"),
    plain("shutil"),
    plain("tempfile"),
    plain("glob"),
    plain("fileinput"),
    plain("linecache"),
    plain("filecmp"),
    plain("mmap"),
    plain("winreg"),
    plain("_winapi"),
    plain("msilib"),
    plain("platform"),
    plain("syslog"),
    plain("webbrowser"),
    plain("antigravity"),
    plain("turtle"),
    plain("tkinter"),
    plain("readline"),
    plain("curses"),
    known("ctypes", &["CVE-2026-22608"]),
    plain("_ctypes"),
    plain("cffi"),
    plain("io"),
    plain("_io"),
    plain("_pyio"),
    plain("pathlib.Path.write_text"),
    plain("codecs.open"),
    plain("gzip"),
    plain("bz2"),
    plain("lzma"),
    plain("zipfile"),
    plain("tarfile"),
    plain("configparser"),
    plain("netrc"),
    plain("getpass"),
    // The network.
    plain("socket"),
    plain("_socket"),
    plain("socketserver"),
    known("ssl", &["CVE-2025-46417"]),
    plain("_ssl"),
    plain("select"),
    plain("selectors"),
    plain("urllib"),
    plain("urllib2"),
    plain("http"),
    plain("httplib"),
    plain("requests"),
    plain("httpx"),
    plain("aiohttp"),
    plain("ftplib"),
    plain("telnetlib"),
    plain("smtplib"),
    plain("poplib"),
    plain("nntplib"),
    plain("imaplib"),
    plain("xmlrpc"),
    plain("wsgiref"),
    plain("cgi"),
    plain("asyncio"),
    plain("asyncore"),
    plain("paramiko"),
    plain("fabric"),
    // Standard modules with functions that run what they are given.
    plain("timeit"),
    plain("cProfile"),
    plain("profile"),
    plain("pstats"),
    plain("trace"),
    plain("doctest"),
    plain("bdb"),
    plain("pdb"),
    plain("idlelib"),
    plain("lib2to3"),
    plain("ensurepip"),
    plain("venv"),
    known("pydoc", &["CVE-2026-22608"]),
    plain("_pyrepl"),
    plain("_osx_support"),
    plain("_aix_support"),
    plain("uuid._get_command_stdout"),
    plain("uuid._popen"),
    plain("logging"),
    plain("distutils"),
    plain("setuptools"),
    plain("pkg_resources"),
    known("pip", &["CVE-2025-1716", "GHSA-655q-fx9r-782v"]),
    plain("unittest"),
    plain("test"),
    plain("pytest"),
    plain("_pytest"),
    plain("operator.methodcaller"),
    plain("_operator.methodcaller"),
    plain("operator.attrgetter"),
    plain("_operator.attrgetter"),
    plain("operator.itemgetter"),
    plain("_operator.itemgetter"),
    plain("functools.reduce"),
    plain("_functools.reduce"),
    plain("itertools"),
    plain("contextlib"),
    plain("sqlite3"),
    plain("_sqlite3"),
    plain("string.Formatter"),
    plain("typing._eval_type"),
    plain("typing.get_type_hints"),
    plain("dataclasses.make_dataclass"),
    plain("collections.namedtuple"),
    plain("enum._make_class_unpicklable"),
    plain("xml"),
    plain("crypt"),
    plain("hashlib.file_digest"),
    plain("IPython"),
    plain("jupyter_client"),
    plain("nltk"),
    plain("fickling"),
    plain("picklescan"),
    plain("modelscan"),
    plain("modelaudit"),
    // Libraries of the field, where they run or read what they are given.
    plain("numpy.f2py"),
    plain("numpy.testing"),
    plain("numpy.distutils"),
    plain("numpy.load"),
    plain("numpy.loads"),
    plain("numpy.loadtxt"),
    plain("numpy.genfromtxt"),
    plain("numpy.fromfile"),
    plain("numpy.fromregex"),
    plain("numpy.save"),
    plain("numpy.savez"),
    plain("numpy.savetxt"),
    plain("numpy.memmap"),
    plain("numpy.vectorize"),
    plain("numpy.apply_along_axis"),
    plain("numpy.lib"),
    plain("numpy.ctypeslib"),
    plain("numpy.core._internal"),
    plain("scipy.io"),
    plain("pandas.eval"),
    plain("pandas.read_pickle"),
    plain("pandas.read_csv"),
    plain("pandas.read_json"),
    plain("pandas.read_html"),
    plain("pandas.io"),
    plain("pandas.core.computation"),
    plain("joblib.load"),
    plain("joblib.numpy_pickle.load"),
    plain("joblib.parallel"),
    plain("joblib.memory"),
    plain("joblib.externals"),
    plain("torch.utils.bottleneck"),
    plain("torch.utils.collect_env"),
    plain("torch.utils._config_module"),
    plain("torch.utils.data.datapipes.utils.decoder"),
    plain("torch.utils.data"),
    plain("torch.utils.cpp_extension"),
    plain("torch._dynamo"),
    plain("torch._inductor"),
    plain("torch.fx.experimental.symbolic_shapes"),
    plain("torch.fx.graph_module"),
    plain("torch.jit.unsupported_tensor_ops"),
    known("torch.jit.annotations", &["CVE-2022-45907"]),
    plain("torch.jit.load"),
    plain("torch.jit.CompilationUnit"),
    plain("torch.load"),
    plain("torch.save"),
    plain("torch.hub"),
    plain("torch.ops"),
    plain("torch.classes"),
    known("torch.distributed", &["CVE-2024-5480", "CVE-2024-48063"]),
    plain("torch.multiprocessing"),
    plain("torch.serialization"),
    plain("torch.package"),
    plain("torch.testing"),
    plain("tensorflow.python.lib.io"),
    plain("tensorflow.io"),
    plain("tensorflow.saved_model"),
    plain("tensorflow.keras.models.load_model"),
    plain("keras.models.load_model"),
    plain("keras.utils.get_file"),
    plain("keras.src.utils.file_utils"),
    plain("keras.src.saving"),
    plain("mlflow"),
    plain("transformers.dynamic_module_utils"),
    plain("huggingface_hub"),
    plain("datasets.load"),
    plain("yaml"),
    plain("jinja2"),
    plain("pydash"),
    plain("sympy.parsing"),
    plain("sympy.sympify"),
    plain("sklearn.datasets"),
    plain("sklearn.externals"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The table is no prefix match on text: `osx` is not `os`; a class may have a method `open`.
    #[test]
    fn only_whole_parts_of_a_path_match() {
        for (module, name) in
            [("osx", "thing"), ("mine", "Thing"), ("mine.oslo", "x"), ("mine", "system")]
        {
            assert_eq!(find(module, name), None, "{module}.{name}");
        }
        for (module, name) in [
            ("os", "system"),
            ("torch.serialization", "x"),
            ("a.os", "b.c"),
            ("shutil", "rmtree"),
            ("a", "_os.system"),
            ("a", "b.eval"),
        ] {
            assert!(find(module, name).is_some(), "{module}.{name}");
        }
    }

    /// Entries below others would never be reached.
    #[test]
    fn advisories_of_a_part_are_not_hidden_by_the_whole() {
        for (at, danger) in TABLE.iter().enumerate() {
            let first = TABLE.iter().position(|other| {
                danger
                    .path
                    .strip_prefix(other.path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            assert!(first == Some(at), "{} is hidden", danger.path);
        }
    }
}
