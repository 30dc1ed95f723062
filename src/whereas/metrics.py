"""Figures of merit and their uncertainty: numpy in, numbers out.

A figure is made in two steps: a function here turns labels and scores of N documents into a
`Statistic`, which gives the figure for any weights of the documents. Weights of 1 give the figure
itself, weights of a bootstrap draw that draw's; so a figure and its interval come from one formula.
An undefined figure is NaN among draws and `None` as a result, never 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""From weights [draws, N] of the documents to the figure in each draw [draws]."""

LEAST_CLUSTERS = 10
"""With fewer clusters a bootstrap says nothing: no draws are made."""
POWER = 2.8
"""A difference of so many standard errors is found by a two-sided test at .05 in four of five
samples (1.96 + 0.84)."""


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """`risk` [N]: share of errors among the surest `coverage` [N] (1/N … 1) of the documents.
    `aurc`: mean risk, `None` without documents."""

    coverage: Array
    risk: Array
    aurc: float | None


@dataclass(frozen=True)
class Interval:
    """A figure on all documents and its 95 % percentile interval over those draws that are not
    `undefined`; `None` where there are none. `error` is the standard deviation of the draws. `p`:
    how often draws fall on the other side of 0, two-sided (of use for differences)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    undefined: int = 0
    error: float | None = None
    p: float | None = None


# ------------------------------------------------------------------ figures


def on_all(statistic: Statistic, documents: int) -> float | None:
    """The figure of all documents, each counted once."""
    value = float(statistic(np.ones((1, documents)))[0])
    return None if np.isnan(value) else value


def f1(gold: npt.ArrayLike, predicted: npt.ArrayLike, *, micro: bool = False) -> Statistic:
    """2 tp / (2 tp + fp + fn), in [0, 1], the harmonic mean of precision and recall (van Rijsbergen
    1979, ch. 7): averaged over columns ("averaged F1" in Opitz & Burst, arXiv 1911.03347), or
    `micro`: of all columns together. Columns with nothing to find and nothing given are left out.

    Args:
        gold, predicted: [N, C] of 0 and 1.
    """
    g, p = (values.astype(bool) for values in _pair(gold, predicted))
    parts = [
        (c.sum(1, keepdims=True) if micro else c).astype(float) for c in (g & p, ~g & p, g & ~p)
    ]

    def statistic(weights: Array) -> Array:
        tp, fp, fn = (weights @ part for part in parts)
        each = _divided(2 * tp, 2 * tp + fp + fn)
        known = ~np.isnan(each)
        return _divided(np.where(known, each, 0).sum(1), known.sum(1))

    return statistic


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Statistic:
    """Sum of `part` [N] over sum of `whole` [N]; undefined where the whole is 0."""
    a, b = _pair(part, whole)
    return lambda weights: _divided(weights @ a, weights @ b)


def mean(values: npt.ArrayLike) -> Statistic:
    """Mean of `values` [N]: accuracy, where they are 0 and 1."""
    return ratio(values, np.ones(len(np.asarray(values))))


def average_precision(gold: npt.ArrayLike, scores: npt.ArrayLike) -> Statistic:
    """Sum over thresholds of (R_n - R_(n-1)) P_n, in [0, 1]; undefined without positives.

    Args:
        gold: [N] of 0 and 1.
        scores: [N], greater is likelier; equal ones enter together, in whatever order they stand.

    Steps, not trapezoids, which flatter (Davis & Goadrich 2006); scikit-learn's definition.
    """
    g, s = _pair(gold, scores)
    order = np.argsort(-s, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(s[order])), len(s) - 1)
    positive = g[order]

    def statistic(weights: Array) -> Array:
        drawn = weights[:, order]
        hits = np.cumsum(drawn * positive, 1)[:, ends]
        precision = np.nan_to_num(_divided(hits, np.cumsum(drawn, 1)[:, ends]))
        return _divided((np.diff(hits, prepend=0, axis=1) * precision).sum(1), hits[:, -1])

    return statistic


def expected_calibration_error(
    confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = 15
) -> Statistic:
    """Mean over documents of |share right - mean confidence| of their bin, in [0, 1] (Guo et al.
    2017, arXiv 1706.04599).

    Args:
        confidence: [N] probabilities.
        right: [N] of 0 and 1: whether that which the probability is of is so.
        bins: number of bins, of equal width, closed on the right (0 falls into the first).
    """
    c, r = _pair(confidence, right)
    gap = np.zeros((len(c), bins))
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], c, side="left")
    gap[np.arange(len(c)), place] = r - c
    return lambda weights: _divided(np.abs(weights @ gap).sum(1), weights.sum(1))


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


def coverage_at(confidence: npt.ArrayLike, right: npt.ArrayLike, target: float) -> Statistic:
    """The greatest share of documents, those one is surest of, of which `target` or more are right,
    in [0, 1]; 0 where there is none. Equals enter together. The confidence from which on they are
    right is chosen in hindsight, so of few documents this says more than can be kept.

    Args:
        confidence: [N], greater is surer.
        right: [N] of 0 and 1.
    """
    c, r = _pair(confidence, right)
    by_level = _by_level(c)

    def statistic(weights: Array) -> Array:
        count, hits = np.cumsum(by_level(weights), 1), np.cumsum(by_level(weights * r), 1)
        met = hits >= target * count - 1e-9
        return _divided(np.where(met, count, 0).max(1, initial=0), weights.sum(1))

    return statistic


def aurc(confidence: npt.ArrayLike, right: npt.ArrayLike) -> Statistic:
    """The area under the curve of `risk_coverage`, in [0, 1], lower is better; weights are whole
    numbers of documents.

    m equals with e errors each, after n documents with E errors, add the sum over j = 1 … m of
    (E + j e) / (n + j), which is m e + (E - n e) (H(n + m) - H(n)) with harmonic numbers H.
    """
    c, r = _pair(confidence, right)
    by_level = _by_level(c)

    def statistic(weights: Array) -> Array:
        m, errors = by_level(weights), by_level(weights * (1 - r))
        n, before = np.cumsum(m, 1) - m, np.cumsum(errors, 1) - errors
        each = np.nan_to_num(_divided(errors, m))
        most = int(weights.sum(1).max(initial=0))
        harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, most + 1)))
        span = harmonic[np.rint(n + m).astype(int)] - harmonic[np.rint(n).astype(int)]
        return _divided((errors + (before - n * each) * span).sum(1), weights.sum(1))

    return statistic


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Agreement of two annotators [N] beyond chance: (p_o - p_e) / (1 - p_e), in [-1, 1] (Cohen
    1960). `None` without documents, or when both gave one and the same label throughout."""
    n, a, b = len(first), Counter(first), Counter(second)
    agreed = sum(x == y for x, y in zip(first, second, strict=True))
    chance = sum(a[label] * b[label] for label in a)
    return (n * agreed - chance) / (n * n - chance) if n * n != chance else None


# ------------------------------------------------------------------ uncertainty


def draws_of(clusters: Sequence[Hashable], draws: int, *, seed: int) -> Array:
    """Weights [1 + draws, N]: first every document once, then bootstrap draws of whole clusters
    (Davison & Hinkley 1997, §3.8): documents of one event are not independent.

    Args:
        clusters: [N] cluster of each document. With fewer than `LEAST_CLUSTERS` no draw is made.
    """
    names = {cluster: k for k, cluster in enumerate(dict.fromkeys(clusters))}
    member = np.array([names[cluster] for cluster in clusters], int)
    once = np.ones((1, len(member)))
    if len(names) < LEAST_CLUSTERS:
        return once
    share = np.full(len(names), 1 / len(names))
    picks = np.random.default_rng(seed).multinomial(len(names), share, size=draws)
    weights: Array = np.concatenate([once, picks[:, member]]).astype(float)
    return weights


def interval(values: Array) -> Interval:
    """What a statistic gave for weights of `draws_of` [1 + draws].

    p = 2 (1 + min(draws <= 0, draws >= 0)) / (draws + 1), at most 1: one minus the level of the
    widest percentile interval without 0, never 0 itself (Davison & Hinkley 1997, §4.2). An
    undefined draw speaks for neither side and counts on both.
    """
    value = None if np.isnan(values[0]) else float(values[0])
    known = values[1:][~np.isnan(values[1:])]
    undefined = len(values) - 1 - len(known)
    if value is None or not len(known):
        return Interval(value, undefined=undefined)
    low, high = np.quantile(known, [0.025, 0.975]).tolist()
    tail = undefined + min(int((known <= 0).sum()), int((known >= 0).sum()))
    p = min(1.0, 2 * (1 + tail) / len(values))
    return Interval(value, low, high, undefined, float(known.std()), p)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """p values adjusted for their number (Holm 1979); `None` stays and does not count."""
    adjusted = list(p)
    known = sorted((value, k) for k, value in enumerate(p) if value is not None)
    worst = 0.0
    for rank, (value, k) in enumerate(known):
        worst = max(worst, min(1.0, (len(known) - rank) * value))
        adjusted[k] = worst
    return adjusted


def _pair(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Array, Array]:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
    return a, b


def _divided(part: Any, whole: Any) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = np.where(whole == 0, np.nan, np.divide(part, whole))
    return result


def _by_level(confidence: Array) -> Callable[[Array], Array]:
    """From values [draws, N] of documents to their sums over documents of one confidence
    [draws, K], greatest confidence first."""
    order = np.argsort(-confidence, kind="stable")
    starts = np.flatnonzero(np.diff(confidence[order], prepend=np.inf))
    return lambda values: np.add.reduceat(values[:, order], starts, axis=1)


def _tied(confidence: Array, right: Array) -> Array:
    """`right`, averaged over documents of equal confidence."""
    _, place, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
    means: Array = (np.bincount(place, right) / sizes)[place]
    return means
