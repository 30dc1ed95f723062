"""Figures of merit: numpy in, numbers out. An undefined one is `None`, never 0 or NaN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Clusters = Sequence[Hashable]
Values = list[float | None]
Statistic = Callable[[Rows], float | None]
"""The figure of the documents at these rows (with repeats), `None` if undefined."""
Labelling = Sequence[str | Collection[str]]
"""[N]: for each document its label, or its set of labels."""


class Counts(NamedTuple):
    """Labels rightly given, wrongly given and missed: [C] each."""

    tp: Rows
    fp: Rows
    fn: Rows


@dataclass(frozen=True)
class LabelScore:
    """In [0, 1], `None` where undefined; `support` is the number of gold documents."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class MacroF1:
    """`value`: mean F1 of the labels not in `left_out`, `None` if none remain. `labels`: all."""

    value: float | None
    labels: dict[str, LabelScore]
    left_out: list[str]


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """`risk` [N]: share of errors among the surest `coverage` [N] (1/N … 1) of the documents.
    `aurc`: mean risk, `None` without documents."""

    coverage: Array
    risk: Array
    aurc: float | None


@dataclass(frozen=True)
class Interval:
    """A figure on all documents, and its 95 % percentile interval over those of `draws` resamples
    that are not `undefined` (`None` if all are). `p`: of a paired test."""

    value: float | None
    low: float | None
    high: float | None
    draws: int
    undefined: int
    p: float | None = None


def counts(gold: npt.ArrayLike, predicted: npt.ArrayLike) -> Counts:
    """True positives, false positives and false negatives of each column.

    Args:
        gold, predicted: [N, C] of 0 and 1.
    """
    g, p = (values.astype(bool) for values in _pair(gold, predicted))
    return Counts((g & p).sum(0), (~g & p).sum(0), (g & ~p).sum(0))


def f1(tp: int, fp: int, fn: int) -> float | None:
    """2 tp / (2 tp + fp + fn), in [0, 1]; `None` when there is nothing to find and nothing was
    given. The harmonic mean of precision and recall (van Rijsbergen 1979, ch. 7)."""
    return _ratio(2 * tp, 2 * tp + fp + fn)


def macro_f1(
    gold_labels: Labelling, predicted_labels: Labelling, labels: Sequence[str], *, at_least: int = 8
) -> MacroF1:
    """Unweighted mean over labels of their F1 ("averaged F1" in Opitz & Burst, arXiv 1911.03347).

    Args:
        labels: the labels to score; any other counts only as being none of these.
        at_least: labels with fewer gold documents (or an undefined F1) are left out of the mean.
    """
    scores = {}
    for label in labels:
        gold, predicted = (
            [label in ([v] if isinstance(v, str) else v) for v in values]
            for values in (gold_labels, predicted_labels)
        )
        tp, fp, fn = (int(n) for n in counts(gold, predicted))
        precision, recall = _ratio(tp, tp + fp), _ratio(tp, tp + fn)
        scores[label] = LabelScore(precision, recall, f1(tp, fp, fn), tp + fn)
    kept = {k: s.f1 for k, s in scores.items() if s.support >= at_least and s.f1 is not None}
    value = sum(kept.values()) / len(kept) if kept else None
    return MacroF1(value, scores, [label for label in scores if label not in kept])


def average_precision(gold: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
    """Sum over thresholds of (R_n - R_(n-1)) P_n, in [0, 1]; `None` without positives.

    Args:
        gold: [N] of 0 and 1.
        scores: [N], greater is likelier; equal ones enter together, in whatever order they stand.

    Steps, not trapezoids, which flatter (Davis & Goadrich 2006); scikit-learn's definition.
    """
    g, s = _pair(gold, scores)
    if not g.any():
        return None
    order = np.argsort(-s, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(s[order])), len(s) - 1)
    hits = np.cumsum(g[order])[ends]
    return float((np.diff(hits, prepend=0) / g.sum() * hits / (ends + 1)).sum())


def expected_calibration_error(
    confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = 15, *, adaptive: bool = False
) -> float | None:
    """Mean over documents of |share right - mean confidence| of their bin, in [0, 1].

    Args:
        confidence: [N] probabilities.
        right: [N] of 0 and 1: whether that which the probability is of is so.
        bins: number of bins, of equal width, closed on the right (0 falls into the first).
        adaptive: bins of equal numbers of documents (± 1) instead, for confidences that crowd near
            1; those of equal confidence count with their mean `right`, whatever their order.

    `None` without documents. Guo et al. 2017, arXiv 1706.04599; Nixon et al. 2019, 1904.01685.
    """
    c, r = _pair(confidence, right)
    if not len(c):
        return None
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], c, side="left")
    if adaptive:
        order = np.argsort(c, kind="stable")
        c, r = c[order], _tied(c, r)[order]
        place = np.arange(len(c)) * bins // len(c)
    return float(np.abs(np.bincount(place, r - c)).sum() / len(c))


def brier(probabilities: npt.ArrayLike, gold: npt.ArrayLike) -> float | None:
    """Mean squared error of probabilities (Brier 1950); `None` without documents.

    Args:
        probabilities, gold: [N] for one question, result in [0, 1]; or [N, C] for one label of C,
            gold one-hot, summed over columns, result in [0, 2].
    """
    p, g = _pair(probabilities, gold)
    return float(((p - g) ** 2).sum() / len(p)) if len(p) else None


def risk_coverage(confidence: npt.ArrayLike, right: npt.ArrayLike) -> RiskCoverage:
    """How wrong one is on the documents one is surest of, and the area under that curve (AURC).

    Args:
        confidence: [N], greater is surer. Among equals: the curve expected over random orders.
        right: [N] of 0 and 1.

    AURC is in [0, 1], lower is better (Geifman, Uziel & El-Yaniv 2019, arXiv 1805.08206).
    """
    c, r = _pair(confidence, right)
    coverage = np.arange(1, len(c) + 1) / max(len(c), 1)
    risk = np.cumsum(1 - _tied(c, r)[np.argsort(-c)]) / (coverage * len(c))
    return RiskCoverage(coverage, risk, float(risk.mean()) if len(c) else None)


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Agreement of two annotators [N] beyond chance: (p_o - p_e) / (1 - p_e), in [-1, 1] (Cohen
    1960). `None` without documents, or when both gave one and the same label throughout."""
    n, a, b = len(first), Counter(first), Counter(second)
    agreed = sum(x == y for x, y in zip(first, second, strict=True))
    chance = sum(a[label] * b[label] for label in a)
    return _ratio(n * agreed - chance, n * n - chance)


def bootstrap(statistic: Statistic, clusters: Clusters, *, draws: int, seed: int) -> Interval:
    """A percentile interval from resampled clusters (Davison & Hinkley 1997, §3.8 and §5.3).

    Args:
        clusters: [N] cluster (event) of each document: documents of one event are not independent.
            A draw takes as many clusters as there are, with replacement, each with all its rows.
        draws: number of resamples; the same for the same `seed`.
    """
    return _interval(_resample(statistic, clusters, draws, seed))


def paired_bootstrap(
    statistic_a_minus_b: Statistic, clusters: Clusters, *, draws: int, seed: int
) -> Interval:
    """Whether A is better than B on the same documents; arguments as `bootstrap`.

    p = 2 (1 + min(draws <= 0, draws >= 0)) / (draws + 1), at most 1: one minus the level of the
    widest percentile interval without 0, never 0 itself (Davison & Hinkley 1997, §4.2). An
    undefined draw speaks for neither system and counts on both sides.
    """
    values = _resample(statistic_a_minus_b, clusters, draws, seed)
    low, high = (sum(v is None or sign * v >= 0 for v in values[1:]) for sign in (-1, 1))
    return _interval(values, min(1.0, 2 * (1 + min(low, high)) / (draws + 1)))


def _resample(statistic: Statistic, clusters: Clusters, draws: int, seed: int) -> Values:
    """The statistic of all rows, then of each draw."""
    members: dict[Hashable, list[int]] = {}
    for row, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(row)
    groups = [np.array(rows) for rows in members.values()] or [np.zeros(0, np.int64)]
    picks = np.random.default_rng(seed).integers(len(groups), size=(draws, len(groups)))
    samples = (np.concatenate([groups[k] for k in pick]) for pick in picks)
    return [statistic(np.arange(len(clusters))), *(statistic(rows) for rows in samples)]


def _interval(values: Values, p: float | None = None) -> Interval:
    known = [v for v in values[1:] if v is not None]
    low, high = np.quantile(known, [0.025, 0.975]).tolist() if known else (None, None)
    return Interval(values[0], low, high, len(values) - 1, len(values) - 1 - len(known), p)


def _pair(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Array, Array]:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
    return a, b


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _tied(confidence: Array, right: Array) -> Array:
    """`right`, averaged over documents of equal confidence."""
    _, place, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
    means: Array = (np.bincount(place, right) / sizes)[place]
    return means
