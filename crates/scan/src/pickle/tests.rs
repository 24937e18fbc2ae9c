//! Every row of the table of known bypasses that concerns pickles, by name, and the machine's
//! edges.

use crate::testing::{has, scan};
use crate::{Report, Verdict};

/// `PROTO`, the opcodes, `STOP`.
fn proto(version: u8, ops: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, version];
    bytes.extend_from_slice(ops);
    bytes.push(b'.');
    bytes
}

/// `SHORT_BINUNICODE`.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x8c, text.len() as u8];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// `module`, `name`, `STACK_GLOBAL`.
fn global(module: &str, name: &str) -> Vec<u8> {
    join(&[&text(module), &text(name), b"\x93"])
}

#[track_caller]
fn hostile(bytes: &[u8], rule: &str) -> Report {
    let report = scan(bytes);
    assert_eq!(report.verdict, Verdict::Hostile, "{:?}", report.sightings);
    assert!(has(&report, rule), "{rule}: {:?}", report.sightings);
    report
}

#[track_caller]
fn not_cleared(bytes: &[u8], rule: &str) -> Report {
    let report = scan(bytes);
    assert_ne!(report.verdict, Verdict::Cleared, "{:?}", report.formats);
    assert!(has(&report, rule), "{rule}: {:?}", report.sightings);
    report
}

#[track_caller]
fn cleared(bytes: &[u8]) {
    let report = scan(bytes);
    assert_eq!(report.verdict, Verdict::Cleared, "{:?}", report.sightings);
}

/// P1: the plainest attack, in words, with its offset.
#[test]
fn a_call_of_os_system_is_told_in_words() {
    let report = hostile(b"cos\nsystem\n(S'rm -rf /'\ntR.", "scan.pickle.call");
    let call = report.sightings.iter().find(|seen| seen.rule.id == "scan.pickle.call").unwrap();
    assert_eq!(&*call.what, "calls os.system('rm -rf /') on load");
    assert_eq!(call.offset, 25);
}

/// Gadgets that were missing from deny-lists: the names of the table's rows.
#[test]
fn bypass_gadget_missing_from_the_deny_list() {
    for (module, name) in [
        ("pip", "main"), // CVE-2025-1716
        ("pip._internal", "main"),
        ("torch.utils.bottleneck.__main__", "run_autograd_prof"),
        ("torch.utils.collect_env", "run"),
        ("torch._dynamo.guards", "GuardBuilder.get"),
        ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression"),
        ("torch.jit.unsupported_tensor_ops", "execWrapper"),
        ("torch.utils._config_module", "ConfigModule.load_config"),
        ("torch.utils.data.datapipes.utils.decoder", "basichandlers"),
        ("timeit", "timeit"),
        ("cProfile", "runctx"),
        ("profile", "Profile.runctx"),
        ("trace", "Trace.run"),
        ("doctest", "debug_script"),
        ("code", "InteractiveInterpreter.runcode"),
        ("idlelib.run", "Executive.runcode"),
        ("lib2to3.pgen2.grammar", "Grammar.loads"),
        ("ensurepip", "_run_pip"),
        ("venv", "create"),
        ("pty", "spawn"),
        ("ctypes", "CDLL"),
        ("pydoc", "pipepager"),
        ("pkgutil", "resolve_name"),
        ("operator", "methodcaller"),
        ("_operator", "methodcaller"),
        ("numpy.f2py.crackfortran", "getlincoef"),
        ("numpy.testing._private.utils", "runstring"),
        ("asyncio.unix_events", "_UnixSubprocessTransport._start"),
        ("uuid", "_get_command_stdout"),
        ("imaplib", "IMAP4_stream"),
        ("_pyrepl.pager", "pipe_pager"),
        ("_osx_support", "_read_output"),
        ("_aix_support", "_read_cmd_output"),
        ("logging", "FileHandler"),
        ("io", "FileIO"),
        ("urllib.request", "urlopen"),
        ("ssl", "get_server_certificate"), // CVE-2025-46417
        ("marshal", "loads"),
        ("types", "FunctionType"),
        ("runpy", "run_path"),
        ("importlib", "import_module"),
        ("_interpreters", "run_string"),
        ("builtins", "eval"),
        ("builtins", "__import__"),
        ("__builtin__", "eval"),
        ("nt", "system"),
        ("torch.distributed.rpc", "rpc_sync"), // CVE-2024-5480, CVE-2024-48063
        ("torch.jit.annotations", "parse_type_line"), // CVE-2022-45907
    ] {
        let bytes = proto(4, &join(&[&global(module, name), &text("x"), b"\x85R"]));
        hostile(&bytes, "scan.pickle.call");
    }
    let report = hostile(&proto(4, &global("pip", "main")), "scan.pickle.import");
    assert!(report.sightings[0].advisories.contains(&"CVE-2025-1716"));
}

/// A gadget that no list knows is still not cleared.
#[test]
fn bypass_gadget_that_nobody_knows_yet() {
    for (module, name) in [("new.library", "run_anything"), ("torch.nn", "x"), ("mine", "Model")] {
        let bytes = proto(4, &join(&[&global(module, name), b")R"]));
        let report = not_cleared(&bytes, "scan.pickle.unlisted");
        assert_eq!(report.verdict, Verdict::NotCleared);
    }
}

/// GHSA-mhc9-48gj-9gp3, GHSA-mxhj-88fx-4pcv: a call whose result is thrown away, or that is hidden
/// behind state, is an event all the same.
#[test]
fn bypass_result_that_vanishes() {
    let call = join(&[&global("os", "system"), &text("id"), b"\x85R"]);
    hostile(&proto(4, &join(&[&call, b"0N"])), "scan.pickle.call");
    hostile(&proto(4, &join(&[&call, b"}b"])), "scan.pickle.call");
    hostile(b"(cos\nsystem\nS'id'\no0N.", "scan.pickle.call");
    hostile(b"(S'id'\nios\nsystem\n0N.", "scan.pickle.call");
    hostile(&proto(4, &join(&[&global("os", "system"), b"(", b"10N"])), "scan.pickle.import");
    hostile(
        &proto(4, &join(&[&global("os", "system"), &text("x"), b"\x85\x81"])),
        "scan.pickle.call",
    );
    hostile(&proto(4, &join(&[&global("os", "system"), b")}\x92"])), "scan.pickle.call");
}

/// GHSA-5j3x-jp52-966f, CVE-2025-10157: names that walk through modules and functions.
#[test]
fn bypass_dotted_qualified_names() {
    for (module, name) in [
        ("torch", "serialization.os.system"),
        ("pathlib", "os.system"),
        ("builtins", "eval.__call__"),
        ("collections", "_sys.exit"),
        ("asyncio", "events.subprocess.Popen"),
        ("numpy", "core.multiarray.os.popen"),
        ("collections", "OrderedDict.__init__.__globals__"),
        ("collections", "abc.sys.modules"),
    ] {
        let report = scan(&proto(4, &join(&[&global(module, name), b")R"])));
        assert_eq!(report.verdict, Verdict::Hostile, "{module} {name}: {:?}", report.sightings);
    }
}

/// GHSA-9gvj-pp9x-gcfr: names that do not stand next to their opcode.
#[test]
fn bypass_names_not_adjacent_to_stack_global() {
    // Through the memo, with decoys between.
    let memo = join(&[
        &text("os"),
        b"\x94",
        &text("system"),
        b"\x940",
        &text("decoy"),
        b"0h\x00h\x01\x93",
    ]);
    hostile(&proto(4, &join(&[&memo, &text("id"), b"\x85R"])), "scan.pickle.call");
    // Through DUP.
    hostile(
        &proto(4, &join(&[&text("os"), b"2", b"0", &text("system"), b"\x93)R"])),
        "scan.pickle.call",
    );
    // MEMOIZE after POP: a backward search reads other texts.
    let decoy = join(&[&text("os"), &text("system"), &text("collections"), b"\x940", b"\x93"]);
    hostile(&proto(4, &join(&[&decoy, b")R"])), "scan.pickle.call");
    // Escapes inside text opcodes.
    hostile(b"(V\\u006fs\nVsyste\\u006d\n\x93tR.", "scan.pickle.import");
    hostile(b"\x80\x04S'\\x6fs'\nS'\\163ystem'\n\x93)R.", "scan.pickle.call");
}

/// A name built by a call cannot be known.
#[test]
fn bypass_names_built_by_reduce() {
    let built =
        join(&[&global("builtins", "str"), &text("os"), b"\x85R", &text("system"), b"\x93)R"]);
    hostile(&proto(4, &built), "scan.pickle.computed");
    // Type confusion: no text at all.
    not_cleared(&proto(4, b"NN\x93"), "scan.pickle.computed");
    not_cleared(&proto(4, b"K\x01K\x02\x93"), "scan.pickle.computed");
    // KeyError: the memo entry is missing, the payload came before.
    let broken = join(&[&global("os", "system"), b")R", b"h\x63\x93"]);
    hostile(&proto(4, &broken), "scan.pickle.call");
}

/// Entries of the extension registry, and persistent ids outside torch.
#[test]
fn bypass_extension_registry_and_persistent_ids() {
    for ops in [&b"\x82\x01"[..], b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"] {
        not_cleared(&proto(2, &join(&[ops, b")R"])), "scan.pickle.extension");
    }
    not_cleared(b"Pos.system\n.", "scan.pickle.persistent");
    not_cleared(&proto(4, &join(&[&text("x"), b"Q"])), "scan.pickle.persistent");
}

/// nullifAI: the payload comes first, then the stream breaks, is cut, or goes on.
#[test]
fn bypass_broken_streams() {
    let payload = b"cposix\nsystem\n(S'id'\ntR";
    for end in [&b""[..], b"\xff", b".garbage", b"0", b"X\xff\xff\xff\xff", b"S'open\n."] {
        hostile(&join(&[payload, end]), "scan.pickle.call");
    }
    // A second pickle behind a harmless one, padding between or not.
    hostile(&join(&[b"\x80\x04N.", payload, b"."]), "scan.pickle.call");
    not_cleared(&join(&[b"\x80\x04N.", b"\0\0\0\0", payload, b"."]), "scan.file.trailing");
    not_cleared(&proto(4, b"NN"), "scan.pickle.leftover");
    not_cleared(&proto(4, b"N\x80\x02"), "scan.pickle.differs");
}

/// CPython issue 154848: an operand that straddles its frame is other bytes to the C reader.
#[test]
fn bypass_operand_across_a_frame_edge() {
    let frame = |len: u64, ops: &[u8]| {
        let mut bytes = vec![0x80, 4, 0x95];
        bytes.extend(len.to_le_bytes());
        bytes.extend_from_slice(ops);
        bytes
    };
    cleared(&frame(5, b"\x8c\x01a\x94."));
    for len in [1, 2] {
        hostile(&frame(len, b"\x8c\x01a."), "scan.pickle.frame");
    }
    hostile(&frame(3, b"N..N"), "scan.pickle.frame"); // ends before its frame
    hostile(&frame(1 << 40, b"N."), "scan.pickle.frame"); // longer than the data
    hostile(&frame(12, &join(&[b"\x95", &1_u64.to_le_bytes(), b"N0."])), "scan.pickle.frame");
}

/// P2, PickleFuzzer: forms that `pickle.py`, `_pickle.c` and pickletools read differently.
#[test]
fn bypass_differences_between_the_readers() {
    for ops in [
        &b"I0x10\n."[..],
        b"I1_000\n.",
        b"I 1\n.",
        b"L10\n.",
        b"L0x10L\n.",
        b"F1_0.0\n.",
        b"S'a\\q'\n.",
        b"\x80\x04Np1\n0Kp1\n0I1\n.",
        b"\x80\x04Nq\x01K\x01q\x010.",
        b"\x80\x04NpA\n.",
    ] {
        let report = scan(ops);
        assert_eq!(report.verdict, Verdict::NotCleared, "{ops:?} {:?}", report.sightings);
    }
    not_cleared(b"\x80\x04Nq\x01K\x01q\x010.", "scan.pickle.differs");
    not_cleared(b"\x80\x04I0x10\n.", "scan.pickle.differs");
    not_cleared(b"\x80\x02cos \nsystem\n.", "scan.pickle.differs");
}

/// Memory and time: claims are not believed, indexes do not allocate.
#[test]
fn bypass_memory_bombs() {
    hostile(b"\x80\x02Nr\xff\xff\xff\xff.", "scan.pickle.memo");
    hostile(b"\x80\x02Np4294967295\n.", "scan.pickle.memo");
    not_cleared(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", "scan.file.broken");
    not_cleared(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "scan.file.broken");
    not_cleared(b"\x80\x04\x8b\xff\xff\xff\xff.", "scan.file.broken");
    // Billion laughs: tuples of tuples cost us one value each.
    let mut laughs = b"\x80\x02N".to_vec();
    for _ in 0..100_000 {
        laughs.extend_from_slice(b"22\x87");
    }
    laughs.push(b'.');
    cleared(&laughs);
    // Deep nests do not recurse.
    let mut deep = vec![b'('; 200_000];
    deep.extend(vec![b't'; 200_000]);
    deep.push(b'.');
    cleared(&join(&[b"\x80\x02", &deep]));
    // A range that takes for ever, bytes of any size.
    let range =
        join(&[&global("builtins", "range"), b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85R"]);
    not_cleared(&proto(4, &range), "scan.pickle.use");
    let list =
        join(&[&global("builtins", "list"), &global("builtins", "range"), b"K\x05\x85R\x85R"]);
    not_cleared(&proto(4, &list), "scan.pickle.use");
    let bytes = join(&[&global("builtins", "bytearray"), b"\x8a\x05\xff\xff\xff\xff\x7f\x85R"]);
    not_cleared(&proto(4, &bytes), "scan.pickle.use");
}

/// A nested pickle behind an allow-listed helper is a file of its own.
#[test]
fn bypass_nested_pickle_through_a_listed_helper() {
    let inner = b"cos\nsystem\n(S'id'\ntR.";
    let outer = join(&[
        &global("torch.storage", "_load_from_bytes"),
        &[b'C', inner.len() as u8],
        inner,
        b"\x85R",
    ]);
    let report = hostile(&proto(4, &outer), "scan.pickle.call");
    assert!(report.sightings.iter().any(|seen| seen.member.starts_with("bytes at ")));
    // Computed bytes cannot be looked into.
    let codec = join(&[&global("_codecs", "encode"), &text("x"), &text("latin1"), b"\x86R"]);
    let computed = join(&[&global("torch.storage", "_load_from_bytes"), &codec, b"\x85R"]);
    not_cleared(&proto(4, &computed), "scan.pickle.use");
}

/// The magic number of a legacy torch file made by `eval`: every stream is judged.
#[test]
fn bypass_magic_number_from_eval() {
    let magic = join(&[&global("builtins", "eval"), &text("0x1950a86a20f9469cfc6c"), b"\x85R"]);
    hostile(
        &join(&[&proto(2, &magic), b"\x80\x02M\xe9\x03.\x80\x02}.\x80\x02N.\x80\x02]."]),
        "scan.pickle.call",
    );
}

/// State on a class, and attributes that redirect.
#[test]
fn bypass_state_on_a_class_or_special_attributes() {
    let class = global("collections", "OrderedDict");
    hostile(&proto(4, &join(&[&class, b"}", &text("x"), b"Nsb"])), "scan.pickle.build");
    let state = join(&[b"}", &text("__setstate__"), &global("builtins", "getattr"), b"sb"]);
    hostile(&proto(4, &join(&[&class, b")R", &state])), "scan.pickle.build");
    hostile(&proto(4, &join(&[&class, &text("k"), b"Ns"])), "scan.pickle.build");
}

/// `getattr` gives what its dotted name gives.
#[test]
fn bypass_getattr_of_a_listed_class() {
    let walk = join(&[
        &global("builtins", "getattr"),
        &global("collections", "OrderedDict"),
        &text("__init__"),
        b"\x86R",
    ]);
    hostile(&proto(4, &walk), "scan.pickle.computed");
    let computed = join(&[&global("builtins", "getattr"), b"]", &text("append"), b"\x86R"]);
    hostile(&proto(4, &computed), "scan.pickle.computed");
}

/// A computed callee is no name.
#[test]
fn bypass_call_of_a_call() {
    let partial = join(&[&global("functools", "partial"), &global("builtins", "str"), b"\x85R"]);
    cleared(&proto(4, &partial));
    hostile(&proto(4, &join(&[&partial, b")R"])), "scan.pickle.computed");
}

/// What Python itself writes for plain data is cleared, in every protocol.
#[test]
fn plain_data_is_cleared() {
    cleared(b"(dp0\nVa\np1\n(lp2\nI1\naL2L\naF1.5\naI01\naNas.");
    cleared(&proto(2, b"}q\x00(U\x01aq\x01K\x01U\x01bq\x02]q\x03(K\x01K\x02eu"));
    let dict = b"}\x94(\x8c\x01a\x94]\x94(K\x01K\x02e\x8c\x01b\x94\x88u.";
    cleared(&join(&[b"\x80\x04\x95", &(dict.len() as u64).to_le_bytes(), dict]));
}

/// P3, P4: cut anywhere, no pickle is cleared; what was seen before the cut stays seen.
#[test]
fn a_cut_pickle_is_never_cleared() {
    let whole = proto(
        4,
        &join(&[&global("collections", "OrderedDict"), b")R", b"}b", &text("x"), b"\x86"]),
    );
    cleared(&whole);
    for cut in 1..whole.len() {
        assert_ne!(scan(&whole[..cut]).verdict, Verdict::Cleared, "cut at {cut}");
    }
}

/// A listed class whose constructor opens or runs something is only given state, never called; what
/// calls its arguments is judged by them.
#[test]
fn bypass_constructors_and_makers_that_call_what_they_are_given() {
    let model = ("sklearn.tree._classes", "DecisionTreeClassifier");
    let class = global(model.0, model.1);
    cleared(&proto(4, &join(&[&class, b")\x81}b"])));
    not_cleared(&proto(4, &join(&[&class, &text("x"), b"\x85R"])), "scan.pickle.use");
    // NumPy's maker calls its second argument with the first.
    let maker = global("numpy.random._pickle", "__randomstate_ctor");
    let bit = global("numpy.random._pickle", "__bit_generator_ctor");
    cleared(&proto(4, &join(&[&maker, &text("MT19937"), &bit, b"\x86R"])));
    not_cleared(&proto(4, &join(&[&maker, &text("x"), &class, b"\x86R"])), "scan.pickle.use");
    let index = global("pandas.core.indexes.base", "_new_Index");
    not_cleared(&proto(4, &join(&[&index, &class, b"}\x86R"])), "scan.pickle.use");
    let from_type = global("torch._tensor", "_rebuild_from_type_v2");
    not_cleared(&proto(4, &join(&[&from_type, b"(", &class, &class, b")}tR"])), "scan.pickle.use");
    let partial = global("functools", "partial");
    not_cleared(&proto(4, &join(&[&partial, &class, &text("x"), b"\x86R"])), "scan.pickle.use");
    // `str` of an instance runs a method of it.
    let str = global("builtins", "str");
    not_cleared(&proto(4, &join(&[&str, &class, b")\x81\x85R"])), "scan.pickle.use");
}

/// SciPy's distributions `exec` a text of their state when they are loaded: they are on no list.
#[test]
fn bypass_state_that_scipy_executes() {
    let class = global("scipy.stats._continuous_distns", "norm_gen");
    let state =
        join(&[b"}", &text("_parse_arg_template"), &text("import os; os.system('id')"), b"sb"]);
    not_cleared(&proto(4, &join(&[&class, b")\x81", &state])), "scan.pickle.unlisted");
}
