"""Scores that mean what they say: temperature, Platt scaling, thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from whereas.records import Example
from whereas.taxonomy import Axis, Taxonomy

Array = npt.NDArray[np.float64]

PRIOR_STRENGTH = 1.5
"""Pull of a label's Platt line towards the identity, times documents over positives (or negatives,
if fewer): a label seen five times among hundreds of documents must not get a slope of its own."""

REVIEW_TARGET = 0.95
"""Share of right primary labels among documents that are not marked for review."""

LEVELS = (0.8, 0.9, 0.95)
"""Shares of documents whose label set holds the right label, that sets are calibrated for."""
LEAST_DOCUMENTS = 200
"""Below this no sets are calibrated: the share that sets of 90 % reach in truth varies from one
draw of n documents to the next with a standard deviation of .3 / sqrt(n), here .02."""

LEAST_PRECISION = 1 / 3
"""A label that is wrong more than twice as often as right at every threshold is not given; labels
with too few positives for a threshold of their own stand or fall together."""
WITHHELD = 1.01
"""The threshold of such a label: no probability reaches it."""

GRID = np.round(np.arange(0.10, 0.705, 0.01), 2)
"""Thresholds tried. A label whose best threshold lies outside is miscalibrated, not decisive."""


class Platt(msgspec.Struct, frozen=True):
    """p = sigmoid(slope * logit + offset), one pair a label."""

    slope: list[float]
    offset: list[float]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """From logits to decisions, by axis: `temperature` of axes of one label, `platt` and
    `thresholds` of sets. `review_below` is the probability of the primary label under which a
    person should look. `sets`, of axes of one label: the least probability of a label in the label
    set of each of the `LEVELS` ("0.9"), as `conformal` found it; empty where documents were few."""

    temperature: dict[str, float]
    platt: dict[str, Platt]
    thresholds: dict[str, list[float]]
    review_below: float
    sets: dict[str, dict[str, float]] = {}


def columns(taxonomy: Taxonomy) -> list[tuple[str, str]]:
    """(axis, label) of each of the C columns of the heads, in order."""
    return [(axis.name, label) for axis in taxonomy.axis for label in axis.names]


def gold(examples: Sequence[Example], taxonomy: Taxonomy) -> Array:
    """[N, C] of 0 and 1; NaN in the columns of axes that an example does not have."""
    result = np.full((len(examples), len(columns(taxonomy))), np.nan)
    for axis in taxonomy.axis:
        part = parts(taxonomy)[axis.name]
        for row, example in enumerate(examples):
            if axis.name in example.labels:
                given = example.many(axis.name)
                result[row, part] = [name in given for name in axis.names]
    return result


def known(gold: Array) -> npt.NDArray[np.bool_]:
    """Which rows [N] say anything, of the `gold` [N, C] of one axis."""
    result: npt.NDArray[np.bool_] = ~np.isnan(gold[:, 0])
    return result


def parts(taxonomy: Taxonomy) -> dict[str, slice]:
    """The columns of each axis."""
    result = {}
    at = 0
    for axis in taxonomy.axis:
        result[axis.name] = slice(at, at + len(axis.labels))
        at += len(axis.labels)
    return result


def identity(taxonomy: Taxonomy) -> Calibration:
    """No calibration: plain softmax and sigmoid, thresholds of 0.5, nothing for review."""
    many = [axis for axis in taxonomy.axis if axis.kind == "many"]
    return Calibration(
        temperature={axis.name: 1.0 for axis in taxonomy.axis if axis.kind == "one"},
        platt={a.name: Platt([1.0] * len(a.labels), [0.0] * len(a.labels)) for a in many},
        thresholds={a.name: [0.5] * len(a.labels) for a in many},
        review_below=0.0,
    )


def calibrate(taxonomy: Taxonomy, logits: Array, gold: Array) -> Calibration:
    """Calibration of every axis on those development documents that have it; without any it is
    `identity`.

    Args:
        logits: [N, C].
        gold: [N, C] of 0 and 1, NaN where an axis is unknown.
    """
    logits = logits.astype(np.float64)
    temperature, platt, thresholds = {}, {}, {}
    sets: dict[str, dict[str, float]] = {}
    for axis in taxonomy.axis:
        part = parts(taxonomy)[axis.name]
        rows = known(gold[:, part])
        x, y = logits[rows, part], gold[rows, part]
        if axis.kind == "one":
            right = y.argmax(1)
            temperature[axis.name] = fit_temperature(x, right) if len(y) else 1.0
            if len(y) >= LEAST_DOCUMENTS:
                p = softmax(x / temperature[axis.name])[np.arange(len(y)), right]
                sets[axis.name] = {f"{level:g}": conformal(p, level) for level in LEVELS}
        else:
            platt[axis.name] = fit_platt(x, y)
            thresholds[axis.name] = fit_thresholds(apply_platt(x, platt[axis.name]), y)
    part = parts(taxonomy)[taxonomy.primary.name]
    confidence = softmax(logits[:, part] / temperature[taxonomy.primary.name])
    hits = confidence.argmax(1) == gold[:, part].argmax(1)
    return Calibration(
        temperature=temperature,
        platt=platt,
        thresholds=thresholds,
        review_below=fit_review(confidence.max(1), hits, target=REVIEW_TARGET),
        sets=sets,
    )


def probabilities(taxonomy: Taxonomy, logits: Any, calibration: Calibration) -> dict[str, Array]:
    """Calibrated probabilities of each axis, [N, labels of the axis], from logits [N, C]."""
    result = {}
    for axis in taxonomy.axis:
        part = np.asarray(logits[:, parts(taxonomy)[axis.name]], np.float64)
        if axis.kind == "one":
            result[axis.name] = softmax(part / calibration.temperature[axis.name])
        else:
            result[axis.name] = apply_platt(part, calibration.platt[axis.name])
    return result


def label_set(scores: Mapping[str, float], given: str, least: float) -> list[str]:
    """The labels of an axis of one label that cannot be ruled out: the one given, then those with a
    probability of `least` or more, best first. Never empty."""
    likely = [n for n in sorted(scores, key=lambda n: -scores[n]) if scores[n] >= least]
    return list(dict.fromkeys([given, *likely]))


def choose(
    taxonomy: Taxonomy, scores: dict[str, Any], thresholds: dict[str, list[float]]
) -> dict[str, list[str]]:
    """Labels of each axis from the calibrated scores [labels of the axis] of one document.

    Axes of one label take the best. Sets take what reaches its threshold, best first, at most
    `max`, never the primary's own label again, and no background ground that is also a ground. An
    irrelevant document has empty sets in the news layer, and on other axes of one label the one
    that the taxonomy gives for it.
    """
    primary = taxonomy.primary
    chosen: dict[str, list[str]] = {
        primary.name: [primary.names[int(np.argmax(scores[primary.name]))]]
    }
    irrelevant = chosen[primary.name] == [taxonomy.irrelevant.label]
    for axis in taxonomy.axis:
        if axis.name == primary.name:
            continue
        if axis.kind == "one":
            chosen[axis.name] = [_single(axis, scores[axis.name], irrelevant)]
            continue
        taken = set(chosen[primary.name])
        if axis.layer == "background" and axis.labels_of:
            taken |= set(chosen.get(axis.labels_of, []))
        pairs = zip(axis.names, scores[axis.name], thresholds[axis.name], strict=True)
        found = sorted(((s, n) for n, s, t in pairs if s >= t and n not in taken), reverse=True)
        empty = irrelevant and axis.layer == "news"
        chosen[axis.name] = [] if empty else [n for _, n in found][: axis.max]
    return chosen


def _single(axis: Axis, scores: Any, irrelevant: bool) -> str:
    if irrelevant and axis.irrelevant is not None:
        return axis.irrelevant
    return axis.names[int(np.argmax(scores))]


def softmax(logits: Array) -> Array:
    """Along the last axis."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    result: Array = shifted / shifted.sum(-1, keepdims=True)
    return result


def sigmoid(logits: Array) -> Array:
    result: Array = 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))
    return result


def fit_temperature(logits: Array, gold: npt.NDArray[np.int64]) -> float:
    """The temperature T in [0.25, 4] that minimises the log loss of softmax(logits / T).

    Args:
        logits: [N, C].
        gold: [N] column of the right label.

    Source: Guo et al. 2017, arXiv 1706.04599.
    """
    grid = np.exp(np.linspace(np.log(0.25), np.log(4), 241))
    rows = np.arange(len(gold))
    losses = [-np.log(softmax(logits / t)[rows, gold] + 1e-12).mean() for t in grid]
    return float(grid[int(np.argmin(losses))])


def fit_platt(logits: Array, gold: Array) -> Platt:
    """A Platt line for each column, pulled towards the identity where positives are few.

    Args:
        logits: [N, C].
        gold: [N, C] of 0 and 1.

    Newton's method on the log loss plus strength / 2 * ((slope - 1)² + offset²), where strength is
    that of `prior`. Source: Platt 1999; Lin, Lin, Weng 2007 for the numerics.
    """
    slopes, offsets = [], []
    for column in range(logits.shape[1]):
        x, y = logits[:, column], gold[:, column]
        theta = np.array([1.0, 0.0])
        features = np.stack([x, np.ones_like(x)], 1)
        strength = prior(y)
        for _ in range(50):
            p = sigmoid(features @ theta)
            gradient = features.T @ (p - y) + strength * (theta - [1.0, 0.0])
            curvature = (features * (p * (1 - p))[:, None]).T @ features
            step = np.linalg.solve(curvature + strength * np.eye(2), gradient)
            theta = theta - np.clip(step, -1, 1)
            if np.abs(step).max() < 1e-8:
                break
        slopes.append(float(max(theta[0], 0.05)))  # the order of scores is never turned round
        offsets.append(float(theta[1]))
    return Platt(slopes, offsets)


def prior(gold: Array) -> float:
    """Strength of the pull towards the identity for one label's `gold` [N]."""
    rarer = min(gold.sum(), len(gold) - gold.sum())
    return PRIOR_STRENGTH * max(len(gold), 1) / max(float(rarer), 1.0)


def apply_platt(logits: Array, platt: Platt) -> Array:
    """Calibrated probabilities [N, C]."""
    return sigmoid(logits * np.array(platt.slope) + np.array(platt.offset))


def fit_thresholds(scores: Array, gold: Array, *, enough: int = 15) -> list[float]:
    """The threshold of each column with the best F1, of all together where positives < `enough`.

    Args:
        scores: [N, C] calibrated probabilities.
        gold: [N, C] of 0 and 1.

    F1 is averaged over neighbouring thresholds (five wide) before the best is taken: a peak one
    document wide is luck. Only thresholds with a precision of `LEAST_PRECISION` count; where there
    is none the label is `WITHHELD`.
    """
    pooled = _best(scores.ravel(), gold.ravel())
    return [
        _best(scores[:, c], gold[:, c]) if gold[:, c].sum() >= enough else pooled
        for c in range(scores.shape[1])
    ]


def _best(scores: Array, gold: Array) -> float:
    if not gold.any():
        return 0.5
    values, precise = [], []
    for threshold in GRID:
        chosen = scores >= threshold
        hits = float((chosen * gold).sum())
        values.append(2 * hits / max(float(chosen.sum() + gold.sum()), 1))
        precise.append(hits > 0 and hits >= LEAST_PRECISION * float(chosen.sum()))
    if not any(precise):
        return WITHHELD
    smooth = np.convolve(np.pad(values, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    smooth[~np.array(precise)] = -1
    best = np.flatnonzero(smooth >= smooth.max() - 1e-12)
    return float(GRID[best[len(best) // 2]])


def fit_review(confidence: Array, right: Array, *, target: float) -> float:
    """The lowest confidence at and above which a share of at least `target` is right.

    Args:
        confidence: [N] calibrated probability of the chosen label.
        right: [N] of 0 and 1.

    Returns:
        A threshold in [0, 1]; 1 where the target cannot be met.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]
    met = np.flatnonzero((share >= target) & last_of_tie)
    return float(ranked[met[-1]]) if len(met) else 1.0


def conformal(probability: Array, level: float) -> float:
    """The least probability of a label in a set that holds the right label at `level`.

    Split conformal prediction with the score 1 - p (LAC): the ceil((n + 1) level)-th smallest score
    of n calibration documents (Sadinle, Lei & Wasserman 2019, arXiv 1609.00451; Angelopoulos &
    Bates 2021, arXiv 2107.07511, §1). A new document that is exchangeable with these has its right
    label in the set with a probability of at least `level`, over both (marginally: on average over
    documents, not for each kind of them). Temperature, which is fitted on the same documents, has
    one free value an axis and is taken for given.

    Args:
        probability: [N] that of the right label.

    Returns:
        A probability in [0, 1], rounded down to four digits, as verdicts give theirs; 0 where
        documents are too few for the level.
    """
    rank = math.ceil((len(probability) + 1) * level - 1e-9)
    if rank > len(probability):
        return 0.0
    return math.floor(float(np.sort(probability)[-rank]) * 10_000) / 10_000
