"""A recipe's `[[data]]` → examples to train on and to develop on, checked and kept apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from whereas import corpus
from whereas import recipe as recipes
from whereas import taxonomy as taxonomies
from whereas.errors import WhereasError
from whereas.evaluation import halves
from whereas.recipe import Data, Recipe
from whereas.records import Example
from whereas.taxonomy import Taxonomy, nearest


class Corpus(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a run: `train` by data name (sampled files whole), `dev` by data name, and the
    digest and size of each. `weights` is what an example of a training file counts in an epoch, on
    average. `taxonomy_toml` is what `taxonomy` was read from."""

    taxonomy: Taxonomy
    taxonomy_toml: bytes
    train: dict[str, list[Example]]
    dev: dict[str, list[Example]]
    weights: dict[str, float]
    digests: dict[str, dict[str, Any]]


def gather(recipe: Recipe, path: Path, say: Callable[[str], None], *, share: float = 1.0) -> Corpus:
    """Reads and checks every data file of a recipe.

    Args:
        share: how much to train on: 0-1 of the training events, chosen by hash, so that more hold
            all of fewer (see `whereas.training.curve`).

    Raises:
        WhereasError: a taxonomy that cannot be read, two data of one name, bad labels, a file
            without examples, loss weights of unknown axes, the same document in training and
            development data, or development data that calibration could not be cross-fitted on.
    """
    toml = _taxonomy_toml(recipe, path)
    taxonomy = taxonomies.parse(toml, recipe.taxonomy or "taxonomy.toml")
    _check_axes(recipe, taxonomy)
    train: dict[str, list[Example]] = {}
    dev: dict[str, list[Example]] = {}
    digests: dict[str, dict[str, Any]] = {}
    for k, data in enumerate(recipe.data):
        if data.name in {d.name for d in recipe.data[:k]}:
            raise WhereasError(f"two [[data]] are named {data.name!r}", "Rename one of them")
        places = recipes.locate(data, path)
        if not places:
            say(f"left out {data.name}: ${recipes.DATA_VARIABLE} is not set")
            continue
        examples = _checked(data, places, taxonomy)
        if data.role in ("split", "holdout"):
            kept, out = corpus.split(examples, data.holdout)
            dev[data.name] = out
            if data.role == "split":
                train[data.name] = kept
        else:
            (train if data.role == "train" else dev)[data.name] = examples
    _keep_apart(train, dev)
    train = {name: corpus.split(group, share, "curve")[1] for name, group in train.items()}
    train, dev = ({n: g for n, g in part.items() if g} for part in (train, dev))
    for part, found in (("train", train), ("dev", dev)):
        for name, examples in found.items():
            digests[f"{name}/{part}"] = {
                "documents": len(examples),
                "digest": corpus.digest(examples),
            }
    if not train or not dev:
        raise WhereasError(
            f"the recipe finds no {'development' if train else 'training'} data",
            "Check role and holdout of its [[data]], and what was left out",
        )
    halves([e for group in dev.values() for e in group])
    weights = {
        d.name: d.weight
        * min(d.sample or len(train[d.name]), len(train[d.name]))
        / len(train[d.name])
        for d in recipe.data
        if train.get(d.name)
    }
    return Corpus(
        taxonomy=taxonomy,
        taxonomy_toml=toml,
        train=train,
        dev=dev,
        weights=weights,
        digests=digests,
    )


def _taxonomy_toml(recipe: Recipe, path: Path) -> bytes:
    if recipe.taxonomy is None:
        return taxonomies.default_toml()
    place = path.parent / recipe.taxonomy
    try:
        return place.read_bytes()
    except OSError as error:
        raise WhereasError(
            f"cannot read {place}: {error.strerror}",
            "The taxonomy's path is relative to the recipe",
        ) from error


def _checked(data: Data, places: Sequence[Path], taxonomy: Taxonomy) -> list[Example]:
    """The examples of a data entry, at least one and without problems."""
    examples = [e for place in places for e in corpus.read(place)]
    if not examples:
        raise WhereasError(
            f"{data.name} ({data.path}) holds no examples",
            "Put labelled documents into it, one JSON object a line, or leave it out",
        )
    faults = list(corpus.problems(examples, taxonomy))
    if faults:
        raise WhereasError(
            f"{data.name} ({data.path}): {faults[0]} ({len(faults)} problems)",
            "Mend the labels; whereas label lint shows them all",
        )
    return examples


def _check_axes(recipe: Recipe, taxonomy: Taxonomy) -> None:
    for name in recipe.loss.axes:
        if name not in taxonomy.axis_names:
            raise WhereasError(
                f"[loss.axes] has {name!r}, which is no axis of taxonomy {taxonomy.name}",
                nearest(name, taxonomy.axis_names) + "Axes: " + ", ".join(taxonomy.axis_names),
            )


def words(example: Example) -> str:
    """The words of an example's text, whatever their case and what stands between them."""
    return " ".join(re.findall(r"\w+", example.text.casefold()))


def _keep_apart(train: dict[str, list[Example]], dev: dict[str, list[Example]]) -> None:
    """Refuses documents of the development data, by id, event or text, in the training data. Those
    whose labels are presumed come from the same source as real ones and are cheap: they are taken
    out instead."""
    held = {e.event for group in dev.values() for e in group if e.event}
    held |= {e.id for group in dev.values() for e in group}
    texts = {words(e): e.id for group in dev.values() for e in group}
    texts.pop("", None)
    for name, group in train.items():
        leaks = {e.id for e in group if e.id in held or e.event in held}
        twins = {e.id: texts[text] for e in group if (text := words(e)) in texts}
        train[name] = [
            e for e in group if e.confidence != "presumed" or not (e.id in leaks or e.id in twins)
        ]
        leak = [e.id for e in train[name] if e.id in leaks]
        if leak:
            raise WhereasError(
                f"{leak[0]} ({len(leak)} in all) is in training and development data",
                "Documents of one event belong on one side",
            )
        same = [e.id for e in train[name] if e.id in twins]
        if same:
            raise WhereasError(
                f"{same[0]} in training data has the text of {twins[same[0]]} in development data "
                f"({len(same)} in all)",
                "Leave one of them out, or give both one event",
            )
