"""Values and spans of facts."""

import pytest

from whereas.facts import value, whole_words
from whereas.records import Document, Span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14", 14),
        ("fourteen", 14),
        ("more than 1,200 entities", 1200),
        ("Twenty-three", 23),
        ("two dozen", 24),
        ("several", "several"),
        ("at least 33", 33),
        ("two hundred", 200),
        ("one hundred and fourteen", 114),
        ("thirty one", 31),
        ("a dozen", 12),
        ("12 million", 12_000_000),
        ("three thousand two hundred", 3200),
        ("14 of 34", 14),
        ("9.", 9),
        ("2.5 million", "2.5 million"),
    ],
)
def test_facts_count_in_digits_or_words(text: str, expected: int | str) -> None:
    assert value("count", text) == expected


def test_facts_other_slots_keep_their_text() -> None:
    assert value("instrument", "Executive Order 14059") == "Executive Order 14059"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (4, 9, "Belmarsh"),  # cut inside the word
        (3, 20, "Belmarsh Optics"),  # spaces and the comma left out
        (23, 26, "“dual"),  # an opening quotation mark belongs to what it opens
        (46, 47, "China’s"),  # an apostrophe parts no word
    ],
)
def test_facts_spans_are_whole_words(start: int, end: int, expected: str) -> None:
    text = "At  Belmarsh Optics, a “dual” use rule, China’s"
    document = Document(id="1", title="", text=text, origin="x")
    span = whole_words(document, Span(start, end), Span(0, len(text)))
    assert document.quote(span) == expected
