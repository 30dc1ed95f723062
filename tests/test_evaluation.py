"""Figures of decisions: which documents they rest on, and what they say of known decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from whereas.calibration import gold, identity
from whereas.evaluation import Result, label_figures
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


def judged(taxonomy: Taxonomy, truth: list[Example], given: list[Example]) -> Result:
    """Figures of a system that gives to `truth` the labels of `given`."""
    return label_figures(
        taxonomy,
        gold(given, taxonomy) * 20 - 10,
        truth,
        [identity(taxonomy)] * len(truth),
        system="s",
        data="d",
        digest="",
    )


def test_evaluation_perfect_decisions_have_perfect_figures(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    examples = [recalling(make_example, n, ["surveillance"], ["forced_labor"]) for n in range(9)]
    figures = judged(taxonomy, examples, examples).figures
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
    figures = judged(taxonomy, [truth], [recalling(make_example, 1, *given)]).figures
    assert figures["recalled rationales kept apart"].value == every
    assert figures["recalled rationales kept apart"].n == 2
    assert figures["recalled forced_labor kept apart"].value == core
    assert figures["recalled forced_labor kept apart"].n == 1


def test_evaluation_without_recalled_grounds_the_figure_is_undefined(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    examples = [recalling(make_example, 1, ["surveillance"], [])]
    figure = judged(taxonomy, examples, examples).figures["recalled rationales kept apart"]
    assert figure.value is None
    assert figure.n == 0


def test_evaluation_macro_mean_leaves_rare_labels_out(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    often = [recalling(make_example, n, [], []) for n in range(8)]
    rare = make_example(id="r", event="r", labels=often[0].labels | {"action": "relief"})
    truth = [*often, rare]
    result = judged(taxonomy, truth, [*often, often[0]])
    assert result.figures["action macro-F1"].n == 1
    assert result.figures["action macro-F1"].value == pytest.approx(2 * 8 / (2 * 8 + 1))
    assert result.figures["action accuracy"].value == pytest.approx(8 / 9)
    assert np.isclose(result.labels["action"]["relief"].value or 0, 0)
