"""Figures agree with scikit-learn where it has them, and with worked examples where it has not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whereas import metrics

CLOSE = 1e-9
LABELS = ("listing", "ruling", "fine", "none")
CLASSES = st.sampled_from(LABELS)
TIED = st.sampled_from([0.0, 0.1, 0.3, 0.35, 0.7, 1.0])  # few values, so that many are equal
JUDGED = st.lists(st.tuples(TIED | st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def columns(pairs: list[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    return [a for a, _ in pairs], [b for _, b in pairs]


def onehot(values: list[Any], labels: Any = LABELS) -> np.ndarray:
    """[N, C] of 0 and 1 for labels or sets of labels."""
    return np.array(
        [[n == v or (not isinstance(v, str) and n in v) for n in labels] for v in values]
    )


# ------------------------------------------------------------------ F1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_metrics_f1_agrees_with_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    gold, guess = (np.array(side)[:, None] for side in columns(pairs))
    expected = float(sk.f1_score(gold, guess, zero_division=np.nan))
    got = metrics.on_all(metrics.f1(gold, guess), len(gold))
    assert got is None if math.isnan(expected) else got == pytest.approx(expected, abs=CLOSE)


@given(
    st.lists(
        st.tuples(st.frozensets(CLASSES, max_size=4), st.frozensets(CLASSES, max_size=4)),
        min_size=1,
        max_size=40,
    )
)
def test_metrics_macro_and_micro_f1_of_sets_agree_with_scikit_learn(pairs: list[Any]) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    gold, guess = (onehot(side) for side in columns(pairs))
    there = (gold | guess).any(0)
    macro = metrics.on_all(metrics.f1(gold, guess), len(gold))
    micro = metrics.on_all(metrics.f1(gold, guess, micro=True), len(gold))
    if not there.any():
        assert macro is micro is None
        return
    each = [sk.f1_score(gold[:, k], guess[:, k], zero_division=0) for k in np.flatnonzero(there)]
    assert macro == pytest.approx(np.mean(each), abs=CLOSE)
    assert micro == pytest.approx(sk.f1_score(gold.ravel(), guess.ravel()), abs=CLOSE)


@given(st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=60))
def test_metrics_macro_f1_of_one_choice_agrees_with_scikit_learn(
    pairs: list[tuple[str, str]],
) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    gold, guess = columns(pairs)
    there = sorted({*gold, *guess})
    expected = sk.f1_score(gold, guess, labels=there, average="macro", zero_division=0)
    got = metrics.on_all(metrics.f1(onehot(gold), onehot(guess)), len(gold))
    assert got == pytest.approx(expected, abs=CLOSE)


def test_metrics_f1_refuses_shapes_that_differ() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.f1([[1, 0]], [[1], [0]])


def test_metrics_f1_is_undefined_with_nothing_to_find_and_nothing_given() -> None:
    assert metrics.on_all(metrics.f1([[0], [0]], [[0], [0]]), 2) is None


def test_metrics_f1_is_zero_where_all_is_missed() -> None:
    assert metrics.on_all(metrics.f1([[1], [1]], [[0], [0]]), 2) == 0


def test_metrics_f1_leaves_an_undefined_column_out_of_the_mean_of_each_draw() -> None:
    figure = metrics.f1([[1, 0], [0, 1]], [[1, 0], [0, 0]])
    assert figure(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]))[:2].tolist() == [0.5, 1.0]
    assert np.isnan(figure(np.zeros((1, 2)))[0])


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (metrics.mean([1, 0, 0, 1]), 0.5),
        (metrics.ratio([1, 0, 1, 0], [1, 1, 1, 0]), 2 / 3),
        (metrics.ratio([0, 0, 0, 0], [0, 0, 0, 0]), None),
    ],
)
def test_metrics_ratio_is_a_sum_over_a_sum(
    figure: metrics.Statistic, expected: float | None
) -> None:
    assert metrics.on_all(figure, 4) == expected


@given(JUDGED, st.data())
def test_metrics_weights_count_a_document_as_often_as_it_is_drawn(
    pairs: list[tuple[float, bool]], data: st.DataObject
) -> None:
    times = [data.draw(st.integers(0, 3)) for _ in pairs]
    repeated = [pair for pair, n in zip(pairs, times, strict=True) for _ in range(n)]
    if not repeated:
        return
    for make in (
        lambda scores, gold: metrics.average_precision(gold, scores),
        lambda scores, gold: metrics.expected_calibration_error(scores, gold),
        lambda scores, gold: metrics.f1(np.array(gold)[:, None], np.array(scores)[:, None] > 0.3),
        lambda scores, gold: metrics.ratio(gold, np.array(scores) > 0.3),
    ):
        drawn = make(*columns(pairs))(np.array([times], float))
        whole = make(*columns(repeated))(np.ones((1, len(repeated))))
        np.testing.assert_allclose(drawn, whole)


# ------------------------------------------------------------------ average precision


@given(JUDGED)
def test_metrics_average_precision_agrees_with_scikit_learn(
    pairs: list[tuple[float, bool]],
) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    scores, gold = columns(pairs)
    got = metrics.on_all(metrics.average_precision(gold, scores), len(gold))
    if any(gold):
        assert got == pytest.approx(sk.average_precision_score(gold, scores), abs=CLOSE)
    else:
        assert got is None


def test_metrics_average_precision_of_equal_scores_is_the_share_of_positives() -> None:
    assert metrics.on_all(metrics.average_precision([0, 0, 0, 1], [0.5] * 4), 4) == 0.25


# ------------------------------------------------------------------ calibration


def test_metrics_calibration_error_of_a_published_example() -> None:
    """M. Pavlovic, "Expected Calibration Error (ECE)", Towards Data Science, July 2023: 0.23778."""
    confidence = np.array([0.22, 0.64, 0.92, 0.42, 0.51, 0.15, 0.70, 0.37, 0.83])
    right = (confidence > 0.5) == np.array([0, 1, 0, 0, 0, 1, 1, 0, 1])
    got = metrics.on_all(metrics.expected_calibration_error(confidence, right, bins=3), 9)
    assert got == pytest.approx(0.23778, abs=5e-6)


@given(JUDGED, st.integers(1, 20))
def test_metrics_calibration_error_agrees_with_a_loop_over_bins(
    pairs: list[tuple[float, bool]], bins: int
) -> None:
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for k in range(bins):
        inside = [(c, r) for c, r in pairs if edges[k] < c <= edges[k + 1] or (k == 0 and c == 0)]
        if inside:
            confidence, right = columns(inside)
            total += len(inside) * abs(np.mean(right) - np.mean(confidence))
    got = metrics.on_all(metrics.expected_calibration_error(*columns(pairs), bins), len(pairs))
    assert got == pytest.approx(total / len(pairs), abs=CLOSE)


def test_metrics_calibration_error_bins_are_closed_on_the_right() -> None:
    # 0.5 shares a bin with 0.4, not with 0.6: |0.5 - 0.45| in the one, |1 - 0.6| in the other.
    figure = metrics.expected_calibration_error([0.4, 0.5, 0.6], [0, 1, 1], bins=2)
    got = metrics.on_all(figure, 3)
    assert got == pytest.approx((2 * 0.05 + 0.4) / 3)


def test_metrics_calibration_error_is_undefined_without_documents() -> None:
    assert metrics.on_all(metrics.expected_calibration_error([], []), 0) is None


# ------------------------------------------------------------------ risk and coverage


def test_metrics_risk_coverage_follows_falling_confidence() -> None:
    got = metrics.risk_coverage([0.6, 0.9, 0.8, 0.7], [0, 1, 0, 1])
    assert got.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert got.risk.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert got.aurc == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 4)


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_metrics_risk_coverage_of_a_perfect_order_is_the_published_optimum(
    right: list[bool],
) -> None:
    """Geifman et al. 2019, E-AURC: with errors last, risk is 0 until only they are left."""
    n, errors = len(right), right.count(False)
    best = sum(max(0, k - (n - errors)) / k for k in range(1, n + 1)) / n
    confidence = [0.5 + 0.4 * r + k / 1000 for k, r in enumerate(right)]
    assert metrics.risk_coverage(confidence, right).aurc == pytest.approx(best, abs=CLOSE)


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_metrics_risk_coverage_of_equal_confidences_is_flat(right: list[bool]) -> None:
    got = metrics.risk_coverage([0.5] * len(right), right)
    assert got.risk == pytest.approx(np.full(len(right), right.count(False) / len(right)))


COUNTED = st.lists(
    st.tuples(st.sampled_from([0.2, 0.5, 0.7, 0.9]), st.booleans(), st.integers(0, 4)),
    min_size=1,
    max_size=25,
)
"""Confidence, whether right, and how often drawn."""


@given(COUNTED)
def test_metrics_aurc_of_a_draw_is_that_of_its_documents(
    documents: list[tuple[float, bool, int]],
) -> None:
    confidence, right, times = (list(column) for column in zip(*documents, strict=True))
    drawn = [(c, r) for c, r, n in documents for _ in range(n)]
    expected = metrics.risk_coverage([c for c, _ in drawn], [r for _, r in drawn]).aurc
    statistic = metrics.aurc(confidence, right)
    got = float(statistic(np.array([times], float))[0])
    assert np.isnan(got) if expected is None else got == pytest.approx(expected, abs=CLOSE)
    once = metrics.risk_coverage(confidence, right).aurc
    assert metrics.on_all(statistic, len(right)) == pytest.approx(once, abs=CLOSE)


@given(COUNTED, st.sampled_from([0.5, 0.9, 1.0]))
def test_metrics_coverage_of_a_draw_is_the_longest_start_that_is_right_enough(
    documents: list[tuple[float, bool, int]], target: float
) -> None:
    confidence, right, times = (list(column) for column in zip(*documents, strict=True))
    total = sum(times)
    best = 0
    for least in set(confidence):  # equals enter together
        kept = [(r, n) for c, r, n in documents if c >= least]
        size = sum(n for _, n in kept)
        if sum(n for r, n in kept if r) >= target * size - 1e-9:
            best = max(best, size)
    got = float(metrics.coverage_at(confidence, right, target)(np.array([times], float))[0])
    assert np.isnan(got) if not total else got == pytest.approx(best / total)


def test_metrics_coverage_and_aurc_are_undefined_without_documents() -> None:
    for statistic in (metrics.aurc([], []), metrics.coverage_at([], [], 0.9)):
        assert metrics.on_all(statistic, 0) is None


def test_metrics_risk_coverage_is_undefined_without_documents() -> None:
    got = metrics.risk_coverage([], [])
    assert (got.aurc, len(got.risk), len(got.coverage)) == (None, 0, 0)


# ------------------------------------------------------------------ agreement


@given(st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=60))
def test_metrics_cohen_kappa_agrees_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    first, second = columns(pairs)
    got = metrics.cohen_kappa(first, second)
    if len({*first, *second}) == 1:
        assert got is None
    else:
        assert got == pytest.approx(float(sk.cohen_kappa_score(first, second)), abs=CLOSE)


def test_metrics_cohen_kappa_is_undefined_without_documents() -> None:
    assert metrics.cohen_kappa([], []) is None


def test_metrics_cohen_kappa_refuses_lengths_that_differ() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        metrics.cohen_kappa(["yes", "no"], ["yes"])


# ------------------------------------------------------------------ bootstrap


def test_metrics_draws_take_whole_clusters_and_as_many_as_there_are() -> None:
    clusters = [f"event {n % 12}" for n in range(30)]
    weights = metrics.draws_of(clusters, 200, seed=1)
    assert weights.shape == (201, 30)
    assert (weights[0] == 1).all()
    firsts = weights[1:, :12]
    assert (firsts.sum(1) == 12).all()
    assert (weights[1:, 12:24] == firsts).all()
    assert (weights[1:, 24:] == firsts[:, :6]).all()
    assert len({tuple(w) for w in firsts.tolist()}) > 190


def test_metrics_draws_repeat_with_the_same_seed_only() -> None:
    one, again, other = (metrics.draws_of(range(30), 9, seed=seed) for seed in (4, 4, 5))
    assert (one == again).all()
    assert not (one == other).all()


@pytest.mark.parametrize("clusters", [[], ["flood"] * 40, range(9)])
def test_metrics_few_clusters_make_no_draws(clusters: Any) -> None:
    weights = metrics.draws_of(clusters, 50, seed=1)
    assert weights.shape == (1, len(clusters))


def test_metrics_interval_of_a_mean_is_the_theoretical_one() -> None:
    # 400 fair coins: the standard error of the mean is 0.5 / sqrt(400) = 0.025.
    coins = np.tile([0.0, 1.0], 200)
    got = metrics.interval(metrics.mean(coins)(metrics.draws_of(range(400), 4000, seed=3)))
    assert got.value == 0.5
    assert (got.low, got.high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.004)
    assert got.error == pytest.approx(0.025, rel=0.05)


def test_metrics_clusters_widen_the_interval() -> None:
    coins = np.repeat([0.0, 1.0] * 20, 10)
    events = [k // 10 for k in range(400)]
    one, two = (
        metrics.interval(metrics.mean(coins)(metrics.draws_of(c, 2000, seed=3)))
        for c in (range(400), events)
    )
    assert two.high - two.low == pytest.approx(10**0.5 * (one.high - one.low), rel=0.1)


def test_metrics_interval_counts_undefined_draws() -> None:
    # Undefined where the one positive is not drawn: (1 - 1/12)^12 = 35.2 % of draws.
    gold = np.array([1] + [0] * 11)
    figure = metrics.average_precision(gold, np.arange(12))
    got = metrics.interval(figure(metrics.draws_of(range(12), 2000, seed=2)))
    assert got.undefined / 2000 == pytest.approx(0.352, abs=0.04)
    assert got.low is not None


def test_metrics_interval_of_an_undefined_figure_has_no_bounds() -> None:
    assert metrics.interval(np.full(6, np.nan)) == metrics.Interval(None, undefined=5)


def test_metrics_interval_p_of_a_clear_difference_is_the_least_there_is() -> None:
    gap = np.array([1.0] * 45 + [0.0] * 15) - np.array([1.0] * 25 + [0.0] * 35)
    got = metrics.interval(metrics.mean(gap)(metrics.draws_of(range(60), 999, seed=1)))
    assert got.value == pytest.approx(1 / 3)
    assert got.low > 0
    assert got.p == pytest.approx(2 / 1000)


def test_metrics_interval_p_is_symmetric() -> None:
    gap = np.array([1.0] * 9 + [-1.0] * 5)
    weights = metrics.draws_of(range(14), 500, seed=1)
    one, two = (metrics.interval(metrics.mean(s * gap)(weights)) for s in (1, -1))
    assert one.p == two.p
    assert 0.05 < one.p < 1


def test_metrics_interval_p_of_no_difference_is_one() -> None:
    assert metrics.interval(np.zeros(100)).p == 1


def test_metrics_interval_p_agrees_with_the_interval() -> None:
    random = np.random.default_rng(0)
    sides = set()
    weights = metrics.draws_of(range(40), 2000, seed=1)
    for shift in np.linspace(0, 0.6, 13):
        got = metrics.interval(metrics.mean(random.normal(shift, 1, 40))(weights))
        if abs(got.p - 0.05) > 0.01:  # at the edge quantiles interpolate
            assert (got.p < 0.05) == (got.low > 0 or got.high < 0)
            sides.add(got.p < 0.05)
    assert sides == {True, False}


def test_metrics_interval_counts_an_undefined_draw_for_neither_side() -> None:
    one, half = np.ones(101), np.ones(101)
    half[51:] = np.nan
    assert metrics.interval(one).p == pytest.approx(2 / 101)
    assert metrics.interval(half).p == 1


def test_metrics_holm_of_a_worked_example() -> None:
    """Holm 1979 on p = .01, .04, .03, .005: .03, .06, .06, .02."""
    assert metrics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert metrics.holm([None, 0.4, 0.9]) == [None, 0.8, 0.9]
