"""Rows: what an epoch reads, and that nothing is left on the disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from toys import gathered, quiet, toy_example, with_file, write_recipe

pytestmark = pytest.mark.train


@pytest.fixture
def run(base: Path, tmp_path: Path) -> Any:
    """A run on 40 toy documents and on 30 more, of which it draws six an epoch, at half weight."""
    from whereas.training.fit import Run

    more = [toy_example(n) for n in range(100, 130)]
    more[0] = msgspec.structs.replace(more[0], confidence="unsure", text=more[0].text * 40)
    recipe = with_file(write_recipe(tmp_path, base, fit="unsure_weight = 0.1"), "more", more)
    text = recipe.read_text()
    recipe.write_text(text.replace('role = "train"', "sample = 6\nweight = 0.5"))
    return Run(recipe, tmp_path / "run", quiet)


def test_rows_hold_what_they_were_made_of(run: Any) -> None:
    from whereas.training.network import item

    rows = run.rows
    examples = [e for group in run.corpus.train.values() for e in group]
    assert len(rows) == len(examples) == 70
    for k in (0, 39, 40, 69):
        [one] = rows.items([k])
        weight = {0: 1.0, 39: 1.0, 40: 0.05, 69: 0.5}[k]
        assert one.target.weight == pytest.approx(weight)
        wanted = item(run.tokenizer, examples[k], run.taxonomy, rows.spec, weight=weight)
        assert one.reading.sentences == wanted.reading.sentences
        for a, b in zip(one.reading.windows, wanted.reading.windows, strict=True):
            np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(one.target.labels, wanted.target.labels)
        np.testing.assert_array_equal(one.target.tags, wanted.target.tags)


def test_rows_lie_in_a_mapped_file_that_leaves_no_trace(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    from whereas.training.fit import Run

    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home)  # read from HOME on import
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    rows = Run(write_recipe(tmp_path, base), tmp_path / "run", quiet).rows
    assert str(temporary) in rows.table.cache_files[0]["filename"]
    assert not [*home.iterdir(), *temporary.iterdir()]
    assert rows.items([0])[0].reading.sentences


def test_rows_epoch_takes_every_row_once_and_a_sample_of_the_sampled(run: Any) -> None:
    first, second = (run.rows.batches(epoch) for epoch in (0, 1))
    assert first == run.rows.batches(0)
    assert first != second
    for batches in (first, second):
        taken = [k for batch in batches for k in batch]
        assert len(taken) == len(set(taken)) == 46
        assert set(range(40)) <= set(taken)
        assert len(batches) == run.rows.steps() == 6
        assert sorted(map(len, batches)) == [6, 8, 8, 8, 8, 8]
    assert {k for b in first for k in b} != {k for b in second for k in b}


def test_rows_of_a_batch_are_of_similar_length(run: Any) -> None:
    spread = [np.ptp([run.rows._window(k) for k in batch]) for batch in run.rows.batches(0)]
    assert np.mean(spread) < np.ptp([run.rows._window(k) for k in range(70)]) / 4
    batches = run.rows.in_order()
    assert sorted(k for batch in batches for k in batch) == list(range(70))
    assert batches[-1][-1] == 40, "the longest comes last"


def test_rows_length_is_what_training_reads_at_most(run: Any) -> None:
    assert run.rows.lengths[40] == 64 * 2
    [one] = run.rows.items([0])
    read = sum(int((w.sentence >= 0).sum()) for w in one.reading.windows)
    assert run.rows.lengths[0] == read


def test_rows_titles_drop_out_by_epoch_and_row_alone(run: Any) -> None:
    def titled(epoch: int | None, rows: list[int]) -> list[bool]:
        return [i.reading.sentences[0].field == "title" for i in run.rows.items(rows, epoch)]

    every = list(range(len(run.rows)))
    first, second = titled(0, every), titled(1, every)
    assert all(titled(None, every))
    assert 4 <= first.count(False) <= 25, "a fifth of 70"
    assert first != second
    assert [titled(0, [k])[0] for k in reversed(every)] == first[::-1]


def test_rows_of_the_corpus_survive_the_disk(base: Path, tmp_path: Path) -> None:
    """Text of any script, and fields that toy documents leave out."""
    from whereas.records import Example
    from whereas.training.fit import Run

    odd = msgspec.structs.replace(
        toy_example(100), title="", text="Δ“x”\x00\U0001f600\n\tquoted \\ .", evidence={}, facts=[]
    )
    recipe = with_file(write_recipe(tmp_path, base), "odd", [odd])
    rows = Run(recipe, tmp_path / "run", quiet).rows
    stored = rows.table[rows.places["odd"][0]]["example"]
    assert msgspec.json.decode(stored, type=Example) == gathered(recipe).train["odd"][0] == odd
