"""The honest baseline: TF-IDF and logistic regression on the same data, calibrated the same way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from whereas.calibration import gold, parts
from whereas.records import Example
from whereas.taxonomy import Taxonomy

ABSENT = -12.0
"""Logit of a label that the training data never shows."""


def logits(
    train: Sequence[Example],
    test: Sequence[Example],
    taxonomy: Taxonomy,
    weight: Sequence[float] | None = None,
) -> np.ndarray:
    """Logits [N, C] of `test`; `weight` is that of each training example (1 without).

    Words and word pairs of title and text, sublinear TF, L2 norm; one multinomial regression for an
    axis of one label, one binary regression a label for a set; balanced classes, C = 10 (the best
    of 1, 3 and 10 on the development splits, see training/LOG.md).
    """
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, sublinear_tf=True, strip_accents="unicode"
    )
    x = vectorizer.fit_transform(f"{e.title}\n{e.text}" for e in train)
    z = vectorizer.transform(f"{e.title}\n{e.text}" for e in test)
    y = gold(train, taxonomy)
    result = np.full((len(test), y.shape[1]), ABSENT)
    for axis in taxonomy.axis:
        part = parts(taxonomy)[axis.name]
        if axis.kind == "one":
            model = _regression().fit(x, y[:, part].argmax(1), sample_weight=weight)
            scores = model.decision_function(z)
            if scores.ndim == 1:
                scores = np.stack([-scores, scores], 1)
            result[:, part.start + model.classes_] = scores
            continue
        for column in range(part.start, part.stop):
            if 0 < y[:, column].sum() < len(y):
                result[:, column] = (
                    _regression().fit(x, y[:, column], sample_weight=weight).decision_function(z)
                )
    return result


def _regression() -> LogisticRegression:
    return LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000)
