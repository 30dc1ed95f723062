"""Labelled examples as rows of an Arrow file: mapped, not held, and cut when a batch asks."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import msgspec
import numpy as np
from datasets import Dataset, Features, Value
from tokenizers import Tokenizer

from whereas.encoder import WindowSpec
from whereas.recipe import Recipe
from whereas.records import Example
from whereas.taxonomy import Taxonomy
from whereas.training.augment import augmented
from whereas.training.network import Item, item

POOL = 16
"""Batches whose examples are sorted by length together: large enough that little is padded, small
against an epoch, so that its order stays random."""

COLUMNS = Features(
    {
        "example": Value("large_binary"),  # JSON
        "weight": Value("float64"),  # of its loss
        "length": Value("int64"),  # word pieces of title and text that training reads, about
    }
)


class Rows:
    """The examples of a run. Their texts lie in an Arrow file that is mapped into memory, and
    nothing that is cut from them is kept: word pieces and targets take twelve times the room of the
    text (11.6 against 1 kB a document in the corpus), cutting takes 1.3 ms."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[Example]],
        recipe: Recipe,
        taxonomy: Taxonomy,
        tokenizer: Tokenizer,
    ) -> None:
        """`groups` are examples by data name, each a `[[data]]` of the recipe."""
        self.recipe = recipe
        self.taxonomy = taxonomy
        self.tokenizer = tokenizer
        self.titles = [e.title for group in groups.values() for e in group if e.title]
        windows = recipe.windows
        self.spec = WindowSpec(pieces=windows.pieces, budget=windows.training_budget)
        self.places: dict[str, range] = {}
        at = 0
        for name, examples in groups.items():
            self.places[name] = range(at, at := at + len(examples))
        datasets.disable_progress_bars()
        # A mapped file lives on after its name is gone, so nothing is left over, even by kill -9;
        # on Windows, which will not have it, its own cleaning of temporary files has to do.
        with TemporaryDirectory(prefix="whereas-", ignore_cleanup_errors=True) as folder:
            self.table: Any = Dataset.from_generator(
                lambda: self._written(groups),
                features=COLUMNS,
                cache_dir=folder,
                fingerprint="rows",  # else all examples are pickled, to name a cache after them
            )
        self.lengths: np.ndarray = np.asarray(self.table["length"][:], np.int64)

    def __len__(self) -> int:
        """How many examples there are, those included that an epoch may leave out."""
        return len(self.lengths)

    def _written(self, groups: Mapping[str, Sequence[Example]]) -> Iterator[dict[str, Any]]:
        weights = {d.name: d.weight for d in self.recipe.data}
        unsure = self.recipe.fit.unsure_weight
        most = self.spec.pieces * self.spec.budget
        for name, examples in groups.items():
            for example in examples:
                text = f"{example.title}\n{example.text}"
                yield {
                    "example": msgspec.json.encode(example),
                    "weight": weights[name] * (unsure if example.confidence == "unsure" else 1),
                    "length": min(len(self.tokenizer.encode(text).ids), most),
                }

    def items(self, rows: Iterable[int], epoch: int | None = None) -> list[Item]:
        """Rows cut for the network: as an epoch of training reads them, or without an epoch as they
        stand. What is random in it depends on seed, epoch and row alone, so that every process and
        every resumed run reads the same."""
        seed = self.recipe.fit.seed
        return [
            self._drawn(
                self.table[k], None if epoch is None else random.Random(f"{seed}/{epoch}/{k}")
            )
            for k in map(int, rows)
        ]

    def _drawn(self, row: Mapping[str, Any], drawn: random.Random | None) -> Item:
        """One row cut for the network. What training changes about an example is decided here."""
        example = msgspec.json.decode(row["example"], type=Example)
        fit = self.recipe.fit
        bare = drawn is not None and drawn.random() < fit.title_dropout
        if drawn is not None and drawn.random() < fit.augment:
            example = augmented(example, drawn, self.titles)
        return item(
            self.tokenizer,
            example,
            self.taxonomy,
            self.spec,
            title=not bare,
            weight=row["weight"],
        )

    def sizes(self) -> dict[str, int]:
        """Examples that an epoch takes of each data name."""
        samples = {d.name: d.sample for d in self.recipe.data}
        return {n: min(samples[n] or len(p), len(p)) for n, p in self.places.items()}

    def steps(self) -> int:
        """Batches in an epoch."""
        return -(-sum(self.sizes().values()) // self.recipe.fit.batch)

    def batches(self, epoch: int) -> list[list[int]]:
        """An epoch's batches of rows: sampled anew, shuffled, of similar length within.

        Rows are padded to the longest window of the batch, so all that fill a window count as
        equally long: were they sorted by their number of windows, the documents of many windows
        would meet in one batch, and it would need several times the memory of the others.
        """
        drawn = random.Random(f"{self.recipe.fit.seed}/{epoch}")
        chosen: list[int] = []
        for name, size in self.sizes().items():
            place = self.places[name]
            chosen += drawn.sample(place, size) if size < len(place) else place
        drawn.shuffle(chosen)
        batches: list[list[int]] = []
        size = self.recipe.fit.batch
        for start in range(0, len(chosen), size * POOL):
            pool = sorted(chosen[start : start + size * POOL], key=self._window)
            batches += [pool[k : k + size] for k in range(0, len(pool), size)]
        drawn.shuffle(batches)
        return batches

    def in_order(self) -> list[list[int]]:
        """Every row once, in batches from short to long: for measuring."""
        rows = sorted(range(len(self)), key=self._window)
        size = self.recipe.fit.batch
        return [rows[k : k + size] for k in range(0, len(rows), size)]

    def _window(self, row: int) -> int:
        """Word pieces of a row's longest window, about."""
        return min(int(self.lengths[row]), self.spec.pieces)
