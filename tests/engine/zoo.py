"""Trains model kinds, exports them to ONNX and writes, beside each, inputs and expected outputs.

    python zoo.py small FOLDER    # the fixtures of the ordinary Rust tests: few trees, few rows
    python zoo.py full FOLDER     # the same kinds at their usual size, for `--deep`

For a kind NAME there are `NAME.onnx` and `NAME.json`. The latter holds `inputs`, `expected` (what
onnxruntime answers on one thread) and `original` (what the library that trained the model answers),
each a list of `{name, datatype, shape, data}`; NaN is null, other numbers are as Python writes them.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["OPENBLAS_CORETYPE"] = "Haswell"

import json
import pathlib
import sys
import traceback
import warnings

import numpy
import onnx
import onnxruntime

import kinds

DATATYPES = {
    "float32": "FP32",
    "float64": "FP64",
    "int64": "INT64",
    "int32": "INT32",
    "uint8": "UINT8",
    "bool": "BOOL",
    "object": "BYTES",
    "str": "BYTES",
}


def ort_session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def tensor(name, value):
    """One tensor as plain data."""
    if isinstance(value, list):  # ZipMap: a list of maps, shown in the order of their keys.
        keys = list(value[0])
        value = numpy.array([[row[key] for key in keys] for row in value], dtype=numpy.float32)
    value = numpy.asarray(value)
    if value.dtype.kind in "UO":
        datatype, data = "BYTES", [str(item) for item in value.ravel()]
    elif value.dtype.kind == "f":
        datatype = DATATYPES[value.dtype.name]
        data = [None if numpy.isnan(item) else _number(item) for item in value.ravel()]
    elif value.dtype.kind == "b":
        datatype, data = "BOOL", [bool(item) for item in value.ravel()]
    else:
        datatype, data = DATATYPES[value.dtype.name], [int(item) for item in value.ravel()]
    return {"name": name, "datatype": datatype, "shape": list(value.shape), "data": data}


def _number(item):
    if numpy.isinf(item):
        return "inf" if item > 0 else "-inf"
    return float(str(item))


def write(folder, name, kind):
    model, inputs, original = kind
    onnx.checker.check_model(model)
    session = ort_session(model)
    feed = {entry.name: inputs[entry.name] for entry in session.get_inputs()}
    answers = session.run(None, feed)
    outputs = [entry.name for entry in session.get_outputs()]
    content = {
        "inputs": [tensor(key, value) for key, value in feed.items()],
        "expected": [tensor(key, value) for key, value in zip(outputs, answers)],
        "original": [
            {} if value is None else tensor(key, numpy.asarray(value).reshape(answer_shape(answer)))
            for key, value, answer in zip(outputs, original, answers)
        ],
    }
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    (folder / f"{name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


def answer_shape(answer):
    if isinstance(answer, list):
        return (len(answer), len(answer[0]))
    return answer.shape


def main(size, folder, only):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for name, make in kinds.KINDS.items():
        if only and name not in only:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                write(folder, name, make(kinds.SIZES[size]))
        except Exception as error:  # Every kind that cannot be made is told at the end.
            failed.append(name)
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
            if os.environ.get("ZOO_TRACE"):
                traceback.print_exc()
    print(f"{len(kinds.KINDS) - len(failed)} of {len(kinds.KINDS)} kinds written")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
