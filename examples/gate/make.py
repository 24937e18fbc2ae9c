"""Makes the two files of the demo's act about the model gate, with the genuine libraries.

    python examples/gate/make.py

Needs Python 3.11, scikit-learn==1.9.1, joblib==1.6.0, numpy==2.4.6. Loading `credit-model.pkl`
would run a harmless `echo`; nothing here loads it.
"""

import pathlib
import pickle

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = pathlib.Path(__file__).parent


class CreditModel:
    """What an attacker publishes: it looks like a model until somebody loads it."""

    def __reduce__(self):
        import os

        return os.system, ("echo this could have been anything",)


def main():
    rows, answers = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, answers)
    joblib.dump(model, HERE / "cancer.joblib")
    (HERE / "credit-model.pkl").write_bytes(pickle.dumps(CreditModel(), 4))


main()
