"""Sentence states that a released encoder computes once a document, and a cache of them.

What the fast path learns from, what suspected label errors are found with, and what a released
model is measured from when another is measured beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import numpy as np

from whereas.encoder import Encoder, Reading, States, position_features
from whereas.model import Model
from whereas.records import Example
from whereas.taxonomy import Taxonomy
from whereas.training.fit import Progress
from whereas.training.network import Item, item

CHUNK = 100
"""Documents between two words of progress, and at most so many are lost when it is killed."""


class Read(msgspec.Struct, frozen=True):
    """An example as the encoder has read it: sentence states [S, D], and its targets."""

    states: np.ndarray
    item: Item


def cache_folder() -> Path:
    """Where computed states lie: a cache of the user's, safe to delete. A relative
    `$XDG_CACHE_HOME` is ignored, as its specification demands."""
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (root if root.is_absolute() else Path.home() / ".cache") / "whereas"


def read(
    model: Model,
    taxonomy: Taxonomy,
    groups: Mapping[str, Sequence[Example]],
    weights: Mapping[str, float],
    unsure_weight: float,
    say: Progress,
) -> dict[str, list[Read]]:
    """Sentence states and targets of every example, by data name. States come from the cache where
    the same encoder has read the same sentences of the same text before, whatever its labels."""
    result = {}
    for name, examples in groups.items():
        items = [
            item(
                model.encoder.tokenizer,
                example,
                taxonomy,
                model.card.windows,
                weight=weights.get(name, 1.0)
                * (unsure_weight if example.confidence == "unsure" else 1.0),
            )
            for example in examples
        ]
        states = _states(model, examples, [i.reading for i in items], name, say)
        result[name] = [Read(s, i) for s, i in zip(states, items, strict=True)]
    return result


def released(model: Model, reads: Sequence[Read], examples: Sequence[Example]) -> np.ndarray:
    """A released model's logits [N, C] of examples that its encoder has read. They differ from
    those of `whereas.evaluation.judged` by the half precision of kept states, .01 or so."""
    none = np.zeros(0, np.int64)
    found = []
    for one, example in zip(reads, examples, strict=True):
        reading = one.item.reading
        position = position_features(reading.sentences)
        states = States(reading, one.states, position, one.states[:0], none, none, none)
        found.append(model.logits(example.document(), states).total)
    return np.stack(found).astype(np.float64)


def _states(
    model: Model, examples: Sequence[Example], readings: Sequence[Reading], name: str, say: Progress
) -> list[np.ndarray]:
    """Sentence states [S, D] of each example.

    Documents are computed side by side, each on one core: on two busy cores 1.2 times as fast as
    one after the other on both, for 10 % less CPU time (training/LOG.md).
    """
    path = cache_folder() / f"states-{_encoder(model)}.sqlite"
    width = model.card.width
    keys = [_key(e, r) for e, r in zip(examples, readings, strict=True)]
    size = {key: len(r.sentences) * width * 2 for key, r in zip(keys, readings, strict=True)}
    found = {k: kept for k, kept in _kept(path, keys).items() if len(kept) == size[k]}
    missing = [n for n, key in enumerate(keys) if key not in found]
    if missing:
        encoder = Encoder(model.folder, spec=model.card.windows, threads=1)

        def compute(n: int) -> bytes:
            return encoder.encode([readings[n]])[0].sentences.astype(np.float16).tobytes()

        writes = True
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(missing), CHUNK):
                say(f"reading {name}: {start}/{len(missing)}")
                chunk = missing[start : start + CHUNK]
                new = {
                    keys[n]: made for n, made in zip(chunk, pool.map(compute, chunk), strict=True)
                }
                found |= new
                try:
                    if writes:
                        _keep(path, new)
                except (OSError, sqlite3.Error) as error:
                    writes = False
                    say(f"going on without a cache of states: {error}")
    halves = [np.frombuffer(found[key], np.float16).reshape(-1, width) for key in keys]
    return [half.astype(np.float32) for half in halves]


def _kept(path: Path, keys: Sequence[str]) -> dict[str, bytes]:
    """What the cache has of `keys`; nothing where it cannot be read. A damaged one is deleted."""
    query = "select states from states where document = ?"
    try:
        if not path.exists():
            return {}
        with closing(sqlite3.connect(path)) as database:
            rows = {key: database.execute(query, [key]).fetchone() for key in keys}
    except (OSError, sqlite3.OperationalError):  # no access, locked, or no table yet
        return {}
    except sqlite3.DatabaseError:
        with suppress(OSError):
            path.unlink()
        return {}
    return {key: row[0] for key, row in rows.items() if row and isinstance(row[0], bytes)}


def _keep(path: Path, new: Mapping[str, bytes]) -> None:
    """Adds states to the cache. Its folder is for the user alone: from states one can read much of
    what a text says (Morris et al. 2023, arXiv 2310.06816)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "create table if not exists states (document text primary key, states blob)"
        )
        database.executemany("insert or replace into states values (?, ?)", new.items())


def _encoder(model: Model) -> str:
    """Names what a model's states depend on besides the document: encoder, word pieces, windows."""
    files, windows = model.card.files, model.card.windows
    return _digest([files["encoder.onnx"], files["tokenizer.json"], windows.pieces, windows.budget])


def _key(example: Example, reading: Reading) -> str:
    """Names a document by its text and how it is cut into sentences."""
    spans = [[s.start, s.end, s.field] for s in reading.sentences]
    return _digest([example.title, example.text, spans])


def _digest(parts: object) -> str:
    encoded = json.dumps(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(encoded).hexdigest()[:32]
