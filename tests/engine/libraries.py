"""Trains models with LightGBM and XGBoost, saves them as the libraries do, and writes their answers.

    python libraries.py small FOLDER    # the fixtures of the ordinary Rust tests
    python libraries.py full FOLDER     # 100 trees, 300 rows, for `--deep`

For a kind NAME there are `NAME.txt`, `NAME.json` or `NAME.ubj`, and `NAME.answers`: lines of a name, a
datatype, a shape and the values' little-endian bytes in hexadecimal. `rows` goes in, `margin` is the
library's raw score, `answer` its prediction, `contributions` its TreeSHAP values, the base value last.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import pathlib
import sys
import warnings

import lightgbm
import numpy
import xgboost

SEED = 20260115


def data(n_rows, n_columns=6):
    """Rows on which every rule can be told apart: negative, zero, tiny and large values."""
    random = numpy.random.default_rng(SEED)
    rows = random.normal(size=(n_rows, n_columns)) * [1, 10, 0.01, 1000, 1, 3]
    rows[:, 4] = random.integers(0, 9, size=n_rows)
    rows[random.random(size=n_rows) < 0.3, 5] = 0.0
    score = rows[:, 0] + rows[:, 1] / 10 + (rows[:, 4] % 3) - (rows[:, 5] > 0) + random.normal(size=n_rows) / 4
    return rows, score


def with_missing(rows):
    """The same with values missing, and values that hardly differ from zero."""
    random = numpy.random.default_rng(SEED + 1)
    rows = rows.copy()
    rows[random.random(size=rows.shape) < 0.15] = numpy.nan
    rows[::7, 5] = 1e-36
    rows[1::7, 5] = -0.0
    return rows


def hostile(rows):
    """Values that no training row had."""
    extra = rows[:8].copy()
    extra[0, :] = numpy.nan
    extra[1, :] = 1e30
    extra[2, :] = -1e30
    extra[3, :] = 0.0
    extra[4, 4] = 77.0
    extra[5, 4] = -0.5
    extra[6, 4] = -3.0
    extra[7, 4] = 2.75
    return numpy.vstack([rows, extra])


def write(folder, name, tensors):
    types = {"float32": "FP32", "float64": "FP64"}
    lines = []
    for key, value in tensors.items():
        value = numpy.ascontiguousarray(value)
        shape = ",".join(map(str, value.shape))
        lines.append(f"{key} {types[value.dtype.name]} {shape} {value.astype(value.dtype.newbyteorder('<')).tobytes().hex()}")
    (folder / f"{name}.answers").write_text("\n".join(lines) + "\n")


LIGHTGBM = {
    "regression": {},
    "regression-sqrt": {"objective": "regression", "reg_sqrt": True},
    "regression-l1": {"objective": "regression_l1"},
    "huber": {"objective": "huber"},
    "fair": {"objective": "fair"},
    "quantile": {"objective": "quantile", "alpha": 0.7},
    "mape": {"objective": "mape"},
    "poisson": {"objective": "poisson"},
    "gamma": {"objective": "gamma"},
    "tweedie": {"objective": "tweedie"},
    "binary": {"objective": "binary"},
    "binary-sigmoid": {"objective": "binary", "sigmoid": 0.7},
    "binary-missing": {"objective": "binary", "missing": True},
    "binary-zero-missing": {"objective": "binary", "missing": True, "zero_as_missing": True},
    "binary-no-missing": {"objective": "binary", "missing": True, "use_missing": False},
    "binary-categories": {"objective": "binary", "categorical_feature": [4], "max_cat_to_onehot": 1,
                          "cat_smooth": 1, "min_data_per_group": 1},
    "binary-dart": {"objective": "binary", "boosting": "dart"},
    "binary-rf": {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
    "multiclass": {"objective": "multiclass", "num_class": 3},
    "multiclass-ova": {"objective": "multiclassova", "num_class": 3},
    "cross-entropy": {"objective": "cross_entropy"},
    "cross-entropy-lambda": {"objective": "cross_entropy_lambda"},
    "lambdarank": {"objective": "lambdarank"},
    "constant": {"objective": "binary", "min_data_in_leaf": 100000},
    "linear-tree": {"objective": "regression", "linear_tree": True},
}


def target(objective, score, n_class=3):
    if objective in ("binary", "binary:logistic", "binary:logitraw", "binary:hinge", "reg:logistic"):
        return (score > numpy.median(score)).astype(float)
    if objective in ("multiclass", "multiclassova", "multi:softprob", "multi:softmax"):
        return numpy.clip(numpy.digitize(score, numpy.quantile(score, [0.33, 0.66])), 0, n_class - 1).astype(float)
    if objective in ("cross_entropy", "cross_entropy_lambda"):
        return 1 / (1 + numpy.exp(-score))
    if objective in ("lambdarank", "rank:ndcg", "rank:pairwise"):
        return numpy.clip(numpy.round(score - score.min()), 0, 4)
    if objective in ("poisson", "gamma", "tweedie", "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox",
                     "mape", "reg:squaredlogerror"):
        return numpy.abs(score) + 0.1
    return score


def lightgbm_kind(folder, name, options, n_trees, n_rows):
    options = dict(options)
    rows, score = data(400)
    if options.pop("missing", False):
        rows = with_missing(rows)
    objective = options.get("objective", "regression")
    group = [40] * 10 if objective == "lambdarank" else None
    categorical = options.pop("categorical_feature", "auto")
    train = lightgbm.Dataset(rows, target(objective, score), group=group, categorical_feature=categorical,
                             params={"verbose": -1, **options})
    parameters = {"objective": objective, "verbose": -1, "num_leaves": 8, "num_threads": 1, "seed": 7,
                  "deterministic": True, "min_data_in_leaf": 5, **options}
    booster = lightgbm.train(parameters, train, num_boost_round=n_trees)
    booster.save_model(folder / f"{name}.txt")
    booster = lightgbm.Booster(model_file=folder / f"{name}.txt")
    rows = hostile(rows[:n_rows])
    tensors = {
        "rows": rows,
        "margin": booster.predict(rows, raw_score=True, num_threads=1),
        "answer": booster.predict(rows, num_threads=1),
    }
    if not options.get("linear_tree"):
        tensors["contributions"] = booster.predict(rows, pred_contrib=True, num_threads=1)
    write(folder, name, tensors)


XGBOOST = {
    "squared-error": {"objective": "reg:squarederror"},
    "squared-log-error": {"objective": "reg:squaredlogerror"},
    "absolute-error": {"objective": "reg:absoluteerror"},
    "pseudo-huber": {"objective": "reg:pseudohubererror"},
    "quantile-error": {"objective": "reg:quantileerror", "quantile_alpha": [0.2, 0.8]},
    "logistic": {"objective": "binary:logistic"},
    "logistic-base": {"objective": "binary:logistic", "base_score": 0.3},
    "reg-logistic": {"objective": "reg:logistic"},
    "logit-raw": {"objective": "binary:logitraw"},
    "hinge": {"objective": "binary:hinge"},
    "poisson": {"objective": "count:poisson"},
    "gamma": {"objective": "reg:gamma"},
    "tweedie": {"objective": "reg:tweedie"},
    "softprob": {"objective": "multi:softprob", "num_class": 3},
    "softmax": {"objective": "multi:softmax", "num_class": 3},
    "rank-ndcg": {"objective": "rank:ndcg"},
    "rank-pairwise": {"objective": "rank:pairwise"},
    "cox": {"objective": "survival:cox"},
    "aft": {"objective": "survival:aft"},
    "missing": {"objective": "binary:logistic", "missing": True},
    "categories": {"objective": "binary:logistic", "categories": True},
    "categories-onehot": {"objective": "binary:logistic", "categories": True, "max_cat_to_onehot": 100},
    "dart": {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.4},
    "dart-multi": {"objective": "multi:softprob", "num_class": 3, "booster": "dart", "rate_drop": 0.4},
    "forest": {"objective": "binary:logistic", "num_parallel_tree": 5, "subsample": 0.7},
    "linear": {"objective": "reg:squarederror", "booster": "gblinear"},
    "linear-multi": {"objective": "multi:softprob", "num_class": 3, "booster": "gblinear"},
    "lossguide": {"objective": "reg:squarederror", "grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0},
}


def xgboost_kind(folder, name, options, n_trees, n_rows):
    options = dict(options)
    rows, score = data(400)
    if options.pop("missing", False):
        rows = with_missing(rows)
    types = None
    if options.pop("categories", False):
        types = ["q", "q", "q", "q", "c", "q"]
    objective = options["objective"]
    rows = rows.astype(numpy.float32)
    label = target(objective, score)
    train = xgboost.DMatrix(rows, feature_types=types, enable_categorical=types is not None)
    if objective == "survival:aft":
        train.set_float_info("label_lower_bound", numpy.abs(score) + 0.1)
        train.set_float_info("label_upper_bound", numpy.abs(score) + 0.5)
    else:
        train.set_label(label)
    if objective.startswith("rank:"):
        train.set_group([40] * 10)
    parameters = {"max_depth": 3, "nthread": 1, "seed": 7, "tree_method": "hist", **options}
    if options.get("booster") == "gblinear":
        del parameters["max_depth"], parameters["tree_method"]
    booster = xgboost.train(parameters, train, num_boost_round=n_trees)
    for ending in ("json", "ubj"):
        booster.save_model(folder / f"{name}.{ending}")
    booster = xgboost.Booster({"nthread": 1}, model_file=folder / f"{name}.ubj")
    rows = hostile(rows[:n_rows]).astype(numpy.float32)
    if types is None:
        matrix = xgboost.DMatrix(rows)
    else:
        rows[:, 4] = numpy.where(numpy.isfinite(rows[:, 4]), numpy.clip(rows[:, 4], 0, 20), rows[:, 4])
        matrix = xgboost.DMatrix(rows, feature_types=types, enable_categorical=True)
    write(folder, name, {
        "rows": rows,
        "margin": booster.predict(matrix, output_margin=True),
        "answer": booster.predict(matrix),
        "contributions": booster.predict(matrix, pred_contribs=True),
    })


def main(size, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    n_trees, n_rows = {"small": (4, 24), "full": (100, 300)}[size]
    for name, options in LIGHTGBM.items():
        lightgbm_kind(folder, f"lightgbm-{name}", options, n_trees, n_rows)
    for name, options in XGBOOST.items():
        xgboost_kind(folder, f"xgboost-{name}", options, n_trees, n_rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
