"""The trainer of `whereas.words`, and the honest baseline that they are by themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from whereas.calibration import gold, known, parts
from whereas.errors import WhereasError
from whereas.records import Example
from whereas.taxonomy import Taxonomy
from whereas.words import Words

FEATURES = 20_000
"""Terms kept, the most frequent first. On the development data the action is right in .799 of
documents with them and in .786 with all, and the file is a sixth."""
ABSENT = -12.0
"""Logit of a label that the training data never shows; 12 is that of one that all of it shows."""


def fit(
    examples: Sequence[Example],
    taxonomy: Taxonomy,
    weight: Sequence[float] | None = None,
    *,
    features: int = FEATURES,
) -> Words:
    """Words and word pairs fitted to labels; `weight` is that of each example (1 without).

    TF-IDF of title and text, sublinear, L2 norm; one multinomial regression for an axis of one
    label, one binary regression a label for a set; balanced classes, C = 10 (the best of 1, 3 and
    10 on the development splits, see training/LOG.md). An axis is learned from those examples that
    have it.

    Raises:
        WhereasError: no two examples share a word.
    """
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=2,
        max_features=features,
        sublinear_tf=True,
        strip_accents="unicode",
    )
    try:
        x = vectorizer.fit_transform(f"{e.title}\n{e.text}" for e in examples)
    except ValueError as error:  # empty vocabulary
        raise WhereasError(
            f"no words can be learned from {len(examples)} documents: {error}",
            "Train on more documents, or leave [words] out of the recipe",
        ) from error
    y = gold(examples, taxonomy)
    weights = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    coefficients = np.zeros((x.shape[1], y.shape[1]))
    bias = np.full(y.shape[1], ABSENT)
    for axis in taxonomy.axis:
        part = parts(taxonomy)[axis.name]
        asked = np.flatnonzero(known(y[:, part]))
        taught = y[asked, part]
        often = taught.mean(0) if len(asked) else np.zeros(len(axis.names))
        bias[part][often == 1] = -ABSENT
        if axis.kind == "one":
            targets = [(np.flatnonzero(often), taught.argmax(1))] if often.max() < 1 else []
        else:
            targets = [(np.array([k]), taught[:, k]) for k in np.flatnonzero(often % 1)]
        for labels, target in targets if len(asked) else []:
            model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000)
            model.fit(x[asked], target, sample_weight=weights[asked])
            slopes, offsets = model.coef_, model.intercept_
            if len(labels) > len(slopes):  # of two, the first's are the second's, negated
                slopes, offsets = np.r_[-slopes, slopes], np.r_[-offsets, offsets]
            coefficients[:, part.start + labels], bias[part.start + labels] = slopes.T, offsets
    return Words(
        vectorizer.get_feature_names_out().tolist(),
        vectorizer.idf_.astype(np.float32),
        coefficients.astype(np.float16),
        bias.astype(np.float32),
    )


def logits(
    train: Sequence[Example],
    test: Sequence[Example],
    taxonomy: Taxonomy,
    weight: Sequence[float] | None = None,
) -> np.ndarray:
    """The baseline's logits [N, C] of `test`."""
    words = fit(train, taxonomy, weight)
    return np.stack([words.logits(e.title, e.text) for e in test]).astype(np.float64)
