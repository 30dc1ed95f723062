"""Sentences end where a reader would end them, and lose no word."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whereas.sentences import MAX_CHARS, split

WRAPPED = """\
The trade ministry said on Monday that it had put Norvane Optics on
its export list because cameras of the firm were used to follow the
members of a minority. Its lawyer said in Ostrava that an appeal to
the court was being prepared and would be lodged before the summer.
"""


def pieces(text: str) -> list[str]:
    return [text[span.start : span.end] for span in split(text)]


@pytest.mark.parametrize(
    "sentence",
    [
        "The agency cited 15 C.F.R. § 744.11(b) in its notice.",
        "It fined Belmarsh Co. Ltd. on Monday.",
        "The act, 22 U.S.C. § 2304, was named too.",
        "Dr. A. B. Marek of Quillon Inc. was charged.",
        "The hearing began at 9.30 a.m. on Friday.",
        "The fine was $1.5 million.",
    ],
)
def test_sentences_stop_inside_a_sentence_does_not_end_it(sentence: str) -> None:
    assert pieces(f"{sentence} Norvane objected.") == [sentence, "Norvane objected."]


def test_sentences_heading_alone_on_a_line_stands_alone() -> None:
    first = "The ministry added Norvane to its list because cameras of the firm followed people."
    assert pieces(f"What was decided\n{first}\nReaction of the firm\nIt will appeal.") == [
        "What was decided",
        first,
        "Reaction of the firm",
        "It will appeal.",
    ]


def test_sentences_heading_before_a_blank_line_stands_alone() -> None:
    assert (
        pieces("Supplementary information\n\nThe rule follows.")[0] == "Supplementary information"
    )


def test_sentences_of_hard_wrapped_text_are_joined() -> None:
    found = pieces(WRAPPED)
    assert [" ".join(piece.split()) for piece in found] == [
        "The trade ministry said on Monday that it had put Norvane Optics on its export list "
        "because cameras of the firm were used to follow the members of a minority.",
        "Its lawyer said in Ostrava that an appeal to the court was being prepared and would be "
        "lodged before the summer.",
    ]


def test_sentences_blank_line_ends_a_sentence_without_a_stop() -> None:
    first = WRAPPED.removesuffix(".\n") + " and"
    second = "the ministry will hear the lawyer of the firm in Ostrava by then."
    assert pieces(f"{first}\n\n{second}")[-1] == second


def test_sentences_of_hard_wrapped_text_keep_greeting_and_name_apart() -> None:
    found = pieces("Dear colleagues,\n" + WRAPPED + "Regards\nAna Terek\n")
    assert (found[0], found[-2:]) == ("Dear colleagues,", ["Regards", "Ana Terek"])


def test_sentences_word_before_a_stop_at_the_start_of_a_wrapped_line_is_no_list_item() -> None:
    text = WRAPPED.replace(
        "cameras of the firm were used to follow the\nmembers of a minority.",
        "cameras of the firm were sold to dodge the\nban.",
    )
    assert "ban." in text
    assert not any(piece.startswith("ban.") for piece in pieces(text))


def test_sentences_bracket_at_the_end_of_a_wrapped_line_ends_nothing() -> None:
    text = WRAPPED.replace(
        "on Monday that it had put Norvane Optics on\nits",
        "on Monday that it had put Norvane (a firm)\non its",
    )
    assert "(a firm)\non" in text
    assert len(pieces(text)) == 2


def test_sentences_paragraph_a_line_ends_with_its_line() -> None:
    lines = [
        "A first paragraph that has no full stop and goes on for rather longer than the others do",
        "A second one",
        "And a third of middling length, without a stop",
    ]
    assert pieces("\n".join(lines)) == lines


def test_sentences_table_rows_of_equal_length_end_with_their_line() -> None:
    rows = ["Norvane Optics | Ostrava", "Belmarsh Group | Zilinas", "Quillon Marine | Pelham "]
    assert pieces("\n".join(rows)) == [row.strip() for row in rows]


@pytest.mark.parametrize("mark", ["-", "*", "•", "–", "1.", "12)", "(a)", "(iv)", "b."])
def test_sentences_list_item_begins_a_sentence(mark: str) -> None:
    text = (
        WRAPPED.rstrip(".\n")
        + f" for\n{mark} cameras that see in the dark and the lenses that are made for them"
    )
    assert pieces(text)[-1].startswith(f"{mark} cameras")


def test_sentences_table_too_long_is_cut_at_line_ends() -> None:
    row = "Norvane Optics | Ostrava | 14 cameras"
    text = "\n".join([row] * 60)
    found = pieces(text)
    assert all(len(piece) <= MAX_CHARS for piece in found)
    assert all(line == row for piece in found for line in piece.split("\n"))


def test_sentences_list_too_long_is_cut_at_semicolons() -> None:
    found = pieces("The order names " + "Norvane Optics, of Ostrava; " * 60)
    assert len(found) > 1
    assert all(len(piece) <= MAX_CHARS and piece.endswith(";") for piece in found)


def test_sentences_run_of_words_too_long_is_cut_at_spaces() -> None:
    found = pieces("Norvane " * 300)
    assert len(found) > 1
    assert all(len(p) <= MAX_CHARS and set(p.split()) == {"Norvane"} for p in found)


def test_sentences_word_too_long_is_cut_at_the_limit() -> None:
    assert [len(p) for p in pieces("x" * (2 * MAX_CHARS + 5))] == [MAX_CHARS, MAX_CHARS, 5]


@pytest.mark.parametrize("text", ["", " \n\n\t", "—", "***\n\n* * *", "!?"])
def test_sentences_text_without_a_word_has_none(text: str) -> None:
    assert split(text) == []


def test_sentences_one_word_is_one() -> None:
    assert pieces("  No\n") == ["No"]


PARTS = st.sampled_from(
    [
        "Norvane",
        "Co. Ltd.",
        "15 C.F.R. § 744.11(b)",
        "U.S.",
        "said",
        "“no.”",
        ".",
        ";",
        "! ",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "\xa0",
        "- ",
        "(a) ",
        "é",
        "e\u0301",
        "🚢",
        "word " * 40,
        "x" * 900,
        "中文。",
    ]
)


@given(st.lists(PARTS, max_size=30).map("".join) | st.text(max_size=200))
def test_sentences_are_ordered_disjoint_trimmed_short_and_hold_every_word(text: str) -> None:
    spans = split(text)
    at = 0
    for span in spans:
        assert at <= span.start < span.end <= len(text)
        piece = text[span.start : span.end]
        assert piece == piece.strip()
        assert re.search(r"\w", piece)
        assert len(piece) <= MAX_CHARS
        at = span.end
    inside = {i for span in spans for i in range(span.start, span.end)}
    assert {m.start() for m in re.finditer(r"\w", text)} <= inside
