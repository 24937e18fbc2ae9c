"""The native engine beside onnxruntime, and the same bits however the rows arrive."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy
import onnxruntime
import pytest

from house import EXAMPLES, MODELS

DIFFERENCE_MAX = 1e-6


def texts(reply):
    """Each output's values as the server wrote them, digit by digit."""
    assert reply.status_code == 200, reply.text
    outputs = json.loads(reply.content, parse_float=str, parse_int=str)["outputs"]
    return {output["name"]: output["data"] for output in outputs}


@pytest.mark.parametrize("model", MODELS)
def test_answers_are_those_of_onnxruntime(house, heldout, model):
    rows = heldout(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(EXAMPLES / model / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    label, probabilities = session.run(["label", "probabilities"], {"features": rows})
    reply = house.infer(model, rows.tolist())
    assert reply.status_code == 200, reply.text
    outputs = {output["name"]: output["data"] for output in reply.json()["outputs"]}
    ours = numpy.array(outputs["probabilities"], dtype=numpy.float64).reshape(probabilities.shape)
    assert numpy.abs(ours - probabilities.astype(numpy.float64)).max() <= DIFFERENCE_MAX
    assert outputs["label"] == label.tolist()


@pytest.mark.parametrize("model", MODELS)
def test_batch_split_and_threads_change_no_bit(house, heldout, model):
    rows = heldout(model)[:96].tolist()
    whole = texts(house.infer(model, rows))
    for size in [1, 7, 64]:
        parts = [rows[at : at + size] for at in range(0, len(rows), size)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda part: texts(house.infer(model, part)), parts))
        for name, values in whole.items():
            joined = [value for answer in answers for value in answer[name]]
            assert joined == values, f"{name} in parts of {size}"
