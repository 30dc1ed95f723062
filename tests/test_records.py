"""Records keep their JSON, ids and offsets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whereas.records import (
    Brief,
    BriefSentence,
    Document,
    Example,
    Fact,
    GoldFact,
    Label,
    Outcome,
    Span,
    content_id,
    text_digest,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)  # JSON holds no surrogates
SCORE = st.floats(0, 1)
SPAN = st.builds(Span, st.integers(0, 10**6), st.integers(0, 10**6))
LABEL = st.builds(Label, TEXT, SCORE, st.lists(SPAN, max_size=3))
FACT = st.builds(
    Fact,
    slot=TEXT,
    value=TEXT | st.integers(-(2**53), 2**53),
    text=TEXT,
    start=st.integers(0, 99),
    end=st.integers(0, 99),
    score=SCORE,
)
BRIEF = st.builds(
    Brief, TEXT, st.lists(st.builds(BriefSentence, TEXT, st.lists(SPAN, max_size=2)), max_size=2)
)
META = st.dictionaries(TEXT, TEXT | st.integers(0, 99) | st.booleans() | st.none(), max_size=3)
RECORDS: dict[Any, st.SearchStrategy[Any]] = {
    Document: st.builds(
        Document, id=TEXT, title=TEXT, text=TEXT, origin=TEXT, date=TEXT | st.none(), meta=META
    ),
    Outcome: st.builds(
        Outcome,
        id=TEXT,
        source=TEXT,
        outcome=st.sampled_from(["ok", "review", "error"]),
        relevance=SCORE | st.none(),
        labels=st.dictionaries(TEXT, LABEL | st.none() | st.lists(LABEL, max_size=2), max_size=3),
        facts=st.lists(FACT, max_size=2),
        brief=BRIEF | st.none(),
        unread_sentences=st.integers(0, 99),
    ),
    Example: st.builds(
        Example,
        id=TEXT,
        title=TEXT,
        text=TEXT,
        labels=st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=2), max_size=3),
        evidence=st.dictionaries(TEXT, st.lists(SPAN, max_size=2), max_size=2),
        facts=st.lists(
            st.builds(GoldFact, slot=TEXT, text=TEXT, start=st.just(0), end=st.just(1)), max_size=2
        ),
        confidence=st.sampled_from(["sure", "unsure", "presumed"]),
        event=TEXT | st.none(),
        key_facts=st.lists(TEXT, max_size=2),
        meta=META,
    ),
}


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_records_come_back_from_json_as_they_were(kind: Any, data: st.DataObject) -> None:
    record = data.draw(RECORDS[kind])
    assert msgspec.json.decode(msgspec.json.encode(record), type=kind) == record


def test_records_span_leaves_the_default_field_out_of_its_json() -> None:
    assert msgspec.json.encode(Span(3, 7)) == b'{"start":3,"end":7}'


def test_records_span_in_the_title_says_so_in_its_json() -> None:
    assert msgspec.json.encode(Span(0, 2, "title")) == b'{"start":0,"end":2,"field":"title"}'


def test_records_span_without_a_field_lies_in_the_text() -> None:
    assert msgspec.json.decode(b'{"start":3,"end":7}', type=Span) == Span(3, 7, "text")


def test_records_span_of_an_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="field"):
        msgspec.json.decode(b'{"start":3,"end":7,"field":"body"}', type=Span)


def test_records_are_immutable() -> None:
    with pytest.raises(AttributeError):
        Span(0, 1).start = 2  # type: ignore[misc]


def test_records_do_not_share_their_default_containers() -> None:
    one, two = (Document(id=i, title="", text="", origin="") for i in "ab")
    one.meta["page"] = 1
    assert two.meta == {}


def test_records_offsets_are_code_points_after_an_emoji() -> None:
    document = Document(id="1", title="", text="🚢🇳🇴 Norvane fined", origin="")
    assert document.quote(Span(4, 11)) == "Norvane"


def test_records_offsets_are_code_points_after_combining_characters() -> None:
    text = "Cafe\u0301 Z\u030cilina banned"
    start = text.index("banned")
    assert start == 14  # each accent is a code point of its own
    document = Document(id="1", title="", text=text, origin="")
    assert document.quote(Span(start, start + 6)) == "banned"


def test_records_quote_takes_the_field_of_its_span() -> None:
    document = Document(id="1", title="Belmarsh listed", text="Ostrava acted.", origin="")
    assert document.quote(Span(0, 8, "title")) == "Belmarsh"


def test_records_fact_keeps_its_field_in_its_span() -> None:
    fact = Fact(slot="count", value=2, text="two", start=4, end=7, score=1.0, field="title")
    assert fact.span == Span(4, 7, "title")


def test_records_content_id_never_changes() -> None:
    assert content_id("Ostrava lists Belmarsh", "Ostrava acted.") == "32b2759be24a9631"


def test_records_content_id_tells_title_from_text() -> None:
    assert content_id("Ostrava", "acted") != content_id("Ostravaacted", "")


def test_records_content_id_takes_a_lone_surrogate() -> None:
    assert len(content_id("", "broken \ud83d here")) == 16


def test_records_text_digest_is_the_sha256_of_the_utf8_bytes() -> None:
    # Test vector of FIPS 180-2, B.1.
    expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert text_digest("abc") == expected


def test_records_example_reads_one_label_as_a_list(make_example: Any) -> None:
    assert make_example().many("action") == ["export_control"]


def test_records_example_reads_a_missing_axis_as_empty(make_example: Any) -> None:
    assert make_example(labels={"action": "none"}).many("rationales") == []


def test_records_example_becomes_its_document(make_example: Any) -> None:
    example = make_example(date="2031-04-02")
    document = example.document("corpus.jsonl#1")
    assert (document.id, document.title, document.text, document.date, document.origin) == (
        example.id,
        example.title,
        example.text,
        "2031-04-02",
        "corpus.jsonl#1",
    )


def test_records_spans_meet_where_they_share_a_code_point() -> None:
    assert Span(0, 5).meets(Span(4, 9))
    assert not Span(0, 5).meets(Span(5, 9))
    assert not Span(0, 5).meets(Span(0, 5, "title"))
