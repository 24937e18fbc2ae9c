#!/usr/bin/env python3
"""Turns a saved model into ONNX and a contract, in your own environment; Bartizan never runs it.

    pip install skl2onnx==1.20.0 onnxmltools==1.16.0 onnx==1.23.2 joblib==1.6.0   # and the model's own library
    python convert.py model.joblib --out served/            # scikit-learn, LightGBM, XGBoost estimators
    python convert.py model.joblib --out served/ --expected rows.parquet   # also its answers for these rows
    python convert.py model.pt2 --out served/               # torch.export's programs (torch.onnx.export)

Loading a pickle runs what is in it: only convert files that you trust, where that does no harm.
LightGBM's text files and XGBoost's JSON and UBJ need no conversion: `bartizan serve FILE`.
"""

import argparse
import pathlib
import sys

PINNED = {"skl2onnx": "1.20.0", "onnxmltools": "1.16.0", "onnx": "1.23.2"}
OPSETS = {"": 22, "ai.onnx.ml": 3}


def check_versions(names):
    """Other versions export other graphs: then the pinned ones are asked for."""
    import importlib.metadata

    for name in names:
        found = importlib.metadata.version(name)
        if found != PINNED[name]:
            sys.exit(f"convert: {name} is {found}, this script is for {PINNED[name]}: pip install {name}=={PINNED[name]}")


def columns_of(model, n_columns):
    names = getattr(model, "feature_names_in_", None)
    return [str(name) for name in names] if names is not None else [f"f{at}" for at in range(n_columns)]


def register_boosters():
    """Teaches skl2onnx the estimators of LightGBM and XGBoost, for pipelines that end in one."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes as classifier,
        calculate_linear_regressor_output_shapes as regressor,
    )

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"], "raw_scores": [True, False]}
    if "lightgbm" in sys.modules:
        import lightgbm
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        update_registered_converter(lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", classifier, convert_lightgbm, options=options)
        update_registered_converter(lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", regressor, convert_lightgbm, options={"split": None})
    if "xgboost" in sys.modules:
        import xgboost
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        update_registered_converter(xgboost.XGBClassifier, "XGBoostXGBClassifier", classifier, convert_xgboost, options=options)
        update_registered_converter(xgboost.XGBRegressor, "XGBoostXGBRegressor", regressor, convert_xgboost)


def convert_sklearn(model):
    check_versions(["skl2onnx", "onnx"])
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    if {"lightgbm", "xgboost"} & set(sys.modules):
        check_versions(["onnxmltools"])
        register_boosters()
    n_columns = int(model.n_features_in_)
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    options = {id(last): {"zipmap": False}} if hasattr(model, "predict_proba") else None
    onnx_model = skl2onnx.to_onnx(
        model, initial_types=[("features", FloatTensorType([None, n_columns]))], target_opset=OPSETS, options=options,
    )
    return onnx_model, columns_of(model, n_columns)


def convert_torch(path):
    import torch

    program = torch.export.load(str(path))
    exported = torch.onnx.export(program, dynamo=True)
    return exported.model_proto, None


NAMES = {1: "FP32", 7: "INT64", 8: "BYTES", 9: "BOOL", 11: "FP64", 6: "INT32"}


def contract(onnx_model, columns):
    """A contract as `bartizan serve` would infer it, with the columns' names where they are known."""

    def tensors(values, with_columns):
        lines = []
        for value in values:
            kind = value.type.tensor_type
            shape = [dim.dim_value if 0 < dim.dim_value else -1 for dim in kind.shape.dim]
            fields = [f'name = "{value.name}"', f'datatype = "{NAMES[kind.elem_type]}"', f"shape = {shape}"]
            lines.append("  { " + ", ".join(fields) + " },")
        return lines

    known = {value.name for value in onnx_model.graph.initializer}
    inputs = [value for value in onnx_model.graph.input if value.name not in known]
    lines = ["format = 1", "inputs = ["] + tensors(inputs, True) + ["]", "outputs = ["]
    lines += tensors(onnx_model.graph.output, False) + ["]"]
    if columns:
        lines.insert(0, "# columns, in order: " + ", ".join(columns))
    return "\n".join(lines) + "\n"


def write_expected(model, rows_path, folder):
    """The original's answers, row by row, beside the rows."""
    import numpy
    import pandas

    frame = pandas.read_parquet(rows_path)
    names = columns_of(model, frame.shape[1])
    rows = frame[names] if set(names) <= set(frame.columns) else frame.iloc[:, : int(model.n_features_in_)]
    label = model.predict(rows)
    told = {"label" if hasattr(model, "predict_proba") else "variable": label}
    if hasattr(model, "predict_proba"):
        for at, column in enumerate(numpy.asarray(model.predict_proba(rows)).T):
            told[f"probabilities_{at}"] = column
    pandas.concat([rows.reset_index(drop=True), pandas.DataFrame(told)], axis=1).to_parquet(folder / "expected.parquet")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--expected", type=pathlib.Path, help="rows (Parquet) to write the original's answers for")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.model.suffix in (".pt2", ".pt"):
        onnx_model, columns = convert_torch(args.model)
        model = None
    else:
        import joblib

        model = joblib.load(args.model)
        onnx_model, columns = convert_sklearn(model)
    (args.out / "model.onnx").write_bytes(onnx_model.SerializeToString())
    (args.out / "contract.toml").write_text(contract(onnx_model, columns))
    if args.expected is not None and model is not None:
        write_expected(model, args.expected, args.out)
    print(f"convert: wrote {args.out / 'model.onnx'} and {args.out / 'contract.toml'}")


if __name__ == "__main__":
    main()
