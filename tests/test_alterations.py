"""Edits of a document that its annotations follow."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whereas import alterations
from whereas.alterations import CONFUSIONS, OCR_RATE, Alteration, Edit, altered, apply
from whereas.records import Example, GoldFact, Span

TEXT = "The Commerce Department said the Entity List hits firms, because rights abuses went on."


def spin(text: str, seed: int = 1) -> str:
    return apply(text, alterations.spun(alterations.spun_words())(text, random.Random(seed)))


def example(text: str, *spans: tuple[int, int]) -> Example:
    return Example(
        id="e",
        title="",
        text=text,
        labels={},
        evidence={f"label{n}": [Span(*span)] for n, span in enumerate(spans)},
        facts=[GoldFact(slot="count", text=text[a:b], start=a, end=b) for a, b in spans],
    )


def quotes(one: Example) -> list[str]:
    return [one.text[s.start : s.end] for spans in one.evidence.values() for s in spans]


def test_alterations_spin_replaces_words_of_the_field_by_its_table() -> None:
    spun = spin(TEXT)
    assert "Commerce Department" not in spun
    assert "Entity List " not in spun
    assert any(word in spun for word in ("mentioned", "stated"))
    assert "went on." in spun


def test_alterations_spin_leaves_parts_of_words_alone() -> None:
    assert spin("Maybe the billet is unfinished").startswith("Maybe")


def test_alterations_every_spun_word_differs_from_its_original() -> None:
    for word, variants in alterations.spun_words().items():
        assert variants
        assert all(v and v != word for v in variants)


def test_alterations_scan_confuses_a_few_characters() -> None:
    text = "The ministry listed ten makers of lenses in Olomouc. " * 60
    read = apply(text, alterations.scanned()(text, random.Random(1)))
    letters = sum(c in CONFUSIONS for c in text)
    assert read != text
    assert 0 < read.count("- ") < 0.1 * len(text.split())
    assert sum(c in "10c5" for c in read) < 3 * OCR_RATE * letters


def test_alterations_casing_keeps_the_length() -> None:
    text = "Straße İstanbul ﬁne"
    edits = alterations.cased(str.upper)(text, random.Random(1))
    assert len(apply(text, edits)) == len(text)
    assert apply(text, edits).startswith("STRAßE")


def test_alterations_cut_of_a_short_text_is_nothing() -> None:
    assert alterations.cut(5)("a b", random.Random(1)) == []


@pytest.mark.parametrize(
    ("edits", "before", "after"),
    [
        ([Edit(0, 0, "Menu. ")], "Ostrava", "Ostrava"),
        ([Edit(0, 7, "Brno")], "Ostrava", "Brno"),
        ([Edit(8, 13, "names")], "Ostrava lists", "Ostrava names"),
        ([Edit(13, 23, "")], "Belmarsh", None),
        ([Edit(18, 23, "")], "Belmarsh", "Belm"),
        ([Edit(16, 16, "- ")], "Belmarsh", "Be- lmarsh"),
        ([Edit(13, 14, "\n")], "Belmarsh", "Belmarsh"),
        ([Edit(14, 14, "old ")], "Belmarsh", "Belmarsh"),
        ([Edit(13, 13, " now")], "Ostrava lists", "Ostrava lists"),
        ([Edit(8, 16, "names B")], "Belmarsh", "names Blmarsh"),
        ([Edit(8, 16, "names B")], "Ostrava lists", "Ostrava names B"),
    ],
)
def test_alterations_quotes_follow_edits(edits: list[Edit], before: str, after: str | None) -> None:
    text = "Ostrava lists Belmarsh."
    start = text.index(before)
    moved = altered(example(text, (start, start + len(before))), "text", edits)
    assert quotes(moved) == ([] if after is None else [after])
    assert [f.text for f in moved.facts] == quotes(moved)


def test_alterations_of_the_title_leave_spans_of_the_text() -> None:
    one = example("Ostrava lists Belmarsh.", (0, 7))
    moved = altered(one, "title", [Edit(0, 0, "News: ")])
    assert (moved.title, moved.evidence) == ("News: ", one.evidence)


def followed(text: str, edits: list[Edit], a: int, b: int) -> str:
    """What a span becomes, letter by letter: those of its own that stay, the words that replace
    some of them, and what is inserted among them."""
    result, at = "", 0
    for edit in [*edits, Edit(len(text), len(text), "")]:
        result += "".join(text[k] for k in range(at, edit.start) if a <= k < b)
        inserted = edit.start == edit.end
        touches = a < edit.start < b if inserted else edit.start < b and edit.end > a
        result += edit.new if touches else ""
        at = edit.end
    return result


SPANNED = st.text(alphabet="abcdefghl meSo.\n", min_size=1, max_size=80)


def assert_span_follows(text: str, edits: list[Edit], data: st.DataObject) -> None:
    a = data.draw(st.integers(0, len(text) - 1))
    b = data.draw(st.integers(a + 1, len(text)))
    moved = altered(example(text, (a, b)), "text", edits)
    wanted = followed(text, edits, a, b)
    assert quotes(moved) == ([wanted] if wanted else [])
    assert [fact.text for fact in moved.facts] == quotes(moved)
    assert [moved.text[f.start : f.end] for f in moved.facts] == quotes(moved)


@pytest.mark.parametrize(
    "alteration",
    [
        alterations.scanned(0.3),
        alterations.spun({"a": ["bcd", "x y"], "me": ["us"]}),
        alterations.cased(str.upper),
        alterations.surrounded(["Menu"], ["Imprint"]),
        alterations.cut(3),
    ],
)
@given(SPANNED, st.integers(0, 9), st.data())
def test_alterations_spans_follow(
    alteration: Alteration, text: str, seed: int, data: st.DataObject
) -> None:
    assert_span_follows(text, alteration(text, random.Random(seed)), data)


@given(SPANNED, st.data())
def test_alterations_spans_follow_any_edits(text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=8)))
    new = st.text(alphabet="XYZ", max_size=3)
    edits = [Edit(a, b, data.draw(new)) for a, b in zip(ends[::2], ends[1::2], strict=False)]
    assert_span_follows(text, edits, data)
