"""Writes crates/scan/corpus/benign/<format>/ with the genuine libraries.

    python tests/scan/make_formats.py [FORMAT ...]      SCAN_CORPUS names another folder

Needs (pinned): gguf==0.19.0 h5py==3.16.0 lightgbm==4.7.0 onnx==1.23.2 scikit-learn==1.9.1
skops==0.16.0 xgboost-cpu==3.2.0; and for keras, h5 and tensorflow: keras==3.15.1
tensorflow-cpu==2.21.0. Each file must stay below 100 kB. The ordinary test run reads what is
committed and needs none of them.
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile

import numpy as np

CORPUS = pathlib.Path(__file__).resolve().parents[2] / "crates/scan/corpus/benign"
ROOT = pathlib.Path(os.environ.get("SCAN_CORPUS", CORPUS))
BYTES_MAX = 100_000


def folder(name):
    path = ROOT / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def onnx():
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(7)

    def tensor(name, *shape):
        return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)

    def info(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    mlp = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("MatMul", ["r", "w2"], ["z"]),
            helper.make_node("Softmax", ["z"], ["y"], axis=1),
        ],
        "mlp",
        [info("x", None, 8)],
        [info("y", None, 3)],
        [tensor("w1", 8, 16), tensor("b1", 16), tensor("w2", 16, 3)],
    )
    double = helper.make_function(
        "mine",
        "Double",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 21)],
    )
    branch = [
        helper.make_graph([helper.make_node(op, ["x"], [out])], out, [], [info(out, None, 8)])
        for op, out in [("Relu", "yes"), ("Neg", "no")]
    ]
    control = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
            helper.make_node("Greater", ["s", "zero"], ["c"]),
            helper.make_node("If", ["c"], ["i"], then_branch=branch[0], else_branch=branch[1]),
            helper.make_node("Double", ["i"], ["y"], domain="mine"),
        ],
        "control",
        [info("x", None, 8)],
        [info("y", None, 8)],
        [numpy_helper.from_array(np.float32(0), "zero")],
    )
    trees = helper.make_graph(
        [
            helper.make_node(
                "TreeEnsembleRegressor",
                ["x"],
                ["y"],
                domain="ai.onnx.ml",
                n_targets=1,
                nodes_treeids=[0, 0, 0],
                nodes_nodeids=[0, 1, 2],
                nodes_featureids=[0, 0, 0],
                nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
                nodes_values=[0.5, 0.0, 0.0],
                nodes_truenodeids=[1, 0, 0],
                nodes_falsenodeids=[2, 0, 0],
                target_treeids=[0, 0],
                target_nodeids=[1, 2],
                target_ids=[0, 0],
                target_weights=[1.0, 2.0],
            )
        ],
        "trees",
        [info("x", None, 1)],
        [info("y", None, 1)],
    )
    opsets = [helper.make_opsetid(*pair) for pair in [("", 21), ("ai.onnx.ml", 3), ("mine", 1)]]
    for name, graph, functions in [
        ("mlp", mlp, []),
        ("control", control, [double]),
        ("trees", trees, []),
    ]:
        model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)
        model.metadata_props.add(key="task", value="test")
        onnx.checker.check_model(model)
        (folder("onnx") / f"{name}.onnx").write_bytes(model.SerializeToString())


def gguf():
    import gguf

    writer = gguf.GGUFWriter(folder("gguf") / "tiny.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([b"<s>", b"</s>", b"a", b"b"])
    writer.add_token_scores([0.0, 0.0, -1.0, -2.0])
    writer.add_token_types([3, 3, 1, 1])
    writer.add_chat_template(
        "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] | trim }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    )
    rng = np.random.default_rng(7)
    writer.add_tensor("token_embd.weight", rng.standard_normal((4, 8)).astype(np.float32))
    writer.add_tensor("output.weight", rng.standard_normal((4, 8)).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def data():
    rng = np.random.default_rng(7)
    x = rng.standard_normal((200, 4))
    return x, (x[:, 0] + x[:, 1] > 0).astype(int)


def xgboost():
    import xgboost

    x, y = data()
    model = xgboost.XGBClassifier(n_estimators=4, max_depth=3).fit(x, y)
    for ending in ["json", "ubj"]:
        model.save_model(folder("xgboost") / f"classifier.{ending}")


def lightgbm():
    import lightgbm

    x, y = data()
    categories = np.random.default_rng(3).integers(0, 6, (200, 1)).astype(float)
    for name, inputs, fixed in [
        ("classifier", x, []),
        ("categorical", np.hstack([x, categories]), [4]),
    ]:
        model = lightgbm.train(
            {"objective": "binary", "verbose": -1, "num_leaves": 5, "min_data_in_leaf": 5},
            lightgbm.Dataset(inputs, y + categories[:, 0] * bool(fixed) > 2 if fixed else y, categorical_feature=fixed),
            4,
        )
        model.save_model(folder("lightgbm") / f"{name}.txt")


def skops():
    from skops.io import dump
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    x, y = data()
    dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y), folder("skops") / "pipeline.skops")
    dump(DecisionTreeClassifier(max_depth=3).fit(x, y), folder("skops") / "tree.skops")


def keras():
    import keras
    from keras import layers

    keras.utils.set_random_seed(7)
    mlp = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dropout(0.1), layers.Dense(1)]
    )
    mlp.compile("adam", "mse", metrics=["mae"])
    mlp.fit(*data(), epochs=1, verbose=0)
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(2, 3, kernel_regularizer="l2")(image)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("gelu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    side = keras.Input((3,))
    x = layers.Concatenate()([x, layers.Normalization(mean=0.0, variance=1.0)(side)])
    cnn = keras.Model([image, side], layers.Dense(2, "softmax")(x))
    cnn.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    tokens = keras.Input((5,), dtype="int32")
    x = layers.Embedding(10, 4)(tokens)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    x = layers.MultiHeadAttention(2, 2)(x, x)
    rnn = keras.Model(tokens, layers.TimeDistributed(layers.Dense(1))(x))
    for name, model in [("mlp", mlp), ("cnn", cnn), ("rnn", rnn)]:
        model.save(folder("keras") / f"{name}.keras")
        model.save(folder("h5") / f"{name}.h5")
    mlp.save_weights(folder("h5") / "mlp.weights.h5")
    (folder("keras") / "mlp.json").write_text(mlp.to_json())


def h5():
    import h5py

    # What h5py and PyTables write beside Keras: old and new groups, chunks, filters, dense links.
    for name, options in [("plain", {}), ("latest", {"libver": "latest"})]:
        with h5py.File(folder("h5") / f"{name}.h5", "w", **options) as file:
            file.attrs["title"] = "t" * 20
            file.attrs.create("many", np.arange(12.0))
            file.create_dataset("contiguous", data=np.arange(64.0))
            file.create_dataset("chunked", data=np.zeros((64, 8)), chunks=(16, 8), compression="gzip")
            file.create_dataset("text", data=["a", "bb", "ccc"], dtype=h5py.string_dtype())
            file.create_dataset("kinds", data=np.zeros(3, [("a", "i4"), ("b", "f8", (2,))]))
            group = file.create_group("deep/er")
            for n in range(20):
                group[f"d{n}"] = n
                group.attrs[f"a{n}"] = "v" * n
            file["soft"] = h5py.SoftLink("/deep/er")
            file["hard"] = file["contiguous"]


def tensorflow():
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(7)
    mlp = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(1)])
    with tempfile.TemporaryDirectory() as path:
        mlp.export(path, verbose=False)
        shutil.copytree(path, folder("tensorflow") / "exported", dirs_exist_ok=True)

    class Plain(tf.Module):
        def __init__(self):
            self.w = tf.Variable([[1.0], [2.0]])

        @tf.function(input_signature=[tf.TensorSpec([None, 2])])
        def __call__(self, x):
            return {"y": tf.nn.sigmoid(x @ self.w)}

    plain = Plain()
    tf.saved_model.save(plain, folder("tensorflow") / "module", signatures=plain.__call__)
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(plain.__call__.get_concrete_function())
    (folder("tensorflow") / "frozen.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())


MAKERS = [onnx, gguf, xgboost, lightgbm, skops, keras, h5, tensorflow]

if __name__ == "__main__":
    wanted = sys.argv[1:] or [maker.__name__ for maker in MAKERS]
    for maker in MAKERS:
        if maker.__name__ in wanted:
            maker()
    for path in ROOT.rglob("*"):
        if path.is_file() and BYTES_MAX < path.stat().st_size:
            sys.exit(f"{path} has {path.stat().st_size} bytes, limit is {BYTES_MAX}")
