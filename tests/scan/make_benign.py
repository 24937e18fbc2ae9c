"""Writes files with the genuine libraries, as their users do: what the gate must clear.

    python tests/scan/make_benign.py OUT_DIR [--small]

`--small` writes only those that are committed under crates/scan/corpus/benign. Deterministic up to
the libraries' own versions, which go into OUT_DIR/versions.txt.
"""

import gzip
import importlib
import io
import json
import lzma
import bz2
import pathlib
import pickle
import sys
import warnings

import joblib
import numpy as np

warnings.filterwarnings("ignore")


def estimators(X, y):
    from sklearn.utils import all_estimators

    slow = {"GaussianProcessClassifier", "MLPClassifier", "MLPRegressor"}
    for name, cls in all_estimators():
        try:
            model = cls()
            model.set_params(**{k: v for k, v in {"n_estimators": 3, "max_iter": 5}.items()
                                if k in model.get_params()})
            model.fit(abs(X), y)
        except Exception:  # an estimator that needs other data is left out
            try:
                model = cls()
            except Exception:
                continue
        yield name, model


def pipelines(X, y):
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import (GradientBoostingClassifier, HistGradientBoostingClassifier,
                                  RandomForestClassifier, StackingClassifier, VotingClassifier)
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.feature_selection import SelectKBest, f_classif
    from sklearn.gaussian_process import GaussianProcessClassifier
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.metrics import f1_score, make_scorer
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
    from sklearn.svm import SVC

    texts = ["a hostile file", "a benign file", "a model"] * 10
    yield "pipe_scaler_logreg", make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    yield "pipe_select_svc", make_pipeline(SelectKBest(f_classif, k=2), SVC(probability=True)).fit(X, y)
    yield "pipe_function", make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(abs(X), y)
    yield "columns", make_pipeline(ColumnTransformer([("n", StandardScaler(), [0, 1]),
                                                      ("c", OneHotEncoder(), [2])]),
                                   RandomForestClassifier(3)).fit(np.round(X), y)
    yield "grid", GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2,
                               scoring=make_scorer(f1_score)).fit(X, y)
    yield "calibrated", CalibratedClassifierCV(SGDClassifier(), cv=2).fit(X, y)
    yield "stack", StackingClassifier([("a", LogisticRegression()), ("b", KNeighborsClassifier(3))], cv=2).fit(X, y)
    yield "vote", VotingClassifier([("a", GradientBoostingClassifier(n_estimators=3)),
                                    ("b", HistGradientBoostingClassifier(max_iter=3))]).fit(X, y)
    yield "gp", GaussianProcessClassifier(ConstantKernel(1.0) * RBF(1.0)).fit(X, y)
    yield "tfidf", make_pipeline(TfidfVectorizer(), SGDClassifier(loss="log_loss")).fit(texts, [0, 1, 0] * 10)
    yield "count", CountVectorizer(ngram_range=(1, 2)).fit(texts)


def frames():
    import pandas as pd

    index = pd.date_range("2024-01-01", periods=4, tz="UTC")
    frame = pd.DataFrame({"a": [1, 2, 3, 4], "b": list("wxyz"), "c": pd.Categorical(list("aabb")),
                          "d": [1.5, None, 2.5, 3.0], "e": pd.array([1, None, 3, 4], dtype="Int64")}, index=index)
    yield "frame", frame
    yield "series", frame["a"]
    yield "multi", frame.set_index(["a", "b"])
    yield "intervals", pd.cut(frame["a"], 2)
    yield "periods", pd.Series(pd.period_range("2024-01", periods=3, freq="M"))
    yield "timedeltas", pd.Series(pd.to_timedelta([1, 2], unit="D"))
    yield "timestamps", [pd.Timestamp("2024-01-01"), pd.Timedelta(1, "s"), pd.NaT, pd.NA]


def arrays():
    rng = np.random.default_rng(0)
    yield "floats", rng.normal(size=(5, 3))
    yield "fortran", np.asfortranarray(rng.normal(size=(5, 3)))
    yield "ints", {"a": np.arange(10, dtype=np.int8), "b": np.arange(4, dtype=">i4")}
    yield "scalar", [np.float64(1.5), np.int32(3), np.bool_(True), np.str_("x"), np.datetime64("2024-01-01")]
    yield "texts", np.array(["ab", "c"])
    yield "objects", np.array([1, "a", None, {"k": (1, 2)}], dtype=object)
    yield "records", np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    yield "masked", np.ma.masked_array([1, 2, 3], [0, 1, 0])
    yield "random", np.random.RandomState(1)
    yield "generator", np.random.default_rng(1)
    yield "empty", np.zeros((0, 3))
    yield "zero_d", np.array(1.0)
    yield "ufunc", np.log1p
    yield "matrix", np.matrix([[1, 2]])


def sparse():
    import scipy.sparse as sp
    from scipy import stats
    from scipy.interpolate import CubicSpline, interp1d
    from scipy.spatial import KDTree, cKDTree

    for kind in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr"):
        yield f"sparse_{kind}", sp.random(5, 5, 0.4, format=kind, random_state=0)
        yield f"sparse_array_{kind}", getattr(sp, f"{kind}_array")(np.eye(3))
    yield "kdtree", KDTree(np.eye(3))
    yield "ckdtree", cKDTree(np.eye(3))
    yield "spline", CubicSpline([0, 1, 2], [0, 1, 4])
    yield "interp", interp1d([0, 1, 2], [0, 1, 4])
    yield "frozen", stats.norm(0, 1)
    yield "kde", stats.gaussian_kde(np.random.RandomState(0).normal(size=20))


def python():
    import collections
    import datetime
    import decimal
    import fractions
    import functools
    import pathlib as p
    import uuid

    yield "containers", {"a": [1, 2.5, None, True], "b": (1, {2}, frozenset([3])), "c": b"x", "d": bytearray(b"y")}
    yield "collections", [collections.OrderedDict(a=1), collections.defaultdict(list, a=[1]),
                          collections.Counter("aab"), collections.deque([1], maxlen=3)]
    yield "times", [datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc), datetime.date(2024, 1, 1),
                    datetime.timedelta(1)]
    yield "numbers", [decimal.Decimal("1.5"), fractions.Fraction(1, 3), 1 << 100, -5, 1j, range(3), slice(1)]
    yield "others", [uuid.UUID(int=1), p.PurePosixPath("a/b"), functools.partial(int, base=2), type(None)]


def boosters(X, y):
    import lightgbm
    import xgboost

    yield "xgb_classifier", xgboost.XGBClassifier(n_estimators=3).fit(X, y)
    yield "xgb_regressor", xgboost.XGBRegressor(n_estimators=3).fit(X, y)
    yield "xgb_booster", xgboost.train({}, xgboost.DMatrix(X, y), 3)
    yield "xgb_ranker", xgboost.XGBRanker(n_estimators=2).fit(X, y, qid=np.zeros(len(y), int))
    yield "lgb_classifier", lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, y)
    yield "lgb_regressor", lightgbm.LGBMRegressor(n_estimators=3, verbose=-1).fit(X, y)
    yield "lgb_booster", lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, y), 3)


def others(X, y):
    import category_encoders
    import imblearn.over_sampling
    import imblearn.pipeline
    import statsmodels.api as sm
    from sklearn.linear_model import LogisticRegression

    yield "imblearn", imblearn.pipeline.make_pipeline(imblearn.over_sampling.SMOTE(), LogisticRegression())
    yield "encoders", category_encoders.TargetEncoder()
    yield "ols", sm.OLS(y, X).fit()
    yield "glm", sm.GLM(y, X, family=sm.families.Binomial()).fit()


def put(path, text_or_bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text_or_bytes)


def main(out, small):
    out = pathlib.Path(out)
    rng = np.random.RandomState(0)
    X = rng.normal(size=(40, 4))
    y = (X[:, 0] > 0).astype(int)
    groups = [("numpy", arrays()), ("python", python()), ("pandas", frames()), ("scipy", sparse()),
              ("sklearn", pipelines(X, y)), ("boost", boosters(X, y)), ("other", others(X, y))]
    if not small:
        groups.append(("sklearn_all", estimators(X, y)))
    for group, items in groups:
        try:
            for name, value in items:
                try:
                    for protocol in (0, 2, 4, 5) if group in ("numpy", "python") else (2, 4, 5):
                        if small and protocol != 4:
                            continue
                        put(out / group / f"{name}.p{protocol}.pkl", pickle.dumps(value, protocol))
                    buffer = io.BytesIO()
                    joblib.dump(value, buffer)
                    put(out / group / f"{name}.joblib", buffer.getvalue())
                except Exception as error:
                    print("left out", group, name, error, file=sys.stderr)
        except Exception as error:
            print("group stopped", group, error, file=sys.stderr)
    model = next(pipelines(X, y))[1]
    for method, level in (("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3), ("lz4", 3)):
        try:
            buffer = out / "joblib" / f"model.{method}.joblib"
            buffer.parent.mkdir(parents=True, exist_ok=True)
            joblib.dump(model, buffer, compress=(method, level))
        except Exception as error:
            print("left out", method, error, file=sys.stderr)
    data = pickle.dumps(model)
    put(out / "compressed" / "model.pkl.gz", gzip.compress(data))
    put(out / "compressed" / "model.pkl.bz2", bz2.compress(data))
    put(out / "compressed" / "model.pkl.xz", lzma.compress(data))
    for name, array in arrays():
        if isinstance(array, np.ndarray):
            buffer = io.BytesIO()
            np.save(buffer, array)
            put(out / "npy" / f"{name}.npy", buffer.getvalue())
    buffer = io.BytesIO()
    np.savez(buffer, a=np.eye(3), b=np.arange(3))
    put(out / "npy" / "two.npz", buffer.getvalue())
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.eye(3))
    put(out / "npy" / "packed.npz", buffer.getvalue())
    from safetensors.numpy import save
    put(out / "safetensors" / "two.safetensors", save({"a": np.eye(3), "b": np.arange(4, dtype=np.int8)}, {"format": "np"}))
    torch_files(out)
    boosters_native(out, X, y)
    skops_files(out, model)
    gguf_file(out)
    versions = {name: importlib.import_module(name).__version__ for name in
                ("numpy", "scipy", "pandas", "sklearn", "joblib", "lightgbm", "xgboost", "safetensors")}
    put(out / "versions.txt", json.dumps(versions, indent=1).encode())


def boosters_native(out, X, y):
    import lightgbm
    import xgboost

    booster = xgboost.train({}, xgboost.DMatrix(X, y), 2)
    for kind in ("json", "ubj", "deprecated"):
        try:
            put(out / "xgboost" / f"model.{kind}", bytes(booster.save_raw(kind)))
        except Exception as error:
            print("left out", kind, error, file=sys.stderr)
    model = lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, y), 2)
    put(out / "lightgbm" / "model.txt", model.model_to_string().encode())


def skops_files(out, model):
    import skops.io

    put(out / "skops" / "model.skops", skops.io.dumps(model))


def torch_files(out):
    """The bytes of torch.save without torch: the same pickles, under its own names (2.x layout)."""
    import collections
    import types
    import zipfile

    def stub(path, made):
        module, name = path.rsplit(".", 1)
        made.__module__, made.__qualname__, made.__name__ = module, name, name
        setattr(sys.modules.setdefault(module, types.ModuleType(module)), name, made)
        return made

    before = dict(sys.modules)
    rebuild = stub("torch._utils._rebuild_tensor_v2", lambda *args: None)
    parameter = stub("torch._utils._rebuild_parameter", lambda *args: None)
    float_storage = stub("torch.FloatStorage", type("FloatStorage", (), {}))
    linear = stub("torch.nn.modules.linear.Linear", type("Linear", (), {}))

    class Storage:
        def __init__(self, key, array):
            self.key, self.array = key, array

    class Tensor:
        def __init__(self, storage):
            self.storage = storage

        def __reduce__(self):
            shape = self.storage.array.shape
            strides = tuple(int(np.prod(shape[i + 1:])) for i in range(len(shape)))
            return rebuild, (self.storage, 0, shape, strides, False, collections.OrderedDict())

    class Parameter(Tensor):
        def __reduce__(self):
            return parameter, (Tensor(self.storage), True, collections.OrderedDict())

    class Pickler(pickle.Pickler):
        def __init__(self, file, legacy):
            super().__init__(file, 2)
            self.legacy = legacy

        def persistent_id(self, value):
            if isinstance(value, Storage):
                view = (None,) if self.legacy else ()
                return ("storage", float_storage, value.key, "cpu", value.array.size) + view

    weight, bias = (np.ones((2, 3), "f4"), np.zeros(2, "f4"))
    storages = [Storage("0", weight), Storage("1", bias)]
    state = collections.OrderedDict(weight=Tensor(storages[0]), bias=Tensor(storages[1]))
    module = linear()
    module.__dict__.update(training=False, in_features=3, out_features=2, _buffers={}, _modules={},
                           _parameters={"weight": Parameter(storages[0]), "bias": Parameter(storages[1])})
    for name, value in (("state_dict", state), ("module", module)):
        data = io.BytesIO()
        Pickler(data, False).dump(value)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(f"{name}/data.pkl", data.getvalue())
            archive.writestr(f"{name}/.format_version", "1")
            archive.writestr(f"{name}/.storage_alignment", "64")
            archive.writestr(f"{name}/byteorder", "little")
            for storage in storages:
                archive.writestr(f"{name}/data/{storage.key}", storage.array.tobytes())
            archive.writestr(f"{name}/version", "3\n")
            archive.writestr(f"{name}/.data/serialization_id", "1" * 40)
        put(out / "torch" / f"{name}.pt", file.getvalue())
        file = io.BytesIO()
        for value_of in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True,
                                                       "type_sizes": {"short": 2, "int": 4, "long": 4}}):
            pickle.dump(value_of, file, 2)
        Pickler(file, True).dump(value)
        pickle.dump([storage.key for storage in storages], file, 2)
        for storage in storages:
            file.write(storage.array.size.to_bytes(8, "little") + storage.array.tobytes())
        put(out / "torch" / f"{name}.legacy.pth", file.getvalue())
    for name in set(sys.modules) - set(before):
        if name.startswith("torch"):
            del sys.modules[name]


def gguf_file(out):
    import gguf

    path = out / "gguf" / "tiny.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(1)
    writer.add_chat_template("{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}{% endfor %}")
    writer.add_tensor("token_embd.weight", np.ones((4, 8), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1], "--small" in sys.argv)
