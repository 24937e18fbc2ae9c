"""Trains the four example models and writes what Bartizan needs beside each.

    python -m venv VENV && VENV/bin/pip install -r requirements.txt
    VENV/bin/python train.py           # writes digits-forest/ and so on, beside this file
    VENV/bin/python train.py --check   # trains into a temporary folder and compares

Every model has a folder: `model.onnx`, `contract.toml`, `reference.parquet` (rows the model was
trained on), `heldout.parquet` (rows that no model was trained on) and `expected.parquet` (what
onnxruntime answers on these, on one thread).

Seeded and on one thread. What still differs between processors is pinned below, before numpy is
imported: the BLAS kernels and numpy's wider vector code.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["OPENBLAS_CORETYPE"] = "Haswell"

import argparse
import dataclasses
import pathlib
import sys
import tempfile

import lightgbm
import numpy
import onnx
import onnxmltools
import onnxruntime
import pyarrow
import pyarrow.parquet
from onnxmltools.convert.common.data_types import FloatTensorType as LightgbmFloats
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 20261124
INPUT = "features"
OPSET = 18
OPSET_ML = 3
REFERENCE_ROWS = 400
# Part of the LightGBM example's cells that are emptied, so that it learns what a gap means.
MISSING_PART = 0.03
# Largest difference of two numbers that `--check` forgives.
TOLERANCE = 1e-6


@dataclasses.dataclass
class Data:
    """A data set, split once: both of its models hold out the same rows."""

    features: list
    feature_limits: str
    classes: list
    train_x: numpy.ndarray
    train_y: numpy.ndarray
    heldout_x: numpy.ndarray
    heldout_y: numpy.ndarray


@dataclasses.dataclass
class Example:
    """One model and the data it goes with."""

    name: str
    description: str
    model: onnx.ModelProto
    data: Data
    missing: bool = False


def split(bunch, features, feature_limits, classes):
    # Rows are rounded to float32 once: model, files and answers see the same numbers.
    x = bunch.data.astype(numpy.float32)
    parts = train_test_split(x, bunch.target, test_size=0.25, random_state=SEED, stratify=bunch.target)
    train_x, heldout_x, train_y, heldout_y = parts
    return Data(features, feature_limits, classes, train_x, train_y, heldout_x, heldout_y)


def digits():
    bunch = load_digits()
    limits = 'unit = "on pixels of 16", min = 0.0, max = 16.0'
    classes = [f"the digit {digit}" for digit in bunch.target_names]
    return split(bunch, list(bunch.feature_names), limits, classes)


def cancer():
    bunch = load_breast_cancer()
    features = [str(name) for name in bunch.feature_names]
    classes = [str(name) for name in bunch.target_names]
    return split(bunch, features, "min = 0.0", classes)


def with_gaps(data):
    """The same rows with some cells empty, at random."""
    chance = numpy.random.default_rng(SEED)

    def gaps(x):
        return numpy.where(chance.random(x.shape) < MISSING_PART, numpy.float32("nan"), x)

    return dataclasses.replace(data, train_x=gaps(data.train_x), heldout_x=gaps(data.heldout_x))


def through_sklearn(estimator, data):
    estimator.fit(data.train_x.astype(numpy.float64), data.train_y)
    types = [(INPUT, FloatTensorType([None, len(data.features)]))]
    return to_onnx(
        estimator,
        initial_types=types,
        options={"zipmap": False},
        target_opset={"": OPSET, "ai.onnx.ml": OPSET_ML},
    )


def through_lightgbm(data):
    estimator = lightgbm.LGBMClassifier(
        n_estimators=100,
        num_leaves=15,
        learning_rate=0.05,
        random_state=SEED,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )
    estimator.fit(data.train_x, data.train_y)
    types = [(INPUT, LightgbmFloats([None, len(data.features)]))]
    return onnxmltools.convert_lightgbm(
        estimator, initial_types=types, zipmap=False, target_opset=15
    )


def examples():
    ink, cells = digits(), cancer()
    gappy = with_gaps(cells)
    forest = RandomForestClassifier(n_estimators=40, max_leaf_nodes=80, random_state=SEED, n_jobs=1)
    network = make_pipeline(
        StandardScaler(),
        MLPClassifier((64, 32), alpha=1e-2, max_iter=1000, random_state=SEED),
    )
    line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=SEED))
    return [
        Example("digits-forest", "Which digit an 8x8 picture shows: random forest, 40 trees.",
                through_sklearn(forest, ink), ink),
        Example("digits-mlp", "Which digit an 8x8 picture shows: neural network, 64 and 32 units.",
                through_sklearn(network, ink), ink),
        Example("cancer-logistic", "Whether a breast mass is benign: scaled logistic regression.",
                through_sklearn(line, cells), cells),
        Example("cancer-lightgbm", "Whether a breast mass is benign: LightGBM, 100 trees.",
                through_lightgbm(gappy), gappy, missing=True),
    ]


def named(example):
    """The model as bytes, without what converters draw at random: its name, attributes' order."""
    model = example.model
    model.graph.name = example.name
    model.doc_string = ""
    for node in model.graph.node:
        attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
        del node.attribute[:]
        node.attribute.extend(attributes)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def contract(example):
    data = example.data
    width = len(data.features)
    missing = ', missing = "allowed"' if example.missing else ""
    lines = [
        "# Written by ../train.py; the format is described in docs/formats/contract.md.",
        "format = 1",
        f'description = "{example.description}"',
        "classes = [",
        *(f'    {{ value = {value}, meaning = "{meaning}" }},' for value, meaning in enumerate(data.classes)),
        "]",
        "",
        "[[inputs]]",
        f'name = "{INPUT}"',
        'datatype = "FP32"',
        f"shape = [-1, {width}]",
        "features = [",
        *(f'    {{ name = "{name}", {data.feature_limits}{missing} }},' for name in data.features),
        "]",
        "",
        "[[outputs]]",
        'name = "label"',
        'datatype = "INT64"',
        "shape = [-1]",
        'role = "label"',
        "",
        "[[outputs]]",
        'name = "probabilities"',
        'datatype = "FP32"',
        f"shape = [-1, {len(data.classes)}]",
        'role = "probabilities"',
        "",
    ]
    return "\n".join(lines).encode()


def parquet(columns):
    """A table as the bytes of a Parquet file; NaN is written as null."""
    arrays = {name: pyarrow.array(values, from_pandas=True) for name, values in columns.items()}
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(arrays), sink, compression="zstd", store_schema=False)
    return sink.getvalue().to_pybytes()


def rows(data, x, y):
    columns = {name: x[:, column] for column, name in enumerate(data.features)}
    return parquet({**columns, "target": y.astype(numpy.int64)})


def expected(model, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # One row a call: onnxruntime's answers may depend on the size of the batch.
    answers = [session.run(["label", "probabilities"], {INPUT: x[row : row + 1]}) for row in range(len(x))]
    labels = numpy.concatenate([label for label, _ in answers])
    chances = numpy.concatenate([chance for _, chance in answers])
    columns = {f"probabilities[{column}]": chances[:, column] for column in range(chances.shape[1])}
    return parquet({"label": labels, **columns}), (labels, chances)


def write(folder):
    for example in examples():
        data = example.data
        model = named(example)
        answers, (labels, _) = expected(model, data.heldout_x)
        chosen = numpy.sort(numpy.random.default_rng(SEED).permutation(len(data.train_x))[:REFERENCE_ROWS])
        files = {
            "model.onnx": model,
            "contract.toml": contract(example),
            "reference.parquet": rows(data, data.train_x[chosen], data.train_y[chosen]),
            "heldout.parquet": rows(data, data.heldout_x, data.heldout_y),
            "expected.parquet": answers,
        }
        (folder / example.name).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / example.name / name).write_bytes(content)
        right = (labels == data.heldout_y).mean()
        sizes = ", ".join(f"{name} {len(content)} B" for name, content in files.items())
        print(f"{example.name}: {right:.3f} of {len(labels)} held-out rows right; {sizes}")


def same_table(old, new):
    """None, or the largest difference of two tables, infinite where they cannot be compared."""
    old, new = pyarrow.parquet.read_table(old), pyarrow.parquet.read_table(new)
    if old.schema != new.schema or old.num_rows != new.num_rows:
        return float("inf")
    worst = 0.0
    for a, b in zip(old.columns, new.columns):
        a, b = (numpy.asarray(column.to_numpy(), dtype=numpy.float64) for column in (a, b))
        if (numpy.isnan(a) != numpy.isnan(b)).any():
            return float("inf")
        worst = max(worst, float(numpy.nan_to_num(numpy.abs(a - b)).max()))
    return worst


def check(committed, fresh):
    """Compares two folders: bytes, else numbers. A model that differs is judged by its answers."""
    bad = 0
    for path in sorted(path for path in fresh.rglob("*") if path.is_file()):
        name = path.relative_to(fresh)
        old = committed / name
        if not old.is_file():
            verdict, fine = "is missing", False
        elif old.read_bytes() == path.read_bytes():
            verdict, fine = "same bytes", True
        elif name.suffix == ".parquet":
            worst = same_table(old, path)
            verdict, fine = f"largest difference {worst:.3g}", worst <= TOLERANCE
        elif name.suffix == ".onnx":
            x = pyarrow.parquet.read_table(fresh / name.parent / "heldout.parquet").drop_columns(["target"])
            x = numpy.stack([column.to_numpy() for column in x.columns], axis=1).astype(numpy.float32)
            answers = [expected(model.read_bytes(), x)[1] for model in (old, path)]
            worst = float(numpy.abs(answers[0][1] - answers[1][1]).max())
            verdict, fine = f"other bytes, largest difference of answers {worst:.3g}", worst <= TOLERANCE
        else:
            verdict, fine = "other bytes", False
        print(f"{'ok  ' if fine else 'DIFF'} {name}: {verdict}")
        bad += not fine
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing; exit 1 where something differs")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent)
    args = parser.parse_args()
    if not args.check:
        write(args.out)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        write(pathlib.Path(folder))
        return 1 if check(args.out, pathlib.Path(folder)) else 0


if __name__ == "__main__":
    sys.exit(main())
