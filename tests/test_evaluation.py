"""Figures of decisions: which documents they rest on, and what they say of known decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whereas import corpus, evaluation
from whereas import taxonomy as taxonomies
from whereas.calibration import calibrate, columns, gold, identity
from whereas.errors import WhereasError
from whereas.evaluation import Result, Row
from whereas.records import Example, Label, Span, Verdict
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
def test_evaluation_figures_agree_with_scikit_learn(found: list[Row]) -> None:
    sk = pytest.importorskip("sklearn.metrics")
    taxonomy = taxonomies.load()
    figures = evaluation.result(taxonomy, found, system="s", data="d", digest="", draws=2).figures
    gold_, given_ = ([r.gold["action"][0] for r in found], [r.given["action"][0] for r in found])
    often = [n for n in taxonomy["action"].names if gold_.count(n) >= evaluation.AT_LEAST]
    if often:
        expected = sk.f1_score(gold_, given_, labels=often, average="macro")
        assert figures["action macro-F1"].value == pytest.approx(expected)
    else:
        assert figures["action macro-F1"].value is None
    relevant = [name != "none" for name in gold_]
    if any(relevant):
        relevance = [1 - r.scores["action"]["none"] for r in found]
        expected = sk.average_precision_score(relevant, relevance)
        assert figures["relevance AP"].value == pytest.approx(expected)


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
    right = [n < 60 or n < 70 for n in range(120)]
    wrong = [n < 60 for n in range(120)]
    [apart] = evaluation.compare(taxonomy, graded(right), graded(wrong), ["action accuracy"])
    events = [f"e{n // 10}" for n in range(120)]
    [together] = evaluation.compare(
        taxonomy, graded(right, events), graded(wrong, events), ["action accuracy"]
    )
    assert apart.value == together.value == pytest.approx(10 / 120)
    assert apart.p is not None
    assert together.p is not None
    assert apart.p < 0.001 < 0.3 < together.p


def test_evaluation_few_events_give_no_interval_and_no_p(taxonomy: Taxonomy) -> None:
    events = [f"e{n % 9}" for n in range(45)]
    [gap] = evaluation.compare(
        taxonomy, graded([True] * 45, events), graded([False] * 45, events), ["action accuracy"]
    )
    assert gap.value == 1.0
    assert gap.p is gap.low is gap.adjusted is None
    rows = graded([True] * 45, events)
    result = evaluation.result(taxonomy, rows, system="s", data="d", digest="")
    assert result.figures["action accuracy"].low is None


def test_evaluation_intervals_are_those_of_a_proportion(taxonomy: Taxonomy) -> None:
    rows = graded([n % 10 != 0 for n in range(100)])
    figure = evaluation.result(taxonomy, rows, system="s", data="d", digest="").figures[
        "action accuracy"
    ]
    assert figure.value == 0.9
    assert figure.low == pytest.approx(0.84, abs=0.02)
    assert figure.high == pytest.approx(0.95, abs=0.02)


def test_evaluation_detectable_difference_is_that_of_the_sample(taxonomy: Taxonomy) -> None:
    worse = graded([n % 2 == 0 for n in range(60)])
    better = graded([n % 6 != 0 for n in range(60)])
    [gap] = evaluation.compare(taxonomy, better, worse, ["action accuracy"])
    assert gap.detectable == pytest.approx(2.8 * np.sqrt(5 / 9 / 60), rel=0.05)


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


# ------------------------------------------------------------------ how far one can rely on it


def ordered(taxonomy: Taxonomy, right: list[bool]) -> list[Row]:
    """Rows whose action is right or wrong, the first ones surest."""
    names = taxonomy["action"].names
    found = []
    for n, row in enumerate(graded(right)):
        top = 0.9 - n / 100
        scores = {a: (1 - top) / (len(names) - 1) for a in names} | {row.given["action"][0]: top}
        found.append(msgspec.structs.replace(row, scores={"action": scores}))
    return found


def test_evaluation_coverage_is_the_share_that_can_be_left_unread(taxonomy: Taxonomy) -> None:
    rows = ordered(taxonomy, [True] * 19 + [False] + [True] * 5 + [False] * 15)
    figures = evaluation.result(taxonomy, rows, system="s", data="d", digest="").figures
    assert figures["action coverage at 98 % right"].value == 19 / 40
    assert figures["action coverage at 95 % right"].value == 25 / 40
    assert figures["action coverage at 90 % right"].value == 26 / 40
    area = figures["action AURC"]
    assert area.value == pytest.approx(
        (sum(1 / n for n in range(20, 26)) + sum((n - 24) / n for n in range(26, 41))) / 40
    )
    assert area.low is not None
    assert area.high is not None
    assert area.low < (area.value or 0) < area.high
    assert area.n == 40


def test_evaluation_label_sets_are_counted_by_what_they_hold(taxonomy: Taxonomy) -> None:
    sets = [["relief"]] * 5 + [["report", "relief"]] * 3 + [["report"]] * 2
    rows = [
        msgspec.structs.replace(row, sets={"action": held})
        for row, held in zip(graded([True] * 10), sets, strict=True)
    ]
    without = msgspec.structs.replace(graded([True] * 11)[-1], sets={})
    figures = evaluation.result(
        taxonomy, [*rows, without], system="s", data="d", digest="", draws=20
    ).figures
    assert figures["action sets of 90 %: coverage"].value == 0.8
    assert figures["action sets of 90 %: of one label"].value == 0.7
    assert figures["action sets of 90 %: coverage"].n == 10
    assert "status sets of 90 %: coverage" not in figures


def test_evaluation_label_sets_are_cross_fitted(make_example: Make, taxonomy: Taxonomy) -> None:
    """Of each document with the least probability that the other half's documents set."""
    rng = np.random.default_rng(8)
    names = taxonomy["action"].names
    examples = [
        make_example(id=f"{n}", event=f"e{n}", labels={"action": str(rng.choice(names))})
        for n in range(520)
    ]
    at = np.array([names.index(e.one("action")) for e in examples])
    logits = rng.normal(size=(len(examples), len(columns(taxonomy))))
    logits[np.arange(len(at)), at] += 3
    calibrations = evaluation.crossfitted(taxonomy, logits, examples)
    rows = evaluation.rows(taxonomy, logits, examples, calibrations)
    for row, one in zip(rows, calibrations, strict=True):
        least = one.sets["action"]["0.9"]
        likely = {n for n, p in row.scores["action"].items() if p >= least}
        assert set(row.sets["action"]) == likely | set(row.given["action"])
    figures = evaluation.result(taxonomy, rows, system="s", data="d", digest="").figures
    held = figures["action sets of 90 %: coverage"]
    assert held.value == pytest.approx(0.9, abs=0.04)
    assert (figures["action sets of 90 %: of one label"].value or 1) < 1
    assert held.n == 520


# ------------------------------------------------------------------ rows


def test_evaluation_several_labels_on_an_axis_of_one_are_wrong(taxonomy: Taxonomy) -> None:
    rows = [
        msgspec.structs.replace(r, given=r.given | {"action": taxonomy["action"].names})
        for r in graded([True] * 12)
    ]
    figures = evaluation.result(taxonomy, rows, system="s", data="d", digest="", draws=1).figures
    assert figures["action accuracy"].value == 0


def test_evaluation_cross_fitting_calibrates_each_half_on_the_other(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    rng = np.random.default_rng(3)
    examples = [make_example(id=f"{n}", event=f"e{n}") for n in range(40)]
    logits = rng.normal(size=(40, len(columns(taxonomy))))
    half = np.array([corpus.held_out(f"e{n}", 0.5, "cross-fit") for n in range(40)])
    found = evaluation.crossfitted(taxonomy, logits, examples)
    truth = gold(examples, taxonomy)
    for side in (False, True):
        expected = calibrate(taxonomy, logits[half != side], truth[half != side])
        assert all(c == expected for c, h in zip(found, half, strict=True) if h == side)


def test_evaluation_labels_a_system_was_not_taught_are_not_its(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    examples = [make_example(id=f"{n}") for n in range(3)]
    logits = np.full((3, len(columns(taxonomy))), 5.0)
    known = [key for key in columns(taxonomy) if key[1] == "surveillance" or key[0] == "action"]
    rows = evaluation.rows(taxonomy, logits, examples, [identity(taxonomy)] * 3, known=known)
    assert rows[0].given["rationales"] == ["surveillance"]
    assert "status" not in rows[0].given
    figures = evaluation.result(taxonomy, rows, system="s", data="d", digest="").figures
    assert "status accuracy" not in figures


@pytest.mark.parametrize(
    ("date", "year"), [("2024-03-01", "2024"), (None, "unknown"), ("March 2024", "unknown")]
)
def test_evaluation_slice_of_the_year(make_example: Make, date: str | None, year: str) -> None:
    assert evaluation.slices(make_example(date=date))["year"] == year


@pytest.mark.parametrize(
    ("shown", "hit", "overlap"),
    [(Span(0, 7), True, False), (Span(16, 24), True, True), (Span(40, 50), False, False)],
)
def test_evaluation_evidence_hits_in_the_sentence_and_overlaps_in_the_words(
    make_example: Make, taxonomy: Taxonomy, shown: Span, hit: bool, overlap: bool
) -> None:
    example = make_example(
        text="Ostrava listed a Belmarsh lens. Nobody in the town cares.",
        evidence={"action": [Span(15, 30)]},
    )
    verdict = Verdict(
        relevance=1,
        labels={"action": Label("export_control", 0.9, [shown])},
        scores={},
        facts=[],
        doubts=[],
        background=[],
    )
    logits = gold([example], taxonomy) * 20 - 10
    [row] = evaluation.rows(taxonomy, logits, [example], [identity(taxonomy)], [verdict])
    assert [(s.kind, s.hit, s.overlap) for s in row.shown] == [("action", hit, overlap)]
    assert row.words == {"action=export_control": [shown]}


def test_evaluation_of_a_system_without_an_axis_has_no_figures_of_it(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    """Not even when the axis is the primary one and the system has scores."""
    examples = [recalling(make_example, n, ["surveillance"], []) for n in range(3)]
    known = [key for key in columns(taxonomy) if key[0] == "rationales"]
    found = evaluation.rows(
        taxonomy,
        gold(examples, taxonomy) * 20 - 10,
        examples,
        [identity(taxonomy)] * 3,
        known=known,
    )
    result = evaluation.result(taxonomy, found, system="s", data="d", digest="", draws=20)
    assert result.figures["rationales micro-F1"].value == 1.0
    assert not [n for n in result.figures if n.startswith(("action", "status", "relev", "left"))]
    assert list(result.labels) == ["rationales"]
    assert result.labels["rationales"]["surveillance"].value == 1.0


def test_evaluation_a_file_name_does_not_break_the_table() -> None:
    from whereas.report import markdown

    one = Result(system="s", data="a|b", documents=1, digest="", figures={}, labels={})
    assert markdown([one]).splitlines()[0] == r"| figure | a\|b: n | a\|b: s |"
