"""The model itself: a gradient-boosted classifier, trained when it is loaded.

Owns: training and scoring. Its data is made by scikit-learn, so nothing is downloaded and no
weights lie in the repository; on one core it takes about a second.
Does not: know HTTP, logs or traces.
"""

import time

import numpy as np
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from transactions import NUMERIC

NAME = "fraud_detector"
VERSION = "v2.3.1"
LABELS = ("legitimate", "fraud")


class FraudModel:
    """Trained on transactions whose numbers have the means and deviations of `NUMERIC`."""

    def __init__(self) -> None:
        started = time.perf_counter()
        standard, is_fraud = make_classification(
            n_samples=4000, n_features=len(NUMERIC), n_informative=10, n_redundant=4,
            weights=[0.85], class_sep=1.2, random_state=7,
        )
        means = np.array([mean for mean, _, _ in NUMERIC.values()])
        deviations = np.array([deviation for _, deviation, _ in NUMERIC.values()])
        # The generator's columns have deviations of their own; bring them to one first.
        rows = np.abs(means + deviations * standard / standard.std(axis=0))
        train, test, y_train, y_test = train_test_split(rows, is_fraud, test_size=0.25, random_state=7)
        self.classifier = GradientBoostingClassifier(n_estimators=60, random_state=7)
        self.classifier.fit(train, y_train)
        self.auc = float(roc_auc_score(y_test, self.classifier.predict_proba(test)[:, 1]))
        self.load_time_ms = (time.perf_counter() - started) * 1000

    def preprocess(self, features: dict) -> np.ndarray:
        """One row in training order. A value that is no number raises, and that is wanted here:
        the traceback then carries it, personal data and all, as tracebacks in the field do."""
        return np.array([[float(features[name]) for name in NUMERIC]])

    def score(self, row: np.ndarray) -> float:
        """The probability of fraud."""
        return float(self.classifier.predict_proba(row)[0, 1])
