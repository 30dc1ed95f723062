"""Figures of decisions: which documents they rest on, and what they say of known decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whereas import evaluation, metrics
from whereas import taxonomy as taxonomies
from whereas.calibration import gold, identity
from whereas.errors import WhereasError
from whereas.evaluation import Result, Row
from whereas.records import Example
from whereas.taxonomy import Taxonomy

Make = Callable[..., Example]


def recalling(make: Make, n: int, news: list[str], recalled: list[str]) -> Example:
    labels: dict[str, Any] = {
        "action": "export_control",
        "secondary_actions": [],
        "rationales": news,
        "background_rationales": recalled,
        "status": "announced",
    }
    return make(id=f"{n}", event=f"{n}", labels=labels)


def measured(taxonomy: Taxonomy, truth: list[Example], given: list[Example]) -> Result:
    """Figures of a system that gives to `truth` the labels of `given`."""
    found = evaluation.rows(
        taxonomy, gold(given, taxonomy) * 20 - 10, truth, [identity(taxonomy)] * len(truth)
    )
    return evaluation.result(taxonomy, found, system="s", data="d", digest="", draws=20)


def test_evaluation_perfect_decisions_have_perfect_figures(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    examples = [recalling(make_example, n, ["surveillance"], ["forced_labor"]) for n in range(9)]
    figures = measured(taxonomy, examples, examples).figures
    for name in ("action macro-F1", "surveillance F1", "background_rationales micro-F1"):
        assert figures[name].value == 1.0
    assert figures["recalled rationales kept apart"].value == 1.0


@pytest.mark.parametrize(
    ("given", "every", "core"),
    [
        ((["surveillance"], ["forced_labor", "cyber"]), 1.0, 1.0),
        ((["surveillance"], []), 1.0, 1.0),
        ((["surveillance", "forced_labor"], ["cyber"]), 0.5, 0.0),
        ((["surveillance", "forced_labor", "cyber"], []), 0.0, 0.0),
        ((["surveillance", "military"], []), 1.0, 1.0),
    ],
)
def test_evaluation_recalled_ground_given_as_ground_counts_against(
    make_example: Make,
    taxonomy: Taxonomy,
    given: tuple[list[str], list[str]],
    every: float,
    core: float,
) -> None:
    truth = recalling(make_example, 1, ["surveillance"], ["forced_labor", "cyber"])
    figures = measured(taxonomy, [truth], [recalling(make_example, 1, *given)]).figures
    assert figures["recalled rationales kept apart"].value == every
    assert figures["recalled rationales kept apart"].n == 2
    assert figures["recalled forced_labor kept apart"].value == core
    assert figures["recalled forced_labor kept apart"].n == 1


def test_evaluation_without_recalled_grounds_the_figure_is_undefined(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    examples = [recalling(make_example, 1, ["surveillance"], [])]
    figure = measured(taxonomy, examples, examples).figures["recalled rationales kept apart"]
    assert figure.value is None
    assert figure.n == 0


def test_evaluation_macro_mean_leaves_rare_labels_out(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    often = [recalling(make_example, n, [], []) for n in range(8)]
    rare = make_example(id="r", event="r", labels=often[0].labels | {"action": "relief"})
    truth = [*often, rare]
    result = measured(taxonomy, truth, [*often, often[0]])
    assert result.figures["action macro-F1"].n == 1
    assert result.figures["action macro-F1"].value == pytest.approx(2 * 8 / (2 * 8 + 1))
    assert result.figures["action accuracy"].value == pytest.approx(8 / 9)
    assert np.isclose(result.labels["action"]["relief"].value or 0, 0)


# ------------------------------------------------------------------ against metrics


@st.composite
def many_rows(draw: st.DrawFn) -> list[Row]:
    """Rows of a system with random decisions and scores on the shipped taxonomy."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    taxonomy = taxonomies.load()
    actions, grounds = taxonomy["action"].names, taxonomy["rationales"].names

    def labels() -> dict[str, list[str]]:
        few = [str(g) for g in rng.choice(grounds, rng.integers(0, 3), replace=False)]
        return {
            "action": [str(rng.choice(actions[-3:]))],
            "secondary_actions": [],
            "rationales": few,
            "background_rationales": [],
            "status": ["announced"],
        }

    found = []
    for n in range(draw(st.integers(12, 40))):
        none = float(np.round(rng.random(), 2))
        share = (1 - none) / (len(actions) - 1)
        scores = {"action": {a: none if a == "none" else share for a in actions}}
        event = f"e{rng.integers(0, 9)}"
        found.append(Row(id=f"{n}", event=event, gold=labels(), given=labels(), scores=scores))
    return found


@given(many_rows())
def test_evaluation_figures_of_all_documents_are_those_of_metrics(found: list[Row]) -> None:
    taxonomy = taxonomies.load()
    figures = evaluation.result(taxonomy, found, system="s", data="d", digest="", draws=2).figures
    expected = metrics.macro_f1(
        [r.gold["action"][0] for r in found],
        [r.given["action"][0] for r in found],
        taxonomy["action"].names,
        at_least=evaluation.AT_LEAST,
    )
    assert figures["action macro-F1"].value == pytest.approx(expected.value)
    relevant = np.array([r.gold["action"] != ["none"] for r in found])
    relevance = np.array([1 - r.scores["action"]["none"] for r in found])
    ap = metrics.average_precision(relevant, relevance)
    assert figures["relevance AP"].value == pytest.approx(ap)
    ece = metrics.expected_calibration_error(relevance, relevant)
    assert figures["relevance ECE"].value == pytest.approx(ece)


@given(many_rows(), st.data())
def test_evaluation_weights_count_a_document_as_often_as_it_is_drawn(
    found: list[Row], data: st.DataObject
) -> None:
    taxonomy = taxonomies.load()
    times = [data.draw(st.integers(0, 3)) for _ in found]
    repeated = [row for row, n in zip(found, times, strict=True) for _ in range(n)]
    if not repeated:
        return
    whole = evaluation.statistics(taxonomy, repeated)
    drawn = evaluation.statistics(taxonomy, found)
    weights = np.array([times], float)
    for name in ("rationales micro-F1", "relevance AP", "relevance ECE", "surveillance F1"):
        once = whole[name][0](np.ones((1, len(repeated))))
        np.testing.assert_allclose(drawn[name][0](weights), once, err_msg=name)


# ------------------------------------------------------------------ comparing


def graded(right: list[bool], events: list[str] | None = None) -> list[Row]:
    """Rows whose action is right or wrong."""
    bare: dict[str, list[str]] = {
        "secondary_actions": [],
        "rationales": [],
        "background_rationales": [],
        "status": ["announced"],
    }
    return [
        Row(
            id=f"{n}",
            event=events[n] if events else f"e{n}",
            gold=bare | {"action": ["relief"]},
            given=bare | {"action": ["relief" if ok else "report"]},
        )
        for n, ok in enumerate(right)
    ]


def test_evaluation_better_system_is_better_with_a_small_p(taxonomy: Taxonomy) -> None:
    worse = graded([n % 2 == 0 for n in range(60)])
    better = graded([n % 6 != 0 for n in range(60)])
    [gap] = evaluation.compare(taxonomy, better, worse, ["action accuracy"], draws=500)
    assert gap.value == pytest.approx(1 / 3)
    assert gap.low is not None
    assert gap.low > 0
    assert gap.p == pytest.approx(2 / 501)


def test_evaluation_equal_systems_do_not_differ(taxonomy: Taxonomy) -> None:
    same = graded([n % 2 == 0 for n in range(60)])
    [gap] = evaluation.compare(taxonomy, same, same, ["action accuracy"], draws=100)
    assert gap.value == 0
    assert gap.p == 1.0


def test_evaluation_documents_of_one_event_count_as_one(taxonomy: Taxonomy) -> None:
    right, wrong = [True] * 40, [False] * 40
    [apart] = evaluation.compare(taxonomy, graded(right), graded(wrong), ["action accuracy"])
    events = [f"e{n // 20}" for n in range(40)]
    one, other = graded([True] * 20 + [False] * 20, events), graded([False] * 40, events)
    [together] = evaluation.compare(taxonomy, one, other, ["action accuracy"], draws=500)
    assert apart.p is not None
    assert together.p is not None
    assert together.p > 0.2 > apart.p


def test_evaluation_holm_adjusts_by_rank(taxonomy: Taxonomy) -> None:
    worse, better = graded([False] * 30), graded([True] * 30)
    names = ["action accuracy", "status accuracy"]
    first, second = evaluation.compare(taxonomy, better, worse, names, draws=99)
    assert first.p == pytest.approx(2 / 100)
    assert first.adjusted == pytest.approx(4 / 100)
    assert second.p == second.adjusted == 1.0


def test_evaluation_other_documents_refuse_to_be_compared(taxonomy: Taxonomy) -> None:
    with pytest.raises(WhereasError, match="not on the same documents"):
        evaluation.compare(taxonomy, graded([True]), graded([True, True]), ["action accuracy"])
