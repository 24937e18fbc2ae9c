"""Makes crates/scan/src/allow/names.tsv: what pickles of genuine libraries may import, and how.

Nothing of a library is imported or run: its wheels (or an installed site-packages) are read as
source. Three sources, merged in this order, the first wins:

1. reviewed.tsv: names and roles that a person chose, one by one: everything that is *called* while
   a pickle loads is here, or is a compiled class.
2. Classes (role `state`: made bare without `__init__`, given state) of the packages in PACKAGES,
   unless the class, or a base of it in the same library, does something while it is given state or
   deleted: defines `__del__`, or has a `__setstate__`, `__new__`, `__reduce__`, `__getattr__`,
   `__setattr__` that touches a name in SUSPECT. Enumerations become role `class`: `Colour(2)` only
   looks a member up.
3. Functions of the modules in REFERENCES (role `reference`: kept as a value, never called).

    python tools/allowlist/generate.py WHEELS_OR_SITE_PACKAGES... > new.tsv
    mv new.tsv crates/scan/src/allow/names.tsv
    python tools/allowlist/sign.py KEY_FILE

A name that is on the published list keeps the version since which it is there; others get the next.
allow/libraries.tsv says which versions of each library were read: keep it true. The order of the output is by module and name, so that a new version of a library is a readable diff.
"""

import ast
import pathlib
import sys
import zipfile

HERE = pathlib.Path(__file__).parent
PUBLISHED = HERE.parents[1] / "crates/scan/src/allow/names.tsv"

# package -> library's name in the list. Subpackages in SKIP are left out.
PACKAGES = {
    "accelerate": "accelerate", "category_encoders": "category-encoders", "diffusers": "diffusers",
    "fairlearn": "fairlearn", "feature_engine": "feature-engine", "gensim": "gensim",
    "hdbscan": "hdbscan", "imblearn": "imbalanced-learn", "imodels": "imodels",
    "joblib": "joblib", "keras": "keras", "lifelines": "lifelines", "lightgbm": "lightgbm",
    "mapie": "mapie", "mlxtend": "mlxtend", "numpy": "numpy", "pandas": "pandas", "peft": "peft",
    "pyod": "pyod", "pytorch_tabnet": "pytorch-tabnet", "river": "river", "scipy": "scipy",
    "sentence_transformers": "sentence-transformers", "shap": "shap", "skorch": "skorch",
    "sklearn": "scikit-learn", "sktime": "sktime", "statsmodels": "statsmodels", "timm": "timm",
    "torch": "torch", "torchaudio": "torchaudio", "torchmetrics": "torchmetrics",
    "torchvision": "torchvision", "transformers": "transformers", "tslearn": "tslearn",
    "umap": "umap-learn", "xgboost": "xgboost",
}

# Subpackages that hold no parts of models, or that run what they are given.
SKIP = (
    "tests", "test", "testing", "conftest", "externals", "benchmarks", "examples", "commands",
    "cli", "_build_utils", "f2py", "distutils", "ctypeslib", "scripts",
    "joblib.memory", "joblib.parallel", "joblib.pool", "joblib.executor", "joblib._",
    "joblib.logger", "joblib.func_inspect", "joblib.test", "joblib.disk", "joblib.hashing",
    "keras.src.saving", "keras.src.utils", "keras.src.backend", "keras.src.legacy.saving",
    "keras.src.trainers", "keras.src.callbacks", "keras.src.export", "keras.src.layers.core.lambda",
    "keras.src.utils.torch_utils", "keras.src.layers.preprocessing.string_lookup",
    "keras.src.layers.preprocessing.index_lookup", "keras.src.layers.preprocessing.integer_lookup",
    "pandas.io", "pandas.plotting", "pandas.core.computation", "pandas.compat", "pandas.errors",
    "pandas.util", "pandas._testing", "numpy.lib", "numpy.ma.testutils", "numpy.testing",
    "numpy._pyinstaller", "numpy.core._internal", "numpy._core._internal",
    "scipy.io", "scipy._lib", "scipy.datasets", "scipy.misc", "scipy.weave",
    "sklearn.datasets", "sklearn.utils._testing", "sklearn.utils._mocking",
    "sklearn.utils.estimator_checks", "sklearn.utils._estimator_html_repr", "sklearn.callback",
    "statsmodels.datasets", "statsmodels.tools.docstring", "statsmodels.graphics",
    "statsmodels.sandbox", "statsmodels.stats.libqsturng",
    "torch._dynamo", "torch._inductor", "torch._export", "torch._functorch", "torch._higher",
    "torch._C", "torch._custom", "torch._library", "torch._lazy", "torch._numpy", "torch._logging",
    "torch._subclasses", "torch._prims", "torch._refs", "torch._strobelight", "torch._vendor",
    "torch._vmap", "torch._weights_only", "torch._compile", "torch._decomp", "torch._dispatch",
    "torch._guards", "torch._deploy", "torch._ops", "torch._classes", "torch._jit_internal",
    "torch._awaits", "torch._tensor_docs", "torch._namedtensor", "torch._meta", "torch._environment",
    "torch.autograd", "torch.backends", "torch.classes", "torch.compiler", "torch.contrib",
    "torch.cpu", "torch.cuda", "torch.distributed", "torch.export", "torch.func", "torch.futures",
    "torch.fx", "torch.hub", "torch.jit", "torch.library", "torch.monitor", "torch.mps", "torch.mtia",
    "torch.multiprocessing", "torch.numa", "torch.onnx", "torch.overrides", "torch.package",
    "torch.profiler", "torch.serialization", "torch.utils", "torch.xpu", "torch.accelerator",
    "torch.nested", "torch.sparse", "torch.special", "torch.masked", "torch.ao.ns",
    "torch.ao.quantization.fx", "torch.ao.quantization.pt2e", "torch.ao.quantization.backend",
    "torch.ao.quantization.experimental", "torch.ao.quantization.quantizer", "torch.ao.pruning",
    "torchgen", "torchaudio.datasets", "torchaudio.io", "torchaudio.utils", "torchaudio.backend",
    "torchaudio._", "torchaudio.pipelines", "torchaudio.models.decoder", "torchaudio.prototype",
    "torchvision.datasets", "torchvision.io", "torchvision.extension", "torchvision._",
    "torchvision.prototype",
    "timm.data", "timm.utils", "timm.scheduler", "timm.task",
    "transformers.commands", "transformers.agents", "transformers.tools", "transformers.utils",
    "transformers.integrations", "transformers.pipelines", "transformers.onnx",
    "transformers.data", "transformers.dynamic_module_utils", "transformers.trainer",
    "transformers.modeling_tf", "transformers.modeling_flax", "transformers.hf_argparser",
    "transformers.cli", "transformers.convert", "transformers.image_utils",
    "diffusers.pipelines", "diffusers.utils", "diffusers.loaders", "diffusers.training_utils",
    "diffusers.modular_pipelines", "diffusers.hooks",
    "accelerate.commands", "accelerate.utils", "accelerate.launchers", "accelerate.tracking",
    "accelerate.accelerator", "peft.utils", "peft.helpers", "peft.import_utils",
    "gensim.scripts", "gensim.downloader", "gensim.corpora", "gensim.models.wrappers",
    "gensim.summarization", "gensim.parsing", "gensim.utils", "gensim.nosy",
    "sentence_transformers.datasets", "sentence_transformers.readers",
    "sentence_transformers.evaluation", "sentence_transformers.backend",
    "river.datasets", "river.api", "river.stream", "river.checks", "river.dummy", "river.compat",
    "shap.plots", "shap.datasets", "shap.utils", "skorch.callbacks", "skorch.cli",
    "skorch.hf", "skorch.llm", "skorch.history", "torchmetrics.utilities",
    "sktime.datasets", "sktime.utils", "sktime.registry", "sktime.benchmarking", "sktime.datatypes",
    "sktime.libs", "tslearn.datasets", "lifelines.datasets", "lifelines.plotting",
    "mlxtend.data", "mlxtend.image", "mlxtend.plotting", "mlxtend.externals", "mlxtend.file_io",
    "pyod.utils.data", "pyod.utils.ad_engine", "pyod.mcp", "fairlearn.datasets", "xgboost.testing",
    "xgboost.dask", "xgboost.spark", "xgboost.tracker", "xgboost.collective",
    "xgboost.federated", "lightgbm.dask", "imodels.util.data_util", "imblearn.datasets",
    "imblearn.keras", "imblearn.tensorflow", "imblearn.utils", "hdbscan.plots",
)

# Modules whose functions are kept by models as values.
REFERENCES = {
    "sklearn.metrics": "scikit-learn", "sklearn.feature_selection": "scikit-learn",
    "sklearn.decomposition._fastica": "scikit-learn", "sklearn.neural_network._base": "scikit-learn",
    "sklearn.preprocessing._data": "scikit-learn", "sklearn.feature_extraction.text": "scikit-learn",
    "sklearn.utils.validation": None, "scipy.spatial.distance": "scipy",
    "scipy.special._basic": "scipy", "torch.nn.functional": "torch", "torch.nn.init": "torch",
    "torchvision.transforms.functional": "torchvision", "torchvision.ops.misc": "torchvision",
    "torchvision.models.resnet": "torchvision", "numpy.fft": "numpy", "numpy.linalg": "numpy",
    "statsmodels.genmod.families.links": "statsmodels", "lightgbm.callback": None,
    "keras.src.activations.activations": "keras", "keras.src.losses.losses": "keras",
    "keras.src.metrics": "keras", "transformers.activations": "transformers",
}

# Touched while state is given or an object goes: then a person must look.
SUSPECT = {
    "open", "eval", "exec", "compile", "__import__", "import_module", "system", "popen", "Popen",
    "run", "call", "check_call", "check_output", "spawn", "urlopen", "urlretrieve", "get_file",
    "load", "loads", "Unpickler", "read_pickle", "read_csv", "memmap", "CDLL", "LoadLibrary",
    "remove", "unlink", "rmtree", "rmdir", "makedirs", "mkdir", "rename", "chdir", "getattr_static",
    "subprocess", "socket", "requests", "ctypes", "pickle", "marshal", "tempfile", "importlib",
    "from_config", "load_model", "deserialize", "connect", "import_string",
    "download", "hub", "from_pretrained", "cached_file", "load_state_dict_from_url", "from_file",
}
HOOKS = {"__setstate__", "__new__", "__getattr__", "__setattr__", "__init_subclass__",
         "__setitem__", "append", "extend", "__getattribute__"}


def sources(place):
    """(dotted module, source text) of each Python file of a wheel or folder."""
    place = pathlib.Path(place)
    if place.is_dir():
        for file in sorted(place.rglob("*.py")):
            yield module_of(file.relative_to(place).as_posix()), file.read_bytes()
    else:
        with zipfile.ZipFile(place) as wheel:
            for name in sorted(wheel.namelist()):
                if name.endswith(".py"):
                    yield module_of(name), wheel.read(name)


def module_of(path):
    parts = path[: -len(".py")].split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# Of a library with hundreds of models, those that are most used; the rest can come by policy.
ONLY = {
    "transformers.models": set("""albert auto bart beit bert bert_generation big_bird biogpt blip
        blip_2 bloom camembert canine clip clipseg codegen convbert convnext convnextv2 ctrl cvt
        data2vec deberta deberta_v2 deit detr dinov2 distilbert dpt efficientnet electra encoder_decoder
        ernie esm falcon flava fnet funnel gemma gemma2 glpn gpt2 gpt_bigcode gpt_neo gpt_neox gptj
        hubert ibert layoutlm layoutlmv2 layoutlmv3 led levit lilt llama llava longformer longt5 luke
        lxmert m2m_100 mamba marian mask2former maskformer mbart megatron_bert mistral mixtral mobilebert
        mobilenet_v1 mobilenet_v2 mobilevit mpnet mpt mt5 musicgen nystromformer oneformer opt owlvit
        pegasus perceiver phi phi3 poolformer prophetnet qwen2 qwen3 reformer regnet rembert resnet
        roberta roformer rwkv sam segformer sew speech_to_text speecht5 splinter squeezebert swin swinv2
        t5 tapas time_series_transformer timesformer trocr unispeech vilt vision_encoder_decoder vit
        vit_mae vits wav2vec2 wavlm whisper xglm xlm xlm_roberta xlnet xmod yolos yoso""".split()),
}
ONLY_FILES = ("configuration_", "modeling_", "tokenization_", "activations", "training_args",
              "generation", "configuration_utils", "trainer_utils", "trainer_pt_utils")


def skipped(module):
    parts = module.split(".")
    if parts[0] == "transformers":
        if not any(part.startswith(ONLY_FILES) for part in parts):
            return True
        if parts[1] == "models" and parts[2] not in ONLY["transformers.models"]:
            return True
    if any(part in ("tests", "test", "conftest", "testing", "benchmarks", "externals", "examples",
                    "commands", "cli", "scripts", "_build_utils") for part in parts):
        return True
    return any(module == skip or module.startswith(skip if skip.endswith("_") else skip + ".")
               for skip in SKIP)


def touched(node):
    """Names and attributes that a piece of code mentions."""
    names = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            names.add(inner.id)
        elif isinstance(inner, ast.Attribute):
            is_regex = isinstance(inner.value, ast.Name) and inner.value.id in ("re", "regex")
            if not is_regex:
                names.add(inner.attr)
    return names


def base_names(node):
    for base in node.bases:
        while isinstance(base, (ast.Subscript, ast.Call)):
            base = base.value if isinstance(base, ast.Subscript) else base.func
        if isinstance(base, ast.Attribute):
            yield base.attr
        elif isinstance(base, ast.Name):
            yield base.id


def classes(tree):
    """Top-level classes, also under `if` and `try`."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node
        elif isinstance(node, (ast.If, ast.Try)):
            for inner in node.body + getattr(node, "orelse", []):
                if isinstance(inner, ast.ClassDef):
                    yield inner


DEEP = {
    "open", "eval", "exec", "compile", "__import__", "import_module", "system", "popen", "Popen",
    "check_call", "check_output", "urlopen", "urlretrieve", "get_file", "Unpickler", "read_pickle",
    "memmap", "CDLL", "LoadLibrary", "subprocess", "socket", "requests", "ctypes", "pickle", "marshal",
    "tempfile", "importlib", "download", "from_pretrained", "cached_file", "rmtree", "unlink",
}


def reaches(node, by_name, functions):
    """Whether a hook of the class gets, through methods and functions by name, to what runs or
    opens something: `rv_generic.__setstate__` of SciPy execs a text of its state two calls away."""
    methods, left, seen = {}, [node.name], set()
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        for each in by_name.get(name, []):
            for item in each.body:
                if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    methods.setdefault(item.name, []).append(item)
            left.extend(base_names(each))
    todo = [item for hook in HOOKS for item in methods.get(hook, [])]
    done = set()
    while todo:
        item = todo.pop()
        if id(item) in done:
            continue
        done.add(id(item))
        names = touched(item)
        if names & DEEP:
            return True
        for name in names:
            if not name.startswith("__"):
                todo.extend(methods.get(name, []))
                todo.extend(functions.get(name, []))
    return False


def suspicious(node):
    for item in node.body:
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if item.name == "__del__":
                return True
            if item.name in HOOKS and touched(item) & SUSPECT:
                return True
            # A constructor is not listed for state: it must not run with what the file says.
            if item.name == "__setstate__" and "__init__" in touched(item):
                return True
    return False


def main(places):
    found = {}
    for place in places:
        packages = {}
        for module, text in sources(place):
            package = module.split(".")[0]
            if package in PACKAGES:
                packages.setdefault(package, []).append((module, text))
        for package, modules in packages.items():
            read_package(package, modules, found)
    reviewed = merge_reviewed(found)
    since, version = published()
    for (module, name), (role, library) in sorted(found.items()):
        origin = "reviewed" if (module, name) in reviewed else "function" if role == "reference" else "class"
        print(module, name, role, library, since.get((module, name, role), version), origin, sep="\t")


def published():
    """Since when each name is on the list as it is published, and which version a new one is."""
    lines = [line.split("\t") for line in PUBLISHED.read_text().splitlines()]
    since = {(module, name, role): int(first) for module, name, role, _, first, _ in lines}
    return since, max(since.values()) + 1


def read_package(package, modules, found):
    library_classes, bad, bases, functions = [], set(), {}, []
    by_name, deep = {}, []
    for module, text in modules:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        if module in REFERENCES or any(module.startswith(r + ".") for r in REFERENCES):
            library = REFERENCES.get(module) or next(
                (REFERENCES[r] for r in REFERENCES if module.startswith(r + ".")), None)
            if library and not skipped(module):
                for node in tree.body:
                    if isinstance(node, ast.FunctionDef) and not (touched(node) & SUSPECT):
                        functions.append((module, node.name, library))
        own = {n.name: [n] for n in tree.body if isinstance(n, ast.FunctionDef)}
        for node in classes(tree):
            by_name.setdefault(node.name, []).append(node)
            deep.append((node, own))
            names = set(base_names(node))
            bases.setdefault(node.name, set()).update(names)
            if suspicious(node):
                bad.add(node.name)
            if not skipped(module):
                library_classes.append((module, node.name, PACKAGES[package]))
    bad.update(node.name for node, own in deep if reaches(node, by_name, own))
    # What a base does, its subclasses do: names are enough to be on the safe side.
    changed = True
    while changed:
        changed = False
        for name, its in bases.items():
            if name not in bad and its & bad:
                bad.add(name)
                changed = True
    for module, name, library in library_classes:
        if name in bad or any(b.endswith(("Warning", "Error", "Exception")) for b in bases[name]):
            continue
        kind = "class" if bases[name] & {"Enum", "IntEnum", "StrEnum", "Flag", "ExplicitEnum",
                                         "WeightsEnum", "BaseEnum"} else "state"
        found.setdefault((module, name), (kind, library))
    for module, name, library in functions:
        found.setdefault((module, name), ("reference", library))


def merge_reviewed(found):
    reviewed = set()
    for line in (HERE / "reviewed.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            module, names, role, library = line.split("\t")
            for name in names.split():
                found[(module, name)] = (role, library)
                reviewed.add((module, name))
    for line in (HERE / "refused.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            module, names = line.split("\t")[:2]
            for name in names.split():
                found.pop((module, name), None)
    return reviewed


if __name__ == "__main__":
    main(sys.argv[1:])
