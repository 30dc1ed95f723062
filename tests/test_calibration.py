"""Calibration finds what was done to scores, and decisions follow the taxonomy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whereas import calibration as c
from whereas.records import Example
from whereas.taxonomy import Taxonomy

LOGITS = st.lists(st.floats(-50, 50), min_size=2, max_size=12)


def drawn(probabilities: Any, seed: int = 0) -> Any:
    """[N] yes or no, each as likely as its probability."""
    return (np.random.default_rng(seed).random(len(probabilities)) < probabilities).astype(float)


# ------------------------------------------------------------------ softmax, sigmoid


@given(LOGITS)
def test_calibration_softmax_sums_to_one(logits: list[float]) -> None:
    got = c.softmax(np.array([logits, logits]))
    assert got.sum(-1) == pytest.approx([1, 1])
    assert got[0] == pytest.approx(np.exp(logits) / np.exp(logits).sum())


def test_calibration_softmax_of_huge_logits_does_not_overflow() -> None:
    assert c.softmax(np.array([5000.0, 0.0])).tolist() == [1, 0]


@given(st.floats(-30, 30))
def test_calibration_sigmoid_is_the_logistic_function(x: float) -> None:
    assert float(c.sigmoid(np.array(x))) == pytest.approx(1 / (1 + np.exp(-x)), abs=1e-12)


def test_calibration_sigmoid_of_huge_logits_does_not_overflow() -> None:
    assert c.sigmoid(np.array([-5000.0, 5000.0])).tolist() == [0, 1]


# ------------------------------------------------------------------ temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_calibration_temperature_recovers_a_known_one(temperature: float) -> None:
    random = np.random.default_rng(5)
    honest = random.normal(0, 2, (4000, 5))
    noise = random.gumbel(size=honest.shape)  # argmax of logits + Gumbel draws from their softmax
    gold = (honest + noise).argmax(1)
    assert c.fit_temperature(honest * temperature, gold) == pytest.approx(temperature, rel=0.06)


def test_calibration_temperature_of_perfect_logits_stays_in_range() -> None:
    assert c.fit_temperature(np.eye(3) * 9, np.arange(3)) >= 0.25


def test_calibration_temperature_of_hopeless_logits_stays_in_range() -> None:
    assert c.fit_temperature(np.eye(3) * 9, np.array([1, 2, 0])) == pytest.approx(4)


# ------------------------------------------------------------------ Platt


def test_calibration_platt_with_many_positives_fits_the_line() -> None:
    x = np.random.default_rng(1).normal(0, 2, 20_000)
    gold = drawn(c.sigmoid(0.5 * x - 1))
    fitted = c.fit_platt(x[:, None], gold[:, None])
    assert (fitted.slope[0], fitted.offset[0]) == pytest.approx((0.5, -1), abs=0.05)


def test_calibration_platt_with_few_documents_stays_near_the_identity() -> None:
    fitted = c.fit_platt(np.array([[3.0], [2.0], [1.0]]), np.array([[1.0], [1.0], [0.0]]))
    assert (fitted.slope[0], fitted.offset[0]) == pytest.approx((1, 0), abs=0.25)


def test_calibration_platt_with_few_positives_stays_near_the_identity() -> None:
    # `PRIOR_STRENGTH`: "a label seen five times must not get a slope of its own".
    x = np.concatenate([np.linspace(1, 3, 5), np.linspace(-8, 0, 295)])
    gold = np.repeat([1.0, 0.0], [5, 295])
    fitted = c.fit_platt(x[:, None], gold[:, None])
    assert (fitted.slope[0], fitted.offset[0]) == pytest.approx((1, 0), abs=0.25)


def test_calibration_platt_without_documents_is_the_identity() -> None:
    fitted = c.fit_platt(np.zeros((0, 2)), np.zeros((0, 2)))
    assert fitted == c.Platt([1, 1], [0, 0])


@given(st.lists(st.tuples(st.floats(-40, 40), st.booleans()), max_size=40), st.floats(0.01, 10))
def test_calibration_platt_finds_the_minimum_and_keeps_the_order(
    pairs: list[tuple[float, bool]], scale: float
) -> None:
    x = np.array([p for p, _ in pairs]) * scale
    y = np.array([float(g) for _, g in pairs])
    fitted = c.fit_platt(x[:, None], y[:, None])
    slope, offset = fitted.slope[0], fitted.offset[0]
    assert slope > 0
    if slope > 0.05:  # where the slope was not held at its least
        miss = c.sigmoid(slope * x + offset) - y
        assert (miss * x).sum() + c.prior(y) * (slope - 1) == pytest.approx(0, abs=1e-3)
        assert miss.sum() + c.prior(y) * offset == pytest.approx(0, abs=1e-3)


def test_calibration_platt_never_turns_the_order_of_scores_round() -> None:
    x = np.linspace(-4, 4, 200)
    assert c.fit_platt(x[:, None], (x < 0)[:, None].astype(float)).slope == [0.05]


def test_calibration_platt_fits_each_column_by_itself() -> None:
    x = np.random.default_rng(1).normal(0, 2, (5000, 2))
    gold = np.stack([drawn(c.sigmoid(x[:, 0] + 1)), drawn(c.sigmoid(x[:, 1] - 1))], 1)
    assert c.fit_platt(x, gold).offset == pytest.approx([1, -1], abs=0.15)


def test_calibration_platt_is_applied_to_its_column() -> None:
    got = c.apply_platt(np.array([[2.0, 2.0]]), c.Platt([1, 0.5], [0, -1]))
    assert got[0] == pytest.approx([1 / (1 + np.exp(-2)), 0.5])


# ------------------------------------------------------------------ thresholds


def test_calibration_threshold_parts_positives_from_negatives() -> None:
    scores = np.concatenate([np.linspace(0.0, 0.35, 50), np.linspace(0.45, 0.9, 50)])
    gold = np.repeat([0.0, 1.0], 50)
    [threshold] = c.fit_thresholds(scores[:, None], gold[:, None])
    assert 0.35 < threshold <= 0.45


def test_calibration_threshold_of_a_rare_label_is_that_of_all_together() -> None:
    often = np.concatenate([np.linspace(0.0, 0.55, 50), np.linspace(0.6, 0.9, 50)])
    scores = np.stack([often, np.linspace(0.0, 0.3, 100)], 1)
    gold = np.stack([np.repeat([0.0, 1.0], 50), np.repeat([0.0, 1.0], [96, 4])], 1)
    one, two = c.fit_thresholds(scores, gold)
    assert two == one > 0.5
    assert c.fit_thresholds(scores, gold, enough=4)[1] < 0.3


def test_calibration_threshold_of_a_label_that_is_mostly_wrong_withholds_it() -> None:
    scores = np.linspace(0.15, 0.9, 40)
    gold = np.zeros(40)
    gold[[2, 20]] = 1  # at no threshold a third of what is given is right
    assert c.fit_thresholds(scores[:, None], gold[:, None]) == [c.WITHHELD]
    gold[30:] = 1
    assert c.fit_thresholds(scores[:, None], gold[:, None])[0] < 1


def test_calibration_threshold_without_positives_is_a_half() -> None:
    assert c.fit_thresholds(np.array([[0.1], [0.3]]), np.zeros((2, 1))) == [0.5]


def test_calibration_threshold_does_not_follow_a_narrow_peak() -> None:
    # F1 is 0.84 at 0.60 alone, between 0.67 and 0; it is 0.81 all the way up to 0.50.
    scores = np.repeat([0.605, 0.595, 0.5, 0.1], [16, 10, 6, 100])
    gold = np.repeat([1.0, 0.0, 1.0, 0.0], [16, 10, 6, 100])
    [threshold] = c.fit_thresholds(scores[:, None], gold[:, None])
    assert threshold <= 0.5


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_calibration_threshold_is_on_the_grid(pairs: list[tuple[float, bool]]) -> None:
    scores, gold = (np.array([[float(p[k])] for p in pairs]) for k in (0, 1))
    assert c.fit_thresholds(scores, gold)[0] in {*c.GRID, c.WITHHELD}


# ------------------------------------------------------------------ review


def test_calibration_review_is_the_lowest_confidence_that_meets_the_target() -> None:
    confidence = np.array([0.5, 0.9, 0.8, 0.7, 0.6])
    right = np.array([0, 1, 1, 0, 1])
    assert c.fit_review(confidence, right, target=0.75) == 0.6
    assert c.fit_review(confidence, right, target=0.95) == 0.8


def test_calibration_review_of_a_target_out_of_reach_is_one() -> None:
    assert c.fit_review(np.array([0.9, 0.8]), np.array([0, 1]), target=0.9) == 1


def test_calibration_review_of_all_right_is_the_least_confidence() -> None:
    assert c.fit_review(np.array([0.9, 0.4]), np.array([1, 1]), target=0.9) == 0.4


@given(
    st.lists(
        st.tuples(st.sampled_from([0.2, 0.5, 0.5001, 0.9, 0.99]), st.booleans()),
        min_size=1,
        max_size=40,
    ),
    st.floats(0.1, 1),
)
def test_calibration_review_holds_its_target(
    pairs: list[tuple[float, bool]], target: float
) -> None:
    confidence, right = (np.array([float(p[k]) for p in pairs]) for k in (0, 1))
    threshold = c.fit_review(confidence, right, target=target)
    kept = right[confidence >= threshold]
    assert threshold == 1 if not len(kept) else kept.mean() >= target - 1e-12


# ------------------------------------------------------------------ label sets

PROBABILITIES = st.lists(st.floats(0, 1), min_size=2, max_size=60)


@given(PROBABILITIES, st.sampled_from(c.LEVELS))
def test_calibration_sets_hold_what_they_promise_of_exchangeable_documents(
    right: list[float], level: float
) -> None:
    """Whatever n + 1 documents there are: let each in turn be the new one, and at least `level` of
    them are in the set that the other n made. This is the theorem, by counting."""
    held = [
        p >= c.conformal(np.array(right[:k] + right[k + 1 :]), level) for k, p in enumerate(right)
    ]
    assert sum(held) >= level * len(right) - 1e-9


@pytest.mark.parametrize("level", c.LEVELS)
def test_calibration_sets_promise_no_more_than_asked_for(level: float) -> None:
    """With n documents and no ties a new one is held with a chance of ceil((n + 1) level) over
    n + 1; here over 400 draws of 250 documents and 250 new ones."""
    random = np.random.default_rng(4)
    shares = [
        (random.beta(4, 1, 250) >= c.conformal(random.beta(4, 1, 250), level)).mean()
        for _ in range(400)
    ]
    assert np.mean(shares) == pytest.approx(np.ceil(251 * level) / 251, abs=0.005)


def test_calibration_sets_of_the_least_probability_are_by_rank() -> None:
    right = np.linspace(0.01, 0.99, 99)  # 100 ranks with the new one's
    assert c.conformal(right, 0.9) == pytest.approx(0.1, abs=2e-4)
    assert c.conformal(right, 0.8) == pytest.approx(0.2, abs=2e-4)
    assert c.conformal(right[:8], 0.9) == 0  # nine ranks cannot tell nine tenths
    assert c.conformal(np.array([0.12349]), 0.5) == 0.1234  # never up: a verdict has .1235


@given(
    st.dictionaries(st.sampled_from("abcde"), st.floats(0, 1), min_size=1),
    st.floats(0, 1.1),
    st.randoms(),
)
def test_calibration_sets_are_never_empty_and_best_first(
    scores: dict[str, float], least: float, random: Any
) -> None:
    given_ = random.choice(sorted(scores))
    found = c.label_set(scores, given_, least)
    assert found[0] == given_
    assert set(found) == {given_} | {n for n, p in scores.items() if p >= least}
    assert len(found) == len(set(found))
    rest = [scores[n] for n in found[1:]]
    assert rest == sorted(rest, reverse=True)


@pytest.mark.parametrize(("documents", "axes"), [(199, []), (200, ["action", "status"])])
def test_calibration_sets_need_documents(
    taxonomy: Taxonomy, documents: int, axes: list[str]
) -> None:
    logits = np.random.default_rng(1).normal(size=(documents, len(c.columns(taxonomy))))
    gold = np.zeros_like(logits)
    for axis in axes or ["action", "status"]:
        gold[:, c.parts(taxonomy)[axis].start] = 1
    fitted = c.calibrate(taxonomy, logits, gold)
    assert list(fitted.sets) == axes
    assert all(list(levels) == ["0.8", "0.9", "0.95"] for levels in fitted.sets.values())


def test_calibration_sets_are_fitted_after_temperature(taxonomy: Taxonomy) -> None:
    """Logits three times too bold: the promise holds for calibrated probabilities."""
    random = np.random.default_rng(6)
    honest = random.normal(0, 1.5, (4000, len(c.columns(taxonomy))))
    gold = np.zeros_like(honest)
    for axis in ("action", "status"):
        part = c.parts(taxonomy)[axis]
        picked = (honest[:, part] + random.gumbel(size=honest[:, part].shape)).argmax(1)
        gold[np.arange(4000), part.start + picked] = 1
    fitted = c.calibrate(taxonomy, 3 * honest[:2000], gold[:2000])
    scores = c.probabilities(taxonomy, 3 * honest[2000:], fitted)
    for axis in ("action", "status"):
        right = scores[axis][gold[2000:, c.parts(taxonomy)[axis]] == 1]
        for level in c.LEVELS:
            held = (right >= fitted.sets[axis][f"{level:g}"]).mean()
            assert held == pytest.approx(level, abs=0.02)


# ------------------------------------------------------------------ columns and decisions


def test_calibration_columns_follow_axes_and_labels(taxonomy: Taxonomy) -> None:
    columns = c.columns(taxonomy)
    parts = c.parts(taxonomy)
    assert len(columns) == 16 + 15 + 14 + 14 + 6
    for axis in taxonomy.axis:
        assert columns[parts[axis.name]] == [(axis.name, label) for label in axis.names]


def test_calibration_gold_marks_the_labels_of_an_example(
    taxonomy: Taxonomy, make_example: Callable[..., Example]
) -> None:
    gold = c.gold([make_example()], taxonomy)
    marked = [key for key, value in zip(c.columns(taxonomy), gold[0], strict=True) if value]
    assert marked == [
        ("action", "export_control"),
        ("rationales", "surveillance"),
        ("status", "announced"),
    ]


def test_calibration_identity_changes_no_probability(taxonomy: Taxonomy) -> None:
    logits = np.random.default_rng(0).normal(0, 3, (3, len(c.columns(taxonomy))))
    got = c.probabilities(taxonomy, logits, c.identity(taxonomy))
    parts = c.parts(taxonomy)
    assert got["action"] == pytest.approx(c.softmax(logits[:, parts["action"]]))
    assert got["rationales"] == pytest.approx(c.sigmoid(logits[:, parts["rationales"]]))


def test_calibration_of_every_axis_gives_honest_probabilities(taxonomy: Taxonomy) -> None:
    random = np.random.default_rng(3)
    parts = c.parts(taxonomy)
    honest = random.normal(0, 2, (3000, len(c.columns(taxonomy))))
    gold = np.zeros_like(honest)
    for axis in taxonomy.axis:
        part = honest[:, parts[axis.name]]
        if axis.kind == "one":
            picked = (part + random.gumbel(size=part.shape)).argmax(1)
            gold[:, parts[axis.name]] = np.eye(part.shape[1])[picked]
        else:
            gold[:, parts[axis.name]] = random.random(part.shape) < c.sigmoid(part)
    fitted = c.calibrate(taxonomy, (3 * honest).astype(np.float32), gold)
    assert fitted.temperature["status"] == pytest.approx(3, rel=0.1)
    assert fitted.platt["rationales"].slope == pytest.approx([1 / 3] * 14, rel=0.15)
    scores = c.probabilities(taxonomy, 3 * honest, fitted)
    assert scores["rationales"].mean(0) == pytest.approx(
        gold[:, parts["rationales"]].mean(0), abs=0.02
    )


def decide(taxonomy: Taxonomy, **best: dict[str, float]) -> dict[str, list[str]]:
    """Labels chosen with the given scores, all others being 0.01, and thresholds of 0.5."""
    scores = {
        axis.name: np.array([best.get(axis.name, {}).get(name, 0.01) for name in axis.names])
        for axis in taxonomy.axis
    }
    return c.choose(taxonomy, scores, c.identity(taxonomy).thresholds)


def test_calibration_choice_takes_the_best_of_one_and_what_passes_of_sets(
    taxonomy: Taxonomy,
) -> None:
    assert decide(
        taxonomy,
        action={"visa_ban": 0.4, "relief": 0.3},
        rationales={"cyber": 0.5, "military": 0.8, "narcotics": 0.49},
        status={"announced": 0.6},
    ) == {
        "action": ["visa_ban"],
        "secondary_actions": [],
        "rationales": ["military", "cyber"],
        "background_rationales": [],
        "status": ["announced"],
    }


def test_calibration_choice_does_not_repeat_the_primary_action(taxonomy: Taxonomy) -> None:
    got = decide(
        taxonomy, action={"visa_ban": 0.9}, secondary_actions={"visa_ban": 0.9, "relief": 0.6}
    )
    assert got["secondary_actions"] == ["relief"]


def test_calibration_choice_takes_no_more_than_the_most_allowed(taxonomy: Taxonomy) -> None:
    many = {"relief": 0.6, "report": 0.9, "guidance": 0.8, "statement": 0.7}
    got = decide(taxonomy, action={"visa_ban": 0.9}, secondary_actions=many)
    assert got["secondary_actions"] == ["report", "guidance", "statement"]


def test_calibration_choice_does_not_recall_a_present_ground(taxonomy: Taxonomy) -> None:
    got = decide(
        taxonomy,
        action={"visa_ban": 0.9},
        rationales={"cyber": 0.9},
        background_rationales={"cyber": 0.9, "military": 0.8},
    )
    assert got["background_rationales"] == ["military"]


def test_calibration_choice_of_an_irrelevant_document_leaves_sets_empty(taxonomy: Taxonomy) -> None:
    got = decide(
        taxonomy, action={"none": 0.9}, rationales={"cyber": 0.9}, secondary_actions={"relief": 0.9}
    )
    assert (got["rationales"], got["secondary_actions"]) == ([], [])


def test_calibration_choice_of_an_irrelevant_document_has_its_given_status(
    taxonomy: Taxonomy,
) -> None:
    got = decide(taxonomy, action={"none": 0.9}, status={"announced": 0.9})
    assert got["status"] == ["background"]
