"""The model itself: a gradient-boosted classifier, trained when it is loaded.

Owns: training and scoring. Its data are the 569 biopsies of the Wisconsin breast cancer data set,
which ships inside scikit-learn (UCI, CC BY 4.0), so nothing is downloaded and no weights lie in the
repository; on one core it takes about a second.
Does not: know HTTP, logs or traces.
"""

import time

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from patients import NUMERIC

NAME = "tumor_classifier"
VERSION = "v2.3.1"
LABELS = ("benign", "malignant")


class TumorModel:
    """Trained on the columns that `NUMERIC` names, in that order."""

    def __init__(self) -> None:
        started = time.perf_counter()
        data = load_breast_cancer()
        columns = [column_name(name) for name in data.feature_names]
        if columns != list(NUMERIC):
            raise SystemExit(f"tumor_model.py: scikit-learn's columns are {columns}, those of patients.py are not")
        is_malignant = data.target == list(data.target_names).index("malignant")
        train, test, y_train, y_test = train_test_split(data.data, is_malignant, test_size=0.25, random_state=7)
        self.classifier = GradientBoostingClassifier(n_estimators=60, random_state=7)
        self.classifier.fit(train, y_train)
        self.auc = float(roc_auc_score(y_test, self.classifier.predict_proba(test)[:, 1]))
        self.load_time_ms = (time.perf_counter() - started) * 1000

    def preprocess(self, features: dict) -> np.ndarray:
        """One row in training order. A value that is no number raises, and that is wanted here:
        the traceback then carries it, personal data and all, as tracebacks in the field do."""
        return np.array([[float(features[name]) for name in NUMERIC]])

    def score(self, row: np.ndarray) -> float:
        """The probability that it is malignant."""
        return float(self.classifier.predict_proba(row)[0, 1])


def column_name(name: str) -> str:
    """`mean concave points` is `mean_concave_points`, `radius error` is `error_radius`."""
    words = name.split()
    if words[-1] == "error":
        words = ["error", *words[:-1]]
    return "_".join(words)
