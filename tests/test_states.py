"""Sentence states are computed once, and kept."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import numpy as np
import pytest

from toys import quiet, toy_example
from whereas.records import Example, Span

pytestmark = pytest.mark.train


def read(folder: Path, examples: list[Example], said: list[str] | None = None) -> list:
    from whereas.model import Model
    from whereas.training import states

    model = Model(folder / "model")
    say = quiet if said is None else said.append
    return states.read(model, model.taxonomy, {"toy": examples}, {}, 1.0, say)["toy"]


def test_states_give_the_released_logits_and_those_of_its_heads(
    finished: Path, cache: Path
) -> None:
    from whereas.evaluation import judged
    from whereas.model import Model
    from whereas.training import heads, states

    model = Model(finished / "model")
    examples = [toy_example(n) for n in range(9)]
    right = judged(model, examples)[0]
    said: list[str] = []
    for _ in range(2):
        reads = read(finished, examples, said)
        np.testing.assert_allclose(states.released(model, reads, examples), right, atol=0.02)
        network, _ = heads.new_network(model, model.taxonomy, 0.1)
        np.testing.assert_allclose(heads.logits(network, reads), right, atol=0.02)
    assert said == ["reading toy: 0/9"], "the second time states come from the cache"


def test_states_of_new_documents_only_are_computed(finished: Path, cache: Path) -> None:
    said: list[str] = []
    for count in (3, 5):
        read(finished, [toy_example(n) for n in range(count)], said)
    assert said == ["reading toy: 0/3", "reading toy: 0/2"]


def test_states_do_not_depend_on_labels(finished: Path, cache: Path) -> None:
    said: list[str] = []
    for fruit in ("apple", "pear"):
        example = msgspec.structs.replace(toy_example(2), labels={"fruit": fruit}, evidence={})
        read(finished, [example], said)
    assert said == ["reading toy: 0/1"]


def test_states_are_in_the_order_of_the_documents(finished: Path, cache: Path) -> None:
    examples = [toy_example(n) for n in range(9)]
    first = read(finished, examples)
    second = read(finished, examples[::-1])[::-1]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.states, other.states)


def test_states_killed_reading_goes_on(
    finished: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whereas.training import states

    monkeypatch.setattr(states, "CHUNK", 4)
    examples = [toy_example(n) for n in range(9)]

    def killed(line: str) -> None:
        if line == "reading toy: 4/9":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        states.read(*_asked(finished, examples), killed)
    said: list[str] = []
    read(finished, examples, said)
    assert said == ["reading toy: 0/5", "reading toy: 4/5"]


def _asked(folder: Path, examples: list[Example]) -> tuple:
    from whereas.model import Model

    model = Model(folder / "model")
    return model, model.taxonomy, {"toy": examples}, {}, 1.0


def test_states_damaged_cache_is_computed_anew(finished: Path, cache: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        [one] = read(finished, [toy_example(1)], said)
        assert len(one.states) == len(one.item.reading.sentences)
        [path] = cache.iterdir()
        path.write_bytes(b"nothing like a database " * 100)
    assert len(said) == 2


def test_states_cache_knows_how_texts_are_cut(
    finished: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whereas import sentences

    said: list[str] = []
    for count, split in [(4, sentences.split), (2, lambda text: [Span(0, len(text))])]:
        monkeypatch.setattr(sentences, "split", split)
        [one] = read(finished, [toy_example(1)], said)
        assert len(one.states) == len(one.item.reading.sentences) == count
    assert len(said) == 2


def test_states_cache_knows_the_word_pieces(finished: Path, cache: Path) -> None:
    from whereas.model import Model
    from whereas.training import states

    model = Model(finished / "model")
    said: list[str] = []
    for digest in ("one", "other", "one"):
        files = model.card.files | {"tokenizer.json": digest}
        model.card = msgspec.structs.replace(model.card, files=files)
        states.read(model, model.taxonomy, {"t": [toy_example(1)]}, {}, 1.0, said.append)
    assert said == ["reading t: 0/1"] * 2


def test_states_of_another_length_are_computed_anew(finished: Path, cache: Path) -> None:
    for _ in range(2):
        [one] = read(finished, [toy_example(1)])
        assert len(one.states) == len(one.item.reading.sentences)
        [path] = cache.iterdir()
        with sqlite3.connect(path) as database:
            database.execute("update states set states = substr(states, 3)")


def test_states_go_on_without_a_cache_they_cannot_write(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    said: list[str] = []
    [one] = read(finished, [toy_example(1)], said)
    assert len(one.states) > 0
    assert said[1].startswith("going on without a cache of states: ")


def test_states_that_are_no_bytes_are_computed_anew(finished: Path, cache: Path) -> None:
    [one] = read(finished, [toy_example(1)])
    [path] = cache.iterdir()
    with sqlite3.connect(path) as database:
        database.execute("update states set states = ?", ["x" * one.states.size * 2])
    [again] = read(finished, [toy_example(1)])
    np.testing.assert_array_equal(again.states, one.states)


def test_states_are_for_their_user_alone(finished: Path, cache: Path) -> None:
    read(finished, [toy_example(1)])
    assert cache.stat().st_mode & 0o077 == 0


def test_states_do_not_follow_a_relative_path(monkeypatch: pytest.MonkeyPatch) -> None:
    from whereas.training.states import cache_folder

    for place in ("", "somewhere"):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        assert cache_folder() == Path.home() / ".cache" / "whereas"
