"""Labelled examples: every kind of problem is found, and a split is for ever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whereas import corpus
from whereas.errors import WhereasError
from whereas.records import Example, GoldFact, Span, text_digest
from whereas.taxonomy import Taxonomy

Make = Callable[..., Example]

LABELS = {
    "action": "export_control",
    "secondary_actions": [],
    "rationales": ["surveillance"],
    "background_rationales": [],
    "status": "announced",
}


# ------------------------------------------------------------------ problems


def test_corpus_example_without_problems_has_none(make_example: Make, taxonomy: Taxonomy) -> None:
    example = make_example(
        evidence={"action": [Span(0, 7)], "surveillance": [Span(0, 7, "title")]},
        facts=[GoldFact(slot="authority", text="Ostrava", start=0, end=7)],
        digest=text_digest(make_example().text),
    )
    assert list(corpus.problems([example], taxonomy)) == []


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "digest of another text": ({"digest": text_digest("x")}, "digest is not that of the text"),
    "unknown axis": ({"labels": LABELS | {"actions": ["visa_ban"]}}, "no axis 'actions'"),
    "misspelt axis": (
        {"labels": LABELS | {"rationale": ["cyber"]}},
        "no axis 'rationale'. Did you mean rationales? Axes: action, ",
    ),
    "missing primary": ({"labels": {"rationales": ["cyber"]}}, "action must be one label"),
    "list for one label": ({"labels": LABELS | {"status": ["announced"]}}, "status must be one"),
    "one label for a list": (
        {"labels": LABELS | {"rationales": "military"}},
        "rationales must be a list",
    ),
    "unknown label": (
        {"labels": LABELS | {"rationales": ["forced_labour"]}},
        "'forced_labour' is not a label of rationales. Did you mean forced_labor?",
    ),
    "repeated label": (
        {"labels": LABELS | {"rationales": ["cyber", "cyber"]}},
        "rationales repeats a label",
    ),
    "too many labels": (
        {"labels": LABELS | {"secondary_actions": ["relief", "report", "guidance", "statement"]}},
        "secondary_actions has more than 3 labels",
    ),
    "irrelevant with a ground": (
        {"labels": LABELS | {"action": "none", "status": "background"}},
        "none excludes rationales",
    ),
    "irrelevant with a second action": (
        {"labels": LABELS | {"action": "none", "rationales": [], "secondary_actions": ["relief"]}},
        "none excludes secondary_actions",
    ),
    "evidence for a label it has not": (
        {"evidence": {"military": [Span(0, 7)]}},
        "evidence for 'military'",
    ),
    "evidence for a background label it has not": (
        {"evidence": {"background:surveillance": [Span(0, 7)]}},
        "evidence for 'background:surveillance'",
    ),
    "evidence for a misspelt label": (
        {"evidence": {"survelliance": [Span(0, 7)]}},
        "among its labels. Did you mean surveillance? Its keys: action, surveillance",
    ),
    "evidence for the primary under its label": (
        {"evidence": {"export_control": [Span(0, 7)]}},
        "evidence for 'export_control'",
    ),
    "evidence beyond the text": ({"evidence": {"action": [Span(0, 999)]}}, "0-999 lies outside"),
    "evidence beyond the title": (
        {"evidence": {"action": [Span(0, 50, "title")]}},
        "0-50 lies outside the title",
    ),
    "evidence before the text": ({"evidence": {"action": [Span(-1, 4)]}}, "-1-4 lies outside"),
    "empty evidence": ({"evidence": {"action": [Span(4, 4)]}}, "4-4 lies outside"),
    "evidence the wrong way round": ({"evidence": {"action": [Span(7, 4)]}}, "7-4 lies outside"),
    "fact that is not the text": (
        {"facts": [GoldFact(slot="target", text="Belmarsh", start=0, end=8)]},
        "fact target: 0-8 is not 'Belmarsh'",
    ),
    "fact from the end": (
        {"facts": [GoldFact(slot="target", text="dissidents", start=-11, end=-1)]},
        "fact target",
    ),
    "empty fact": ({"facts": [GoldFact(slot="target", text="", start=3, end=3)]}, "fact target"),
}


@pytest.mark.parametrize(("fields", "message"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_corpus_problem_is_reported_once_with_the_id(
    make_example: Make, taxonomy: Taxonomy, fields: dict[str, Any], message: str
) -> None:
    [problem] = corpus.problems([make_example(**fields)], taxonomy)
    assert problem.startswith("one: ")
    assert message in problem


def test_corpus_id_that_appears_twice_is_reported(make_example: Make, taxonomy: Taxonomy) -> None:
    found = list(corpus.problems([make_example(), make_example()], taxonomy))
    assert found == ["one: id appears twice"]


def test_corpus_axis_that_was_not_asked_may_be_absent(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    example = make_example(labels={"action": "visa_ban", "rationales": []})
    assert list(corpus.problems([example], taxonomy)) == []
    assert example.answers(taxonomy.axis_names) == {"action": ["visa_ban"], "rationales": []}


def test_corpus_irrelevant_example_may_recall_grounds(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    labels = {
        "action": "none",
        "secondary_actions": [],
        "rationales": [],
        "background_rationales": ["cyber"],
        "status": "background",
    }
    assert list(corpus.problems([make_example(labels=labels)], taxonomy)) == []


def test_corpus_evidence_may_be_for_a_background_label(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    example = make_example(
        labels=LABELS | {"background_rationales": ["cyber"]},
        evidence={"background:cyber": [Span(0, 7)]},
    )
    assert list(corpus.problems([example], taxonomy)) == []


def test_corpus_reported_has_no_problems(repository: Path, taxonomy: Taxonomy) -> None:
    examples = corpus.read(repository / "training" / "corpus" / "reported.jsonl")
    assert len(examples) > 1000
    assert list(corpus.problems(examples, taxonomy)) == []
    assert all(example.event for example in examples)


# ------------------------------------------------------------------ read


def test_corpus_read_gives_back_what_was_written(tmp_path: Path, make_example: Make) -> None:
    examples = [make_example(), make_example(id="two", title="🚢")]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n\n".join(msgspec.json.encode(e) for e in examples))
    assert corpus.read(path) == examples


@pytest.mark.parametrize("line", [b"{", b'{"id": "x"}', b"[]", b'{"id": "\xff"}'])
def test_corpus_read_names_the_file_and_line_of_a_bad_example(
    tmp_path: Path, make_example: Make, line: bytes
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(msgspec.json.encode(make_example()) + b"\n\n" + line)
    with pytest.raises(WhereasError, match=r"a\.jsonl:3 is not a labelled document"):
        corpus.read(path)


def test_corpus_read_of_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WhereasError, match="cannot read"):
        corpus.read(tmp_path / "none.jsonl")


# ------------------------------------------------------------------ evidence


def test_corpus_evidence_is_found_by_axis_and_label(make_example: Make, taxonomy: Taxonomy) -> None:
    example = make_example(
        labels=LABELS | {"background_rationales": ["cyber"]},
        evidence={
            "action": [Span(0, 7)],
            "surveillance": [Span(8, 11)],
            "background:cyber": [Span(12, 20)],
        },
    )
    assert corpus.evidence_for(example, taxonomy) == {
        ("action", "export_control"): [Span(0, 7)],
        ("rationales", "surveillance"): [Span(8, 11)],
        ("background_rationales", "cyber"): [Span(12, 20)],
        ("status", "announced"): [Span(0, 7)],
    }


def test_corpus_evidence_of_a_label_without_quotes_is_left_out(
    make_example: Make, taxonomy: Taxonomy
) -> None:
    assert corpus.evidence_for(make_example(), taxonomy) == {}


# ------------------------------------------------------------------ split


@pytest.mark.parametrize(
    ("event", "salt", "place"),
    [
        ("belmarsh", "", 0.5340),
        ("norvane-appeal", "", 0.3961),
        ("🚢", "", 0.9909),
        ("belmarsh", "dev", 0.7301),
    ],
)
def test_corpus_event_never_changes_its_place(event: str, salt: str, place: float) -> None:
    assert not corpus.held_out(event, place - 0.001, salt)
    assert corpus.held_out(event, place + 0.001, salt)


@given(st.lists(st.integers(0, 9), max_size=30), st.floats(0, 1), st.text(max_size=3))
def test_corpus_split_keeps_an_event_on_one_side_and_every_example(
    make_example: Make, events: list[int], share: float, salt: str
) -> None:
    examples = [make_example(id=str(k), event=f"event {e}") for k, e in enumerate(events)]
    kept, out = corpus.split(examples, share, salt)
    assert not {e.event for e in kept} & {e.event for e in out}
    assert sorted(e.id for e in kept + out) == sorted(e.id for e in examples)


def test_corpus_split_does_not_depend_on_the_other_examples(make_example: Make) -> None:
    examples = [make_example(id=str(k), event=f"event {k}") for k in range(60)]
    _, out = corpus.split(examples, 0.3)
    _, fewer = corpus.split(examples[::2], 0.3)
    assert fewer == [e for e in out if int(e.id) % 2 == 0]
    assert fewer


def test_corpus_split_holds_out_about_the_share(make_example: Make) -> None:
    examples = [make_example(id=str(k), event=f"event {k}") for k in range(2000)]
    _, out = corpus.split(examples, 0.2)
    assert len(out) == pytest.approx(400, abs=60)  # 3.4 standard deviations


def test_corpus_split_with_another_salt_is_another_split(make_example: Make) -> None:
    examples = [make_example(id=str(k), event=f"event {k}") for k in range(60)]
    assert corpus.split(examples, 0.3, "a") != corpus.split(examples, 0.3, "b")


def test_corpus_split_of_a_larger_share_holds_out_more_of_the_same(make_example: Make) -> None:
    examples = [make_example(id=str(k), event=f"event {k}") for k in range(60)]
    small, large = ({e.id for e in corpus.split(examples, share)[1]} for share in (0.2, 0.5))
    assert small < large


@pytest.mark.parametrize("event", [None, ""])
def test_corpus_split_takes_an_example_without_event_for_an_event_of_its_own(
    make_example: Make, event: str | None
) -> None:
    examples = [make_example(id=f"event {k}", event=event) for k in range(60)]
    named = [make_example(id=str(k), event=f"event {k}") for k in range(60)]
    kept, out = corpus.split(examples, 0.3)
    assert ([e.id for e in kept], [e.id for e in out]) == tuple(
        [e.event for e in side] for side in corpus.split(named, 0.3)
    )
    assert kept
    assert out


# ------------------------------------------------------------------ digest


@given(st.permutations(range(5)))
def test_corpus_digest_does_not_depend_on_the_order(make_example: Make, order: list[int]) -> None:
    examples = [make_example(id=str(k), text=f"Ostrava fined firm {k}.") for k in range(5)]
    assert corpus.digest([examples[k] for k in order]) == corpus.digest(examples)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "two"},
        {"title": "Another"},
        {"text": "Another."},
        {"labels": LABELS | {"status": "reported"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_corpus_digest_changes_with_the_data(make_example: Make, change: dict[str, Any]) -> None:
    assert corpus.digest([make_example()]) != corpus.digest([make_example(**change)])


def test_corpus_digest_counts_a_repeated_example(make_example: Make) -> None:
    assert corpus.digest([make_example()]) != corpus.digest([make_example()] * 2)
