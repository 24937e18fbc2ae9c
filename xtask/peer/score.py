"""The peer's scoring script: the same ONNX model, as its documentation says to write one."""

import json
import os

import numpy
import onnxruntime

session = None


def init():
    global session
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
    )


def run(data):
    rows = numpy.array(json.loads(data)["data"], dtype=numpy.float32)
    label, probabilities = session.run(["label", "probabilities"], {"features": rows})
    return {"label": label.tolist(), "probabilities": probabilities.tolist()}
