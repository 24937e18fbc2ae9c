"""The model kinds of the zoo: what is trained, on which data, and how it is exported."""

import dataclasses

import numpy
import onnx
import pandas
from skl2onnx import to_onnx
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn import discriminant_analysis, ensemble, feature_selection, gaussian_process
from sklearn import linear_model, mixture, multiclass, multioutput, naive_bayes, neighbors
from sklearn import neural_network, preprocessing, svm, tree
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.random_projection import GaussianRandomProjection

_make_attribute = onnx.helper.make_attribute


def _plain_integers(key, value, *more, **named):
    """skl2onnx 1.20 hands lists of numpy integers on, which onnx 1.23 does not take."""
    if isinstance(value, numpy.ndarray) and value.dtype.kind in "iuf":
        value = value.tolist()
    if isinstance(value, list):
        value = [item.item() if isinstance(item, numpy.generic) else item for item in value]
        value = [int(item) if isinstance(item, bool) else item for item in value]
    return _make_attribute(key, value, *more, **named)


onnx.helper.make_attribute = _plain_integers

SEED = 7
OPSET = {"": 18, "ai.onnx.ml": 3}


@dataclasses.dataclass
class Size:
    """How large models and their inputs are."""

    trees: int
    depth: int
    hidden: tuple
    train: int
    rows: int


SIZES = {"small": Size(5, 3, (6,), 60, 9), "full": Size(100, 8, (64, 32), 100_000, 200)}

KINDS = {}


def kind(name):
    def add(make):
        assert name not in KINDS, name
        KINDS[name] = make
        return make

    return add


def load(loader, size, dtype=numpy.float32):
    """Rows to train on and rows to answer, in an order of their own."""
    x, y = loader(return_X_y=True)
    order = numpy.random.default_rng(SEED).permutation(len(x))
    x, y = x[order].astype(dtype), y[order]
    cut = max(len(x) - size.rows, size.rows)
    return x[: min(cut, size.train)], y[: min(cut, size.train)], x[-size.rows :]


def sklearn(name, make, loader=load_iris, dtype=numpy.float32, opset=None, options=None, y=None):
    """A kind that skl2onnx exports from one tensor `X`."""

    @kind(name)
    def _(size):
        train_x, train_y, x = load(loader, size, dtype)
        model = make(size)
        target = train_y if y is None else y(train_x, train_y)
        model.fit(train_x.astype(numpy.float64), target)
        tensor_type = DoubleTensorType if dtype == numpy.float64 else FloatTensorType
        is_classifier = hasattr(model, "classes_") and hasattr(model, "predict")
        wanted = dict(options or {})
        if is_classifier:
            wanted.setdefault("zipmap", False)
        if wanted.get("zipmap", 0) is None:  # Estimators that do not know the option.
            del wanted["zipmap"]
        wanted = {key: value for key, value in wanted.items() if value is not None}
        exported = to_onnx(
            model,
            initial_types=[("X", tensor_type([None, x.shape[1]]))],
            options={id(model): wanted} if wanted else None,
            target_opset=opset or OPSET,
        )
        return exported, {"X": x}, original(model, x.astype(numpy.float64), exported)


def original(model, x, exported):
    """The library's own answers, in the order of the exported outputs."""
    names = [output.name for output in exported.graph.output]
    answers = []
    for name in names:
        if name in ("label", "output_label", "variable", "variable1") and hasattr(model, "predict"):
            answers.append(model.predict(x))
        elif name in ("probabilities", "output_probability"):
            ask = getattr(model, "predict_proba", None) or getattr(model, "decision_function", None)
            answers.append(ask(x) if ask else None)
        elif name == "scores" and hasattr(model, "transform") and hasattr(model, "cluster_centers_"):
            answers.append(model.transform(x))
        elif name == "scores" and hasattr(model, "decision_function"):
            answers.append(model.decision_function(x))
        elif name in ("variable", "transformed") or hasattr(model, "transform"):
            dense = model.transform(x)
            answers.append(dense.toarray() if hasattr(dense, "toarray") else dense)
        else:
            answers.append(None)
    return answers


# Linear models -------------------------------------------------------------------------------
sklearn("logistic-binary", lambda s: linear_model.LogisticRegression(max_iter=5000), load_breast_cancer)
sklearn("logistic-multi", lambda s: linear_model.LogisticRegression(max_iter=5000))
sklearn("logistic-zipmap", lambda s: linear_model.LogisticRegression(max_iter=5000), options={"zipmap": True})
sklearn("logistic-columns", lambda s: linear_model.LogisticRegression(max_iter=5000), options={"zipmap": "columns"})
sklearn("logistic-strings", lambda s: linear_model.LogisticRegression(max_iter=5000), y=lambda x, y: numpy.array(["setosa", "versicolor", "virginica"])[y])
sklearn("logistic-double", lambda s: linear_model.LogisticRegression(max_iter=5000), load_wine, numpy.float64)
sklearn("logistic-ovr", lambda s: multiclass.OneVsRestClassifier(linear_model.LogisticRegression(max_iter=5000)), load_wine)
sklearn("logistic-cv", lambda s: linear_model.LogisticRegressionCV(Cs=3, max_iter=5000, cv=3, l1_ratios=(0.0,), use_legacy_attributes=False), load_iris)
sklearn("ridge-classifier", lambda s: linear_model.RidgeClassifier())
sklearn("sgd-classifier-log", lambda s: make_pipeline(preprocessing.StandardScaler(), linear_model.SGDClassifier(loss="log_loss", random_state=SEED)))
sklearn("sgd-classifier-huber", lambda s: make_pipeline(preprocessing.StandardScaler(), linear_model.SGDClassifier(loss="modified_huber", random_state=SEED)))
sklearn("perceptron", lambda s: make_pipeline(preprocessing.StandardScaler(), linear_model.Perceptron(random_state=SEED)))
sklearn("linear-svc", lambda s: make_pipeline(preprocessing.StandardScaler(), svm.LinearSVC()), options={"nocl": False, "zipmap": None})
sklearn("linear-regression", lambda s: linear_model.LinearRegression(), load_diabetes)
sklearn("linear-regression-double", lambda s: linear_model.LinearRegression(), load_diabetes, numpy.float64)
sklearn("ridge", lambda s: linear_model.Ridge(), load_diabetes)
sklearn("lasso", lambda s: linear_model.Lasso(0.1), load_diabetes)
sklearn("elastic-net", lambda s: linear_model.ElasticNet(0.01), load_diabetes)
sklearn("bayesian-ridge", lambda s: linear_model.BayesianRidge(), load_diabetes)
sklearn("huber-regressor", lambda s: linear_model.HuberRegressor(max_iter=1000), load_diabetes)
sklearn("linear-svr", lambda s: svm.LinearSVR(max_iter=5000), load_diabetes)
sklearn("multi-output-ridge", lambda s: linear_model.Ridge(), load_diabetes, y=lambda x, y: numpy.stack([y, x[:, 0], x[:, 1]], axis=1))
sklearn("poisson-regressor", lambda s: linear_model.PoissonRegressor(), load_diabetes)
sklearn("gamma-regressor", lambda s: linear_model.GammaRegressor(), load_diabetes)
sklearn("tweedie-regressor", lambda s: linear_model.TweedieRegressor(power=1.5, link="log"), load_diabetes)
sklearn("ransac", lambda s: linear_model.RANSACRegressor(random_state=SEED), load_diabetes)

# Trees ---------------------------------------------------------------------------------------
sklearn("tree-binary", lambda s: tree.DecisionTreeClassifier(max_depth=s.depth, random_state=SEED), load_breast_cancer)
sklearn("tree-multi", lambda s: tree.DecisionTreeClassifier(max_depth=s.depth, random_state=SEED))
sklearn("tree-regressor", lambda s: tree.DecisionTreeRegressor(max_depth=s.depth, random_state=SEED), load_diabetes)
sklearn("tree-multi-output", lambda s: tree.DecisionTreeRegressor(max_depth=s.depth, random_state=SEED), load_diabetes, y=lambda x, y: numpy.stack([y, x[:, 0]], axis=1))
sklearn("forest-binary", lambda s: ensemble.RandomForestClassifier(s.trees, max_depth=s.depth, random_state=SEED), load_breast_cancer)
sklearn("forest-multi", lambda s: ensemble.RandomForestClassifier(s.trees, max_depth=s.depth, random_state=SEED), load_wine)
sklearn("forest-regressor", lambda s: ensemble.RandomForestRegressor(s.trees, max_depth=s.depth, random_state=SEED), load_diabetes)
sklearn("forest-ml5", lambda s: ensemble.RandomForestClassifier(s.trees, max_depth=s.depth, random_state=SEED), load_wine, opset={"": 21, "ai.onnx.ml": 5})
sklearn("forest-double", lambda s: ensemble.RandomForestClassifier(s.trees, max_depth=s.depth, random_state=SEED), load_wine, numpy.float64)
sklearn("extra-trees", lambda s: ensemble.ExtraTreesClassifier(s.trees, max_depth=s.depth, random_state=SEED))
sklearn("extra-trees-regressor", lambda s: ensemble.ExtraTreesRegressor(s.trees, max_depth=s.depth, random_state=SEED), load_diabetes)
sklearn("gradient-boosting-binary", lambda s: ensemble.GradientBoostingClassifier(n_estimators=s.trees, max_depth=3, random_state=SEED), load_breast_cancer)
sklearn("gradient-boosting-multi", lambda s: ensemble.GradientBoostingClassifier(n_estimators=s.trees, max_depth=3, random_state=SEED))
sklearn("gradient-boosting-regressor", lambda s: ensemble.GradientBoostingRegressor(n_estimators=s.trees, max_depth=3, random_state=SEED), load_diabetes)
sklearn("hist-gradient-boosting", lambda s: ensemble.HistGradientBoostingClassifier(max_iter=s.trees, max_depth=s.depth, random_state=SEED), load_breast_cancer)
sklearn("hist-gradient-boosting-multi", lambda s: ensemble.HistGradientBoostingClassifier(max_iter=s.trees, max_depth=s.depth, random_state=SEED))
sklearn("hist-gradient-boosting-regressor", lambda s: ensemble.HistGradientBoostingRegressor(max_iter=s.trees, max_depth=s.depth, random_state=SEED), load_diabetes)
sklearn("ada-boost", lambda s: ensemble.AdaBoostClassifier(n_estimators=s.trees, random_state=SEED))
sklearn("ada-boost-regressor", lambda s: ensemble.AdaBoostRegressor(n_estimators=s.trees, random_state=SEED), load_diabetes)
sklearn("bagging", lambda s: ensemble.BaggingClassifier(n_estimators=s.trees, random_state=SEED))
sklearn("bagging-regressor", lambda s: ensemble.BaggingRegressor(n_estimators=s.trees, random_state=SEED), load_diabetes)
sklearn("isolation-forest", lambda s: ensemble.IsolationForest(n_estimators=s.trees, max_samples=32, random_state=SEED), opset={"": 18, "ai.onnx.ml": 3})

# Votes, stacks, calibration --------------------------------------------------------------------
_PAIR = lambda: [("a", linear_model.LogisticRegression(max_iter=5000)), ("b", tree.DecisionTreeClassifier(max_depth=3, random_state=SEED))]
sklearn("voting-soft", lambda s: ensemble.VotingClassifier(_PAIR(), voting="soft", flatten_transform=False))
sklearn("voting-hard", lambda s: ensemble.VotingClassifier(_PAIR(), voting="hard", flatten_transform=False))
sklearn("voting-regressor", lambda s: ensemble.VotingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3, random_state=SEED))]), load_diabetes)
sklearn("stacking", lambda s: ensemble.StackingClassifier(_PAIR(), final_estimator=linear_model.LogisticRegression(), cv=3))
sklearn("stacking-regressor", lambda s: ensemble.StackingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3, random_state=SEED))], cv=3), load_diabetes)
sklearn("calibrated-sigmoid", lambda s: CalibratedClassifierCV(linear_model.LogisticRegression(max_iter=5000), cv=3))
sklearn("calibrated-isotonic", lambda s: CalibratedClassifierCV(tree.DecisionTreeClassifier(max_depth=3, random_state=SEED), method="isotonic", cv=3), load_breast_cancer)
sklearn("one-vs-one", lambda s: multiclass.OneVsOneClassifier(linear_model.LogisticRegression(max_iter=5000)))
sklearn("classifier-chain-multi-output", lambda s: multioutput.MultiOutputRegressor(linear_model.Ridge()), load_diabetes, y=lambda x, y: numpy.stack([y, x[:, 0]], axis=1))

# Kernels and neighbours ------------------------------------------------------------------------
sklearn("svc-rbf", lambda s: svm.SVC(probability=True, random_state=SEED))
sklearn("svc-rbf-binary", lambda s: make_pipeline(preprocessing.StandardScaler(), svm.SVC(probability=True, random_state=SEED)), load_breast_cancer)
sklearn("svc-poly", lambda s: svm.SVC(kernel="poly", degree=3, probability=True, random_state=SEED))
sklearn("svc-linear", lambda s: svm.SVC(kernel="linear", probability=True, random_state=SEED))
sklearn("svc-sigmoid", lambda s: make_pipeline(preprocessing.StandardScaler(), svm.SVC(kernel="sigmoid", probability=True, random_state=SEED)))
sklearn("svc-scores", lambda s: svm.SVC(decision_function_shape="ovr"), options={"raw_scores": True})
sklearn("nu-svc", lambda s: svm.NuSVC(nu=0.2, probability=True, random_state=SEED))
sklearn("svr-rbf", lambda s: svm.SVR(), load_diabetes)
sklearn("svr-poly", lambda s: svm.SVR(kernel="poly", degree=2), load_diabetes)
sklearn("nu-svr", lambda s: svm.NuSVR(), load_diabetes)
sklearn("one-class-svm", lambda s: svm.OneClassSVM(nu=0.2))
sklearn("knn-classifier", lambda s: neighbors.KNeighborsClassifier(3), options={"optim": "cdist"})
sklearn("knn-classifier-weighted", lambda s: neighbors.KNeighborsClassifier(3, weights="distance"), options={"optim": "cdist"})
sklearn("knn-regressor", lambda s: neighbors.KNeighborsRegressor(3), load_diabetes, options={"optim": "cdist"})
sklearn("knn-regressor-scan", lambda s: neighbors.KNeighborsRegressor(3), load_diabetes)
sklearn("gaussian-process", lambda s: gaussian_process.GaussianProcessRegressor(gaussian_process.kernels.RBF(1.0), alpha=0.1), dtype=numpy.float64, options={"optim": "cdist"})

# Bayes, discriminants, mixtures, clusters --------------------------------------------------------
sklearn("gaussian-nb", lambda s: naive_bayes.GaussianNB(), load_wine)
sklearn("bernoulli-nb", lambda s: naive_bayes.BernoulliNB(binarize=2.0))
sklearn("multinomial-nb", lambda s: naive_bayes.MultinomialNB())
sklearn("complement-nb", lambda s: naive_bayes.ComplementNB())
sklearn("lda", lambda s: discriminant_analysis.LinearDiscriminantAnalysis())
sklearn("qda", lambda s: discriminant_analysis.QuadraticDiscriminantAnalysis(), load_iris)
sklearn("gaussian-mixture-full", lambda s: mixture.GaussianMixture(3, random_state=SEED))
sklearn("gaussian-mixture-diag", lambda s: mixture.GaussianMixture(3, covariance_type="diag", random_state=SEED))
sklearn("bayesian-mixture", lambda s: mixture.BayesianGaussianMixture(n_components=3, random_state=SEED, max_iter=500))
sklearn("kmeans", lambda s: KMeans(3, random_state=SEED))
sklearn("mini-batch-kmeans", lambda s: MiniBatchKMeans(3, random_state=SEED))

# Networks ----------------------------------------------------------------------------------------
sklearn("mlp-relu", lambda s: make_pipeline(preprocessing.StandardScaler(), neural_network.MLPClassifier(s.hidden, random_state=SEED, max_iter=400)))
sklearn("mlp-tanh-binary", lambda s: make_pipeline(preprocessing.StandardScaler(), neural_network.MLPClassifier(s.hidden, activation="tanh", random_state=SEED, max_iter=400)), load_breast_cancer)
sklearn("mlp-logistic", lambda s: neural_network.MLPClassifier(s.hidden, activation="logistic", random_state=SEED, max_iter=400))
sklearn("mlp-regressor", lambda s: make_pipeline(preprocessing.StandardScaler(), neural_network.MLPRegressor(hidden_layer_sizes=s.hidden, random_state=SEED, max_iter=400)), load_diabetes)

# Transformers -------------------------------------------------------------------------------------
sklearn("standard-scaler", lambda s: preprocessing.StandardScaler())
sklearn("standard-scaler-double", lambda s: preprocessing.StandardScaler(), dtype=numpy.float64)
sklearn("min-max-scaler", lambda s: preprocessing.MinMaxScaler(clip=True))
sklearn("max-abs-scaler", lambda s: preprocessing.MaxAbsScaler())
sklearn("robust-scaler", lambda s: preprocessing.RobustScaler())
sklearn("normalizer-l2", lambda s: preprocessing.Normalizer("l2"))
sklearn("normalizer-l1", lambda s: preprocessing.Normalizer("l1"))
sklearn("normalizer-max", lambda s: preprocessing.Normalizer("max"))
sklearn("binarizer", lambda s: preprocessing.Binarizer(threshold=2.0))
sklearn("polynomial-features", lambda s: preprocessing.PolynomialFeatures(2))
sklearn("kbins", lambda s: preprocessing.KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"))
sklearn("kbins-ordinal", lambda s: preprocessing.KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf"))
sklearn("power-yeo-johnson", lambda s: preprocessing.PowerTransformer())
sklearn("function-log", lambda s: make_pipeline(preprocessing.FunctionTransformer(), preprocessing.StandardScaler()))
sklearn("pca", lambda s: PCA(2))
sklearn("pca-whiten", lambda s: PCA(2, whiten=True), load_wine)
sklearn("incremental-pca", lambda s: IncrementalPCA(2))
sklearn("truncated-svd", lambda s: TruncatedSVD(2, random_state=SEED))
sklearn("random-projection", lambda s: GaussianRandomProjection(2, random_state=SEED))
sklearn("pls-regression", lambda s: PLSRegression(2), load_diabetes)
sklearn("select-k-best", lambda s: feature_selection.SelectKBest(k=2))
sklearn("variance-threshold", lambda s: feature_selection.VarianceThreshold(0.5))
sklearn("feature-union", lambda s: FeatureUnion([("a", preprocessing.StandardScaler()), ("b", PCA(2))]))
sklearn("pipeline-pca-logistic", lambda s: make_pipeline(preprocessing.StandardScaler(), PCA(3), linear_model.LogisticRegression(max_iter=5000)), load_wine)
sklearn("pipeline-opset-9", lambda s: make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression(max_iter=5000)), opset={"": 9, "ai.onnx.ml": 1})
sklearn("pipeline-opset-11", lambda s: make_pipeline(preprocessing.MinMaxScaler(), neural_network.MLPClassifier(s.hidden, random_state=SEED, max_iter=400)), opset={"": 11, "ai.onnx.ml": 1})
sklearn("pipeline-opset-22", lambda s: make_pipeline(preprocessing.MinMaxScaler(), neural_network.MLPClassifier(s.hidden, random_state=SEED, max_iter=400)), opset={"": 22, "ai.onnx.ml": 3})


# Missing values and mixed columns ------------------------------------------------------------------
def gaps(x, part=0.15):
    chance = numpy.random.default_rng(SEED)
    return numpy.where(chance.random(x.shape) < part, numpy.float32("nan"), x).astype(x.dtype)


def with_gaps(name, make, loader=load_iris):
    @kind(name)
    def _(size):
        train_x, train_y, x = load(loader, size)
        train_x, x = gaps(train_x), gaps(x)
        model = make(size).fit(train_x.astype(numpy.float64), train_y)
        exported = to_onnx(
            model,
            initial_types=[("X", FloatTensorType([None, x.shape[1]]))],
            options={id(model): {"zipmap": False}} if hasattr(model, "classes_") else None,
            target_opset=OPSET,
        )
        return exported, {"X": x}, original(model, x.astype(numpy.float64), exported)


with_gaps("imputer-mean", lambda s: SimpleImputer())
with_gaps("imputer-pipeline", lambda s: make_pipeline(SimpleImputer(strategy="median"), linear_model.LogisticRegression(max_iter=5000)))
with_gaps("forest-missing", lambda s: ensemble.RandomForestClassifier(s.trees, max_depth=s.depth, random_state=SEED))
with_gaps("hist-missing", lambda s: ensemble.HistGradientBoostingClassifier(max_iter=s.trees, max_depth=s.depth, random_state=SEED), load_wine)


def people(rows, seed):
    """A small table of numbers, whole numbers and texts."""
    chance = numpy.random.default_rng(seed)
    return pandas.DataFrame(
        {
            "age": chance.integers(18, 80, rows).astype(numpy.int64),
            "income": chance.normal(3000, 800, rows).astype(numpy.float32),
            "balance": chance.normal(0, 1, rows).astype(numpy.float32),
            "city": chance.choice(["Bern", "Lyon", "Graz", "Oslo"], rows),
            "job": chance.choice(["clerk", "cook", "nurse"], rows),
        }
    )


def column_feed(table):
    return {name: table[[name]].to_numpy() for name in table.columns}


def columns_kind(name, make, unknown=False):
    @kind(name)
    def _(size):
        train, table = people(max(60, min(size.train, 2000)), SEED), people(size.rows, SEED + 1)
        if unknown:
            table.loc[0, "city"] = "Atlantis"
        y = ((train["age"] > 45) ^ (train["city"] == "Oslo")).astype(int)
        model = make(size).fit(train, y)
        types = {"int64": Int64TensorType, "float32": FloatTensorType}
        initial = [
            (column, types.get(str(train[column].dtype), StringTensorType)([None, 1]))
            for column in train.columns
        ]
        wanted = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None
        exported = to_onnx(model, initial_types=initial, options=wanted, target_opset=OPSET)
        feed = column_feed(table)
        return exported, feed, original(model, table, exported)


def mixed(final=None, encoder=None):
    encoder = encoder or preprocessing.OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer(
        [
            ("numbers", preprocessing.StandardScaler(), ["age", "income", "balance"]),
            ("texts", encoder, ["city", "job"]),
        ]
    )
    return make_pipeline(columns, final) if final is not None else columns


columns_kind("column-transformer", lambda s: mixed(), unknown=True)
columns_kind("column-logistic", lambda s: mixed(linear_model.LogisticRegression(max_iter=5000)))
columns_kind("column-forest", lambda s: mixed(ensemble.RandomForestClassifier(s.trees, max_depth=s.depth, random_state=SEED)), unknown=True)
columns_kind("column-boosting", lambda s: mixed(ensemble.GradientBoostingClassifier(n_estimators=s.trees, random_state=SEED)))
columns_kind("column-ordinal", lambda s: mixed(encoder=preprocessing.OrdinalEncoder()))
columns_kind("column-mlp", lambda s: mixed(neural_network.MLPClassifier(s.hidden, random_state=SEED, max_iter=400)))


@kind("label-encoder")
def _(size):
    chance = numpy.random.default_rng(SEED)
    labels = chance.choice(["red", "green", "blue"], 40)
    model = preprocessing.LabelEncoder().fit(labels)
    exported = to_onnx(model, initial_types=[("X", StringTensorType([None]))], target_opset=OPSET)
    x = labels[: size.rows].astype(object)
    return exported, {"X": x}, [model.transform(x)]


@kind("one-hot-integers")
def _(size):
    chance = numpy.random.default_rng(SEED)
    x = chance.integers(0, 5, (60, 2)).astype(numpy.int64)
    model = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(x)
    exported = to_onnx(model, initial_types=[("X", Int64TensorType([None, 2]))], target_opset=OPSET)
    rows = x[: size.rows].copy()
    rows[0, 0] = 77
    return exported, {"X": rows}, [model.transform(rows)]


# LightGBM and XGBoost --------------------------------------------------------------------------------
def boosted(name, train, loader=load_breast_cancer, missing=False, target=None, n_features=None):
    @kind(name)
    def _(size):
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType as Floats

        train_x, train_y, x = load(loader, size)
        if missing:
            train_x, x = gaps(train_x), gaps(x)
        if target is not None:
            train_y = target(train_y)
        model, convert = train(size, train_x, train_y, onnxmltools)
        exported = convert(model, initial_types=[("X", Floats([None, x.shape[1]]))], target_opset=15)
        labels = model.predict(x)
        if hasattr(model, "predict_proba"):
            return exported, {"X": x}, [labels, model.predict_proba(x)]
        return exported, {"X": x}, [labels]


def _lightgbm(size, estimator, x, y, tools):
    def convert(model, initial_types, target_opset):
        return tools.convert_lightgbm(model, initial_types=initial_types, target_opset=target_opset, zipmap=False)

    return estimator.fit(x, y), convert


def lightgbm(name, make, **more):
    boosted(name, lambda size, x, y, tools: _lightgbm(size, make(size), x, y, tools), **more)


def xgboost(name, make, **more):
    boosted(name, lambda size, x, y, tools: (make(size).fit(x, y), tools.convert_xgboost), **more)


def _lgbm(kind_name, size, **more):
    import lightgbm as library

    estimator = getattr(library, kind_name)
    return estimator(n_estimators=size.trees, num_leaves=min(31, 2**size.depth), min_child_samples=5, random_state=SEED, n_jobs=1, verbose=-1, **more)


def _xgb(kind_name, size, **more):
    import xgboost as library

    return getattr(library, kind_name)(n_estimators=size.trees, max_depth=min(6, size.depth), random_state=SEED, n_jobs=1, **more)


lightgbm("lightgbm-binary", lambda s: _lgbm("LGBMClassifier", s))
lightgbm("lightgbm-binary-missing", lambda s: _lgbm("LGBMClassifier", s), missing=True)
lightgbm("lightgbm-multi", lambda s: _lgbm("LGBMClassifier", s), loader=load_iris)
lightgbm("lightgbm-regressor", lambda s: _lgbm("LGBMRegressor", s), loader=load_diabetes)
lightgbm("lightgbm-poisson", lambda s: _lgbm("LGBMRegressor", s, objective="poisson"), loader=load_diabetes)
lightgbm("lightgbm-rf", lambda s: _lgbm("LGBMClassifier", s, boosting_type="rf", bagging_freq=1, bagging_fraction=0.7))
lightgbm("lightgbm-dart", lambda s: _lgbm("LGBMClassifier", s, boosting_type="dart"))
xgboost("xgboost-binary", lambda s: _xgb("XGBClassifier", s))
xgboost("xgboost-binary-missing", lambda s: _xgb("XGBClassifier", s), missing=True)
xgboost("xgboost-multi", lambda s: _xgb("XGBClassifier", s), loader=load_iris)
xgboost("xgboost-regressor", lambda s: _xgb("XGBRegressor", s), loader=load_diabetes)
xgboost("xgboost-forest", lambda s: _xgb("XGBRFClassifier", s))
xgboost("xgboost-poisson", lambda s: _xgb("XGBRegressor", s, objective="count:poisson"), loader=load_diabetes)
xgboost("xgboost-base-score", lambda s: _xgb("XGBRegressor", s, base_score=100.0), loader=load_diabetes)
