"""Documents are cut into windows that hold every sentence once."""

from __future__ import annotations

from collections import Counter
from string import ascii_lowercase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace

from whereas.encoder import (
    MAX_TITLE_PIECES,
    POSITION_FEATURES,
    Reading,
    Window,
    WindowSpec,
    _pool,
    cut,
    pad,
    position_features,
)
from whereas.records import Document, Span

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
VOCABULARY = [*SPECIAL, ".", *ascii_lowercase, *(f"##{letter}" for letter in ascii_lowercase)]
IDS = {piece: k for k, piece in enumerate(VOCABULARY)}
CLS, SEP = IDS["[CLS]"], IDS["[SEP]"]
SMALL = WindowSpec(pieces=64)
ENDLESS = WindowSpec(pieces=64, budget=10_000)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A piece a letter or full stop; a word with any other character is one unknown piece."""
    made = Tokenizer(WordPiece(IDS, unk_token="[UNK]", max_input_chars_per_word=10_000))
    made.pre_tokenizer = Whitespace()
    return made


def document(text: str, title: str = "") -> Document:
    return Document(id="1", title=title, text=text, origin="")


def pieces_of(reading: Reading) -> list[tuple[int, int, int, int]]:
    """(sentence, start, end, id) of every piece inside a sentence, in order."""
    return [
        (int(s), int(a), int(b), int(i))
        for w in reading.windows
        for s, a, b, i in zip(w.sentence, w.start, w.end, w.ids, strict=True)
        if s >= 0
    ]


def lines(*lengths: int) -> str:
    """Sentences of so many pieces each (a letter word and a full stop), one a paragraph."""
    return "\n\n".join("x" * (length - 1) + "." for length in lengths)


# ------------------------------------------------------------------ cut


def test_encoder_cut_builds_title_and_sentences_into_a_window(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document("ab. c.", "de"), SMALL)
    [window] = reading.windows
    assert [VOCABULARY[i] for i in window.ids] == (
        ["[CLS]", "d", "##e", "[SEP]", "a", "##b", ".", "c", ".", "[SEP]"]
    )


def test_encoder_cut_numbers_title_and_sentences(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document("ab.\n\nc.", "de"), SMALL)
    assert reading.sentences == [Span(0, 2, "title"), Span(0, 3), Span(5, 7)]
    assert reading.windows[0].sentence.tolist() == [-1, 0, 0, -1, 1, 1, 1, 2, 2, -1]


def test_encoder_cut_gives_offsets_in_the_field(tokenizer: Tokenizer) -> None:
    [window] = cut(tokenizer, document("ab.\n\nc.", "de"), SMALL).windows
    assert window.start.tolist() == [0, 0, 1, 0, 0, 1, 2, 5, 6, 0]
    assert window.end.tolist() == [0, 1, 2, 0, 1, 2, 3, 6, 7, 0]


def test_encoder_cut_keeps_sentences_whole_where_they_fit(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document(lines(40, 20, 30, 31)), SMALL)  # room: 64 - 3
    owners = [sorted(set(w.sentence.tolist()) - {-1}) for w in reading.windows]
    assert owners == [[0, 1], [2, 3]]


def test_encoder_cut_spreads_a_sentence_longer_than_a_window(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document(lines(5, 150, 5)), SMALL)
    owners = [sorted(set(w.sentence.tolist()) - {-1}) for w in reading.windows]
    assert owners == [[0], [1], [1], [1, 2]]
    assert Counter(p[0] for p in pieces_of(reading)) == {0: 5, 1: 150, 2: 5}


def test_encoder_cut_puts_the_title_before_every_window(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document(lines(50, 50, 50), "de"), SMALL)
    assert len(reading.windows) == 3
    for window in reading.windows:
        assert window.ids[:4].tolist() == [CLS, IDS["d"], IDS["##e"], SEP]


def test_encoder_cut_counts_the_title_as_a_sentence_in_the_first_window_only(
    tokenizer: Tokenizer,
) -> None:
    reading = cut(tokenizer, document(lines(50, 50, 50), "de"), SMALL)
    assert [w.sentence[1:3].tolist() for w in reading.windows] == [[0, 0], [-1, -1], [-1, -1]]


def test_encoder_cut_shortens_a_long_title(tokenizer: Tokenizer) -> None:
    """To its most pieces, or to half of a small window: the text must have room."""
    large = cut(tokenizer, document("ab.", "d" * 100), WindowSpec(256, 4))
    assert large.windows[0].sentence.tolist().count(0) == MAX_TITLE_PIECES
    small = cut(tokenizer, document("ab.", "d" * 100), SMALL)
    assert small.windows[0].sentence.tolist().count(0) == SMALL.pieces // 2
    assert large.sentences[0] == Span(0, 100, "title")


def test_encoder_cut_reads_no_more_windows_than_the_budget(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document(lines(50, 50, 50, 50, 50)), WindowSpec(64, 2))
    assert (len(reading.windows), len(reading.sentences), reading.unread) == (2, 2, 3)


def test_encoder_cut_within_the_budget_leaves_nothing_unread(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document(lines(50, 50)), WindowSpec(64, 2))
    assert (len(reading.sentences), reading.unread) == (2, 0)


def test_encoder_cut_reads_as_much_of_a_sentence_as_the_budget_holds(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document(lines(50, 150, 50)), WindowSpec(64, 2))
    assert Counter(p[0] for p in pieces_of(reading)) == {0: 50, 1: 61}
    assert (len(reading.sentences), reading.unread) == (2, 1)


def test_encoder_cut_fills_the_last_window_with_sentences_of_one_piece(
    tokenizer: Tokenizer,
) -> None:
    reading = cut(tokenizer, document("\n\n".join("x" * 100)), WindowSpec(64, 1))
    assert (len(reading.sentences), reading.unread) == (61, 39)


def test_encoder_cut_of_an_empty_document_is_one_empty_window(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document(" \n", "  "), SMALL)
    assert (reading.sentences, reading.unread) == ([], 0)
    assert [w.ids.tolist() for w in reading.windows] == [[CLS, SEP, SEP]]
    assert pieces_of(reading) == []


def test_encoder_cut_of_a_title_alone_has_one_sentence(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document("", "de"), SMALL)
    assert reading.sentences == [Span(0, 2, "title")]
    assert [p[0] for p in pieces_of(reading)] == [0, 0]


def test_encoder_cut_of_a_text_without_title_starts_with_its_first_sentence(
    tokenizer: Tokenizer,
) -> None:
    reading = cut(tokenizer, document("ab."), SMALL)
    assert reading.sentences == [Span(0, 3)]
    assert reading.windows[0].sentence.tolist() == [-1, -1, 0, 0, 0, -1]


WORDS = st.sampled_from(["ab", "norvane", "x" * 90, "🚢", "café", "cafe\u0301", "§", "14", "Co."])
TEXTS = st.lists(
    st.lists(WORDS, max_size=12).map(lambda words: " ".join([*words, "end."])), max_size=12
).flatmap(lambda sentences: st.sampled_from([" ", "\n", "\n\n"]).map(lambda s: s.join(sentences)))
TITLES = st.lists(WORDS, max_size=8).map(" ".join)


@given(TEXTS, TITLES)
def test_encoder_cut_reads_every_character_of_every_sentence_once(
    tokenizer: Tokenizer, text: str, title: str
) -> None:
    reading = cut(tokenizer, document(text, title), ENDLESS)
    assert reading.unread == 0
    times = Counter(
        i
        for s, a, b, _ in pieces_of(reading)
        if reading.sentences[s].field == "text"
        for i in range(a, b)
    )
    assert times == Counter(i for i, character in enumerate(text) if not character.isspace())


@given(TEXTS, TITLES)
def test_encoder_cut_offsets_point_at_the_characters_of_their_piece(
    tokenizer: Tokenizer, text: str, title: str
) -> None:
    made = document(text, title)
    reading = cut(tokenizer, made, SMALL)
    for s, a, b, piece in pieces_of(reading):
        sentence = reading.sentences[s]
        assert sentence.start <= a < b <= sentence.end
        quote = made.quote(Span(a, b, sentence.field))
        if VOCABULARY[piece] == "[UNK]":
            assert set(quote) - set(ascii_lowercase)
        else:
            assert quote == VOCABULARY[piece].removeprefix("##")


@given(TEXTS, TITLES, st.integers(1, 5))
def test_encoder_cut_windows_hold_to_pieces_and_budget(
    tokenizer: Tokenizer, text: str, title: str, budget: int
) -> None:
    reading = cut(tokenizer, document(text, title), WindowSpec(64, budget))
    assert 1 <= len(reading.windows) <= budget
    for window in reading.windows:
        assert len(window.ids) <= 64
        assert len(window.ids) == len(window.sentence) == len(window.start) == len(window.end)
        assert (window.ids[0], window.ids[-1]) == (CLS, SEP)


@given(TEXTS, TITLES, st.integers(1, 5))
def test_encoder_cut_every_sentence_is_either_read_or_counted_as_unread(
    tokenizer: Tokenizer, text: str, title: str, budget: int
) -> None:
    everything = cut(tokenizer, document(text, title), ENDLESS).sentences
    reading = cut(tokenizer, document(text, title), WindowSpec(64, budget))
    assert reading.sentences == everything[: len(everything) - reading.unread]
    assert {p[0] for p in pieces_of(reading)} == set(range(len(reading.sentences)))


# ------------------------------------------------------------------ position features


def test_encoder_position_marks_title_first_and_next_two() -> None:
    spans = [Span(0, 2, "title"), *(Span(k, k + 1) for k in range(5))]
    got = position_features(spans)
    assert got.shape == (6, POSITION_FEATURES)
    assert got[:, 0].tolist() == [1, 0, 0, 0, 0, 0]
    assert got[:, 1].tolist() == [0, 1, 0, 0, 0, 0]
    assert got[:, 2].tolist() == [0, 0, 1, 1, 0, 0]


def test_encoder_position_is_relative_to_the_body() -> None:
    spans = [Span(0, 2, "title"), *(Span(k, k + 1) for k in range(4))]
    assert position_features(spans)[:, 4].tolist() == [0, 0, 0.25, 0.5, 0.75]


def test_encoder_position_grows_with_the_logarithm_of_the_index() -> None:
    got = position_features([Span(k, k + 1) for k in range(8)])
    assert got[:, 3] == pytest.approx(np.log1p(np.arange(8)) / 5)


def test_encoder_position_tells_the_length_of_the_document_everywhere() -> None:
    got = position_features([Span(0, 2, "title"), Span(0, 1), Span(1, 2)])
    assert got[:, 5] == pytest.approx([np.log(4) / 5] * 3)


def test_encoder_position_of_the_body_does_not_depend_on_a_title() -> None:
    body = [Span(k, k + 1) for k in range(4)]
    with_title = position_features([Span(0, 2, "title"), *body])[1:, :5]
    assert np.array_equal(with_title, position_features(body)[:, :5])


def test_encoder_position_of_nothing_is_empty() -> None:
    assert position_features([]).shape == (0, POSITION_FEATURES)


# ------------------------------------------------------------------ pad, pool


def window(*ids: int) -> Window:
    values = np.array(ids, np.int64)
    return Window(values, values, values, values)


def test_encoder_pad_fills_short_windows_on_the_right() -> None:
    ids, mask = pad([window(2, 7, 3), window(2, 3)])
    assert ids.tolist() == [[2, 7, 3], [2, 3, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 1, 0]]


def states_of(reading: Reading) -> list[np.ndarray]:
    """[L, 2] a window: made-up token states, each its own."""
    random = np.random.default_rng(0)
    return [random.normal(size=(len(w.ids), 2)).astype(np.float32) for w in reading.windows]


def test_encoder_pool_takes_the_mean_of_the_tokens_of_a_sentence(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document(lines(5, 150, 5), "de"), SMALL)
    hidden = states_of(reading)
    got = _pool(reading, list(zip(reading.windows, hidden, strict=True)))
    for k in range(len(reading.sentences)):
        mine = [
            state
            for w, states in zip(reading.windows, hidden, strict=True)
            for owner, state in zip(w.sentence, states, strict=True)
            if owner == k
        ]
        assert got.sentences[k] == pytest.approx(np.mean(mine, 0), abs=1e-6)


def test_encoder_pool_leaves_out_tokens_of_no_sentence(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document(lines(50, 50), "de"), SMALL)
    got = _pool(reading, list(zip(reading.windows, states_of(reading), strict=True)))
    assert len(got.tokens) == len(got.owner) == len(got.start) == len(got.end) == 102
    assert got.owner.min() == 0


def test_encoder_pool_of_an_empty_document_is_empty(tokenizer: Tokenizer) -> None:
    reading = cut(tokenizer, document(""), SMALL)
    got = _pool(reading, list(zip(reading.windows, states_of(reading), strict=True)))
    assert (got.sentences.shape, got.tokens.shape) == ((0, 2), (0, 2))
