"""A training recipe: one complete TOML file → a frozen `Recipe`. Unknown keys are errors."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from whereas.errors import WhereasError
from whereas.files import read_toml

DATA_VARIABLE = "WHEREAS_DATA"


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Labelled examples and their part in the training.

    `path` is relative to the recipe and may be a glob; or it starts with `$WHEREAS_DATA/` for data
    that does not come with the repository and is left out when the variable is not set. `role`
    `split` holds out `holdout` of its events as its development split; `holdout` takes nothing but
    that split. `sample` > 0 draws that many examples anew for every epoch. `weight` multiplies the
    loss of each example.
    """

    name: str
    path: str
    role: Literal["train", "dev", "split", "holdout"] = "train"
    holdout: float = 0.0
    sample: int = 0
    weight: float = 1.0


class Windows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`pieces` in a window; windows read of one document in training and in the released model."""

    pieces: int = 256
    training_budget: int = 6
    budget: int = 64


class Fit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Optimisation. `lora_rank` 0 trains every weight of the encoder. Learning rates are peaks of a
    linear warm-up over `warmup` of the steps and a linear decay to 0. `title_dropout` is the share
    of readings without their title, `augment` that of readings altered as the web, scanners and
    spinners do (`whereas.training.augment`); `unsure_weight` multiplies the loss of unsure
    examples. `precision` is what the encoder computes in while training; bf16 pays only where the
    processor has bf16 matrix units. `dropout` is that of the heads, `encoder_dropout` that of the
    encoder's hidden states (its attention has none: on CPU that alone would cost a third of the
    speed).
    With `patience` > 0, training stops after that many epochs without a lower loss on the
    development documents, and the weights of the best epoch are kept; 0 trains every epoch and
    keeps the last.
    A run that starts from a released model takes `warm_epochs` and learning rates times
    `warm_rate`."""

    seed: int = 13
    epochs: int
    patience: int = 0
    batch: int = 16
    lora_rank: int = 16
    encoder_rate: float
    head_rate: float
    weight_decay: float = 0.01
    warmup: float = 0.06
    precision: Literal["fp32", "bf16"] = "fp32"
    dropout: float = 0.1
    encoder_dropout: float = 0.1
    title_dropout: float = 0.15
    augment: float = 0.0
    unsure_weight: float = 0.7
    label_smoothing: float = 0.0
    warm_epochs: int = 2
    warm_rate: float = 0.4


class Loss(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights of the parts of the loss: of each axis by name, of evidence and of facts."""

    axes: dict[str, float]
    attention: float
    highlight: float
    facts: float


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The second opinion (`whereas.words`): how many words and word pairs it knows, the most
    frequent ones, and what its logits count beside those of the encoder's heads. At .6, the action
    is right in .851 of the development documents, at 0 in .836 and by the words alone in .799."""

    features: int = 20_000
    weight: float = 0.6


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a training run depends on besides code and data. Without `words` a model has no
    second opinion."""

    name: str
    version: str
    taxonomy: str | None = None
    base: str = "pinned"
    data: list[Data]
    windows: Windows
    fit: Fit
    loss: Loss
    words: Words | None = None


def load(path: Path) -> Recipe:
    """Raises `WhereasError` when the file cannot be read, is not TOML or does not fit."""
    sections: dict[str, type[msgspec.Struct]] = {
        "data": Data,
        "windows": Windows,
        "fit": Fit,
        "loss": Loss,
        "words": Words,
    }
    return read_toml(path, Recipe, "recipe", sections)


ADDED_HOLDOUT = 0.24
"""Share of added events that is held out, to see whether a new model is better on them. That of the
committed recipes, for a split goes by the event's hash: so an event of the corpus that comes again
in added data falls on the side it is on already."""


def with_data(recipe: Recipe, add: Sequence[Path]) -> Recipe:
    """The recipe with more labelled files, each split by event. Raises `WhereasError` when two
    files would have one name."""
    data = list(recipe.data)
    for path in add:
        name = path.stem
        if any(d.name == name for d in data):
            raise WhereasError(f"there is data named {name!r} already", f"Rename {path}")
        place = str(path.resolve())
        data.append(Data(name=name, path=place, role="split", holdout=ADDED_HOLDOUT))
    return msgspec.structs.replace(recipe, data=data)


def described(recipe: Recipe) -> dict[str, Any]:
    """A recipe as a model's manifest records it: of a file that lies at an absolute path, as added
    ones do, the name alone."""
    found: dict[str, Any] = msgspec.to_builtins(recipe)
    for data in found["data"]:
        if Path(data["path"]).is_absolute():
            data["path"] = Path(data["path"]).name
    return found


def warm(recipe: Recipe) -> Recipe:
    """The recipe of a run that starts from a released model."""
    fit = msgspec.structs.replace(
        recipe.fit,
        epochs=recipe.fit.warm_epochs,
        encoder_rate=recipe.fit.encoder_rate * recipe.fit.warm_rate,
        head_rate=recipe.fit.head_rate * recipe.fit.warm_rate,
    )
    return msgspec.structs.replace(recipe, fit=fit)


def thinned(recipe: Recipe, share: float) -> Recipe:
    """The recipe for a share, 0-1, of its training events: it also draws that much less."""
    data = [msgspec.structs.replace(d, sample=math.ceil(d.sample * share)) for d in recipe.data]
    return msgspec.structs.replace(recipe, data=data)


def locate(data: Data, recipe_path: Path) -> list[Path]:
    """The files of a data entry, sorted; none when they are outside the repository and no place
    was given. Raises `WhereasError` when a glob finds nothing."""
    root, rest = recipe_path.parent, data.path
    if data.path.startswith("$"):
        variable, _, rest = data.path[1:].partition("/")
        if variable != DATA_VARIABLE:
            raise WhereasError(
                f"data {data.name}: unknown variable ${variable}", f"Only ${DATA_VARIABLE} is known"
            )
        place = os.environ.get(DATA_VARIABLE)
        if not place:
            return []
        root = Path(place)
    path = root / rest
    if "*" not in path.name:
        return [path.resolve()]
    found = sorted(path.parent.resolve().glob(path.name))
    if not found:
        raise WhereasError(f"data {data.name}: no file like {path}", "Check the path")
    return found
