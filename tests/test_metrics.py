"""Figures agree with scikit-learn where it has them, and with worked examples where it has not."""

from __future__ import annotations

import math
from collections import Counter
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


# ------------------------------------------------------------------ F1


@given(st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=60))
def test_metrics_counts_agree_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    gold, guess = columns(pairs)
    got = metrics.counts(
        [[g == n for n in LABELS] for g in gold], [[p == n for n in LABELS] for p in guess]
    )
    table = sk.multilabel_confusion_matrix(gold, guess, labels=list(LABELS))
    assert got.tp.tolist() == table[:, 1, 1].tolist()
    assert got.fp.tolist() == table[:, 0, 1].tolist()
    assert got.fn.tolist() == table[:, 1, 0].tolist()


def test_metrics_counts_refuse_shapes_that_differ() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.counts([[1, 0]], [[1], [0]])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_metrics_f1_agrees_with_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    gold, guess = columns(pairs)
    expected = float(sk.f1_score(gold, guess, zero_division=np.nan))
    got = metrics.f1(*(int(n) for n in metrics.counts(gold, guess)))
    assert got is None if math.isnan(expected) else got == pytest.approx(expected, abs=CLOSE)


def test_metrics_f1_is_undefined_with_nothing_to_find_and_nothing_given() -> None:
    assert metrics.f1(0, 0, 0) is None


def test_metrics_f1_is_zero_where_all_is_missed() -> None:
    assert metrics.f1(0, 0, 3) == 0


@given(st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=60))
def test_metrics_macro_f1_agrees_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    gold, guess = columns(pairs)
    present = sorted(set(gold))
    got = metrics.macro_f1(gold, guess, LABELS, at_least=1)
    assert got.value == pytest.approx(
        sk.f1_score(gold, guess, labels=present, average="macro", zero_division=0), abs=CLOSE
    )
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        gold, guess, labels=present, zero_division=np.nan
    )
    for k, name in enumerate(present):
        score = got.labels[name]
        assert score.support == support[k]
        assert score.recall == pytest.approx(recall[k], abs=CLOSE)
        assert score.f1 == pytest.approx(f1[k], abs=CLOSE)
        if math.isnan(precision[k]):
            assert score.precision is None
        else:
            assert score.precision == pytest.approx(precision[k], abs=CLOSE)


@given(
    st.lists(
        st.tuples(st.frozensets(CLASSES, max_size=4), st.frozensets(CLASSES, max_size=4)),
        min_size=1,
        max_size=40,
    )
)
def test_metrics_macro_f1_of_sets_agrees_with_scikit_learn(pairs: list[Any]) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    gold, guess = columns(pairs)
    present = [n for n in LABELS if any(n in g for g in gold)]
    got = metrics.macro_f1(gold, guess, LABELS, at_least=1)
    assert got.left_out == [n for n in LABELS if n not in present]
    if not present:
        assert got.value is None
        return
    y, p = ([[int(n in row) for n in present] for row in side] for side in (gold, guess))
    each = sk.f1_score(np.array(y), np.array(p), average=None, zero_division=0)
    if len(present) == 1:
        each = sk.f1_score(np.ravel(y), np.ravel(p), zero_division=0)
    assert got.value == pytest.approx(np.mean(each), abs=CLOSE)


def test_metrics_macro_f1_leaves_rare_labels_out_of_the_mean_and_names_them() -> None:
    gold = ["listing"] * 8 + ["fine"] * 7
    got = metrics.macro_f1(gold, ["listing"] * 15, LABELS)
    assert got.left_out == ["ruling", "fine", "none"]
    assert got.value == got.labels["listing"].f1 == pytest.approx(16 / 23)
    assert got.labels["fine"] == metrics.LabelScore(None, 0.0, 0.0, 7)


def test_metrics_macro_f1_is_undefined_where_every_label_is_rare() -> None:
    assert metrics.macro_f1(["listing"], ["listing"], LABELS).value is None


def test_metrics_macro_f1_never_averages_an_undefined_label() -> None:
    got = metrics.macro_f1(["listing"], ["listing"], ["listing", "fine"], at_least=0)
    assert (got.value, got.left_out) == (1.0, ["fine"])


def test_metrics_macro_f1_does_not_match_a_label_inside_another() -> None:
    got = metrics.macro_f1(["nonesuch"], ["none"], ["none"], at_least=0)
    assert got.labels["none"] == metrics.LabelScore(0.0, None, 0.0, 0)


# ------------------------------------------------------------------ average precision


@given(JUDGED)
def test_metrics_average_precision_agrees_with_scikit_learn(
    pairs: list[tuple[float, bool]],
) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    scores, gold = columns(pairs)
    got = metrics.average_precision(gold, scores)
    if any(gold):
        assert got == pytest.approx(sk.average_precision_score(gold, scores), abs=CLOSE)
    else:
        assert got is None


def test_metrics_average_precision_of_equal_scores_is_the_share_of_positives() -> None:
    assert metrics.average_precision([0, 0, 0, 1], [0.5] * 4) == 0.25


# ------------------------------------------------------------------ calibration


def test_metrics_calibration_error_of_a_published_example() -> None:
    """M. Pavlovic, "Expected Calibration Error (ECE)", Towards Data Science, July 2023: 0.23778."""
    confidence = np.array([0.22, 0.64, 0.92, 0.42, 0.51, 0.15, 0.70, 0.37, 0.83])
    right = (confidence > 0.5) == np.array([0, 1, 0, 0, 0, 1, 1, 0, 1])
    got = metrics.expected_calibration_error(confidence, right, bins=3)
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
    got = metrics.expected_calibration_error(*columns(pairs), bins)
    assert got == pytest.approx(total / len(pairs), abs=CLOSE)


def test_metrics_calibration_error_bins_are_closed_on_the_right() -> None:
    # 0.5 shares a bin with 0.4, not with 0.6: |0.5 - 0.45| in the one, |1 - 0.6| in the other.
    got = metrics.expected_calibration_error([0.4, 0.5, 0.6], [0, 1, 1], bins=2)
    assert got == pytest.approx((2 * 0.05 + 0.4) / 3)


def test_metrics_adaptive_calibration_error_splits_documents_equally() -> None:
    # Equal width puts all four into one bin; in halves: |0 - 0.92| and |1 - 0.98|.
    confidence, right = [0.91, 0.93, 0.97, 0.99], [0, 0, 1, 1]
    got = metrics.expected_calibration_error(confidence, right, bins=2, adaptive=True)
    assert got == pytest.approx((0.92 + 0.02) / 2)
    assert metrics.expected_calibration_error(confidence, right, bins=2) == pytest.approx(0.45)


def test_metrics_adaptive_calibration_error_does_not_depend_on_the_order_of_equals() -> None:
    for right in ([0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]):
        got = metrics.expected_calibration_error([0.5] * 4, right, bins=2, adaptive=True)
        assert got == pytest.approx(0)


@given(JUDGED)
def test_metrics_brier_agrees_with_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    scores, gold = columns(pairs)
    expected = sk.brier_score_loss(gold, scores, pos_label=True)
    assert metrics.brier(scores, gold) == pytest.approx(expected, abs=CLOSE)


def test_metrics_brier_sums_over_the_labels_of_one_choice() -> None:
    assert metrics.brier([[0.7, 0.2, 0.1]], [[1, 0, 0]]) == pytest.approx(0.09 + 0.04 + 0.01)


@pytest.mark.parametrize("adaptive", [False, True])
def test_metrics_calibration_error_is_undefined_without_documents(adaptive: bool) -> None:
    assert metrics.expected_calibration_error([], [], adaptive=adaptive) is None


def test_metrics_brier_is_undefined_without_documents() -> None:
    assert metrics.brier([], []) is None


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


def test_metrics_bootstrap_draws_whole_clusters() -> None:
    clusters = ["flood", "raid", "flood", "raid", "raid", "vote"]
    seen = []

    def statistic(rows: Any) -> float:
        seen.append(Counter(rows.tolist()))
        return 0.0

    metrics.bootstrap(statistic, clusters, draws=200, seed=1)
    assert seen[0] == Counter(range(6))
    for drawn in seen[1:]:
        assert drawn[0] == drawn[2]
        assert drawn[1] == drawn[3] == drawn[4]
        assert drawn[0] + drawn[1] + drawn[5] == 3
    assert len({tuple(sorted(d.items())) for d in seen[1:]}) == 10  # multisets of 3 out of 3


def test_metrics_bootstrap_interval_of_a_mean_is_the_theoretical_one() -> None:
    # 400 fair coins: the standard error of the mean is 0.5 / sqrt(400) = 0.025.
    coins = np.tile([0.0, 1.0], 200)
    got = metrics.bootstrap(lambda rows: coins[rows].mean(), range(400), draws=4000, seed=3)
    assert got.value == 0.5
    assert (got.low, got.high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.004)


def test_metrics_bootstrap_clusters_widen_the_interval() -> None:
    coins = np.repeat([0.0, 1.0] * 20, 10)
    events = [k // 10 for k in range(400)]
    one, two = (
        metrics.bootstrap(lambda rows: coins[rows].mean(), c, draws=2000, seed=3)
        for c in (range(400), events)
    )
    assert two.high - two.low == pytest.approx(10**0.5 * (one.high - one.low), rel=0.1)


def test_metrics_bootstrap_repeats_with_the_same_seed_only() -> None:
    values = np.arange(30.0)
    one, again, other = (
        metrics.bootstrap(lambda rows: values[rows].mean(), range(30), draws=50, seed=seed)
        for seed in (4, 4, 5)
    )
    assert one == again != other


def test_metrics_bootstrap_counts_undefined_draws() -> None:
    # Undefined where the one positive is not drawn: (1 - 1/4)^4 = 31.6 % of draws.
    gold = np.array([1, 0, 0, 0])

    def precision(rows: Any) -> float | None:
        return metrics.average_precision(gold[rows], np.arange(4)[rows])

    got = metrics.bootstrap(precision, range(4), draws=2000, seed=2)
    assert got.draws == 2000
    assert got.undefined / got.draws == pytest.approx(0.316, abs=0.04)
    assert got.low is not None


def test_metrics_bootstrap_without_a_defined_draw_has_no_interval() -> None:
    got = metrics.bootstrap(lambda rows: None, ["flood"], draws=5, seed=1)
    assert got == metrics.Interval(None, None, None, 5, 5)


def test_metrics_bootstrap_without_documents_asks_the_statistic() -> None:
    got = metrics.bootstrap(lambda rows: float(len(rows)), [], draws=5, seed=1)
    assert got == metrics.Interval(0.0, 0.0, 0.0, 5, 0)


def test_metrics_paired_bootstrap_sees_a_clear_difference() -> None:
    better = np.array([1.0] * 45 + [0.0] * 15)
    worse = np.array([1.0] * 25 + [0.0] * 35)
    got = metrics.paired_bootstrap(
        lambda rows: (better - worse)[rows].mean(), range(60), draws=999, seed=1
    )
    assert got.value == pytest.approx(1 / 3)
    assert got.low > 0
    assert got.p == pytest.approx(2 / 1000)


def test_metrics_paired_bootstrap_is_symmetric() -> None:
    difference = np.array([1.0] * 9 + [-1.0] * 5)
    one, two = (
        metrics.paired_bootstrap(lambda r: (s * difference)[r].mean(), range(14), draws=500, seed=1)  # noqa: B023
        for s in (1, -1)
    )
    assert one.p == two.p
    assert 0.05 < one.p < 1


def test_metrics_paired_bootstrap_of_equal_systems_has_p_one() -> None:
    got = metrics.paired_bootstrap(lambda rows: 0.0, range(9), draws=99, seed=1)
    assert got.p == 1


def test_metrics_paired_bootstrap_p_agrees_with_the_interval() -> None:
    random = np.random.default_rng(0)
    sides = set()
    for shift in np.linspace(0, 0.6, 13):
        x = random.normal(shift, 1, 40)
        got = metrics.paired_bootstrap(lambda r: x[r].mean(), range(40), draws=2000, seed=1)  # noqa: B023
        if abs(got.p - 0.05) > 0.01:  # at the edge quantiles interpolate
            assert (got.p < 0.05) == (got.low > 0 or got.high < 0)
            sides.add(got.p < 0.05)
    assert sides == {True, False}


def test_metrics_paired_bootstrap_counts_an_undefined_draw_for_neither() -> None:
    got = metrics.paired_bootstrap(lambda rows: None, range(9), draws=99, seed=1)
    assert (got.p, got.undefined) == (1, 99)
