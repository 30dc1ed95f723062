"""The fast path: heads refitted on sentence states that a released encoder has computed once.

The encoder, and with it `adapter.safetensors`, the words marked inside a sentence and the tags of
facts stay the parent's. What is learned anew is what sentences mean for labels: minutes of encoder
time become seconds of matrix products. New labels and axes can be learned as well.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
from torch import Tensor, nn

from whereas.calibration import calibrate, gold, identity
from whereas.encoder import POSITION_FEATURES, position_features
from whereas.errors import WhereasError
from whereas.files import make_folder
from whereas.model import FILES, Model
from whereas.recipe import Recipe, Windows
from whereas.taxonomy import Taxonomy
from whereas.training.data import Corpus
from whereas.training.export import manifest, retrained, write_words
from whereas.training.fit import Progress
from whereas.training.network import Network, label_loss
from whereas.training.states import Read, read

EPOCHS = 12
RATE = 1e-3
BATCH = 32
STEPS = 300
"""Least steps of a fit, in more epochs where documents are few: heads of a new axis start from
nothing, and on 103 toy documents needed 200 steps (12 epochs are 48) to tell two labels apart."""


def new_network(model: Model, taxonomy: Taxonomy, dropout: float) -> tuple[Network, list[str]]:
    """The model's heads for a taxonomy, without an encoder, and the labels new to them."""
    network = Network(nn.Identity(), model.card.width, taxonomy, dropout=dropout)
    heads = load_tensors(model.folder / "heads.safetensors")
    return network, network.adopt(heads, taxonomy, model.taxonomy)


def fit(
    network: Network,
    reads: Sequence[Read],
    taxonomy: Taxonomy,
    recipe: Recipe,
) -> None:
    """Fits what decides labels (not `highlight`, not `tags`) on readings, in place."""
    learned = [p for n, p in network.named_parameters() if not n.startswith(("highlight", "tags"))]
    batches = -(-len(reads) // BATCH)
    epochs = max(EPOCHS, -(-STEPS // batches))
    steps = epochs * batches
    optimizer = torch.optim.AdamW(learned, lr=RATE, weight_decay=recipe.fit.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: max(0.0, 1 - n / steps))
    torch.manual_seed(recipe.fit.seed)
    drawn = random.Random(recipe.fit.seed)
    network.train()
    for _ in range(epochs):
        for group in _batches(reads, drawn):
            parts = label_loss(
                *network.decide(*_padded(group)),
                torch.from_numpy(np.stack([r.item.target.labels for r in group])),
                torch.tensor([r.item.target.weight for r in group]),
                [
                    (row, column, where, r.item.target.weight)
                    for row, r in enumerate(group)
                    for column, where in r.item.target.evidence.items()
                ],
                taxonomy,
                recipe.loss,
                smoothing=recipe.fit.label_smoothing,
            )
            optimizer.zero_grad(set_to_none=True)
            sum(parts.values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(learned, 1.0)
            optimizer.step()
            schedule.step()


def _batches(reads: Sequence[Read], drawn: random.Random) -> list[list[Read]]:
    """Shuffled, of similar length within (in pools of 16 batches)."""
    order = drawn.sample(list(reads), len(reads))
    batches = []
    for start in range(0, len(order), BATCH * 16):
        pool = sorted(order[start : start + BATCH * 16], key=lambda r: len(r.states))
        batches += [pool[k : k + BATCH] for k in range(0, len(pool), BATCH)]
    drawn.shuffle(batches)
    return batches


def _padded(group: Sequence[Read]) -> tuple[Tensor, Tensor, Tensor]:
    """States [B, S, D], position features [B, S, 6] and which are there [B, S]."""
    longest = max(1, *(len(r.states) for r in group))
    width = group[0].states.shape[1]
    states = np.zeros((len(group), longest, width), np.float32)
    position = np.zeros((len(group), longest, POSITION_FEATURES), np.float32)
    present = np.zeros((len(group), longest), bool)
    for row, one in enumerate(group):
        count = len(one.states)
        states[row, :count] = one.states
        position[row, :count] = position_features(one.item.reading.sentences)
        present[row, :count] = True
    return torch.from_numpy(states), torch.from_numpy(position), torch.from_numpy(present)


def logits(network: Network, reads: Sequence[Read]) -> np.ndarray:
    """Logits [N, C] of readings."""
    network.eval()
    order = sorted(range(len(reads)), key=lambda k: len(reads[k].states))
    result: np.ndarray = np.zeros((len(reads), len(network.bias)), np.float64)
    with torch.no_grad():
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            result[rows] = network.decide(*_padded([reads[k] for k in rows]))[0].numpy()
    return result


def refit(recipe: Recipe, data: Corpus, parent: Model, folder: Path, say: Progress) -> Model:
    """Writes to `folder` the parent with heads, and words where the recipe has them, refitted on
    `data`, calibrated anew. The recipe it records has the rank and the windows of the parent, whose
    encoder it is.

    Raises:
        WhereasError: the folder is the parent's, or cannot be made.
    """
    if folder.resolve() == parent.folder.resolve():
        raise WhereasError(
            f"{folder} is the model to start from and the one to write", "Give another run folder"
        )
    make_folder(folder)
    theirs = parent.card.recipe
    recipe = msgspec.structs.replace(
        recipe,
        fit=msgspec.structs.replace(recipe.fit, lora_rank=theirs["fit"]["lora_rank"]),
        windows=msgspec.convert(theirs["windows"], Windows),
    )
    taxonomy = data.taxonomy
    weights = {d.name: d.weight for d in recipe.data}
    train = read(parent, taxonomy, data.train, weights, recipe.fit.unsure_weight, say)
    dev = read(parent, taxonomy, data.dev, {}, 1.0, say)
    network, new = new_network(parent, taxonomy, recipe.fit.dropout)
    say(f"starting from {parent.id}" + (f"; new: {', '.join(new)}" if new else ""))
    fit(network, sampled(train, recipe), taxonomy, recipe)

    for name in (FILES[0], FILES[2], FILES[3]):
        shutil.copyfile(parent.folder / name, folder / name)
    heads = {n: p.detach().contiguous() for n, p in network.heads().items()}
    save_tensors(heads, folder / FILES[1])
    (folder / FILES[4]).write_bytes(data.taxonomy_toml)
    examples = [e for group in data.dev.values() for e in group]
    decided = logits(network, [r for group in dev.values() for r in group])
    about: dict[str, Any] = {
        "recipe": recipe,
        "version": retrained(parent, recipe, data, fast=True),
        "base": parent.card.base,
        "windows": parent.card.windows,
        "width": parent.card.width,
        "data": data.digests,
        "parent": parent,
    }
    write_words(recipe, data, folder)
    manifest(folder, calibration=identity(taxonomy), **about)
    uncalibrated = Model(folder)
    decided = decided + np.stack([uncalibrated.opinion(e.document()) for e in examples])
    manifest(folder, calibration=calibrate(taxonomy, decided, gold(examples, taxonomy)), **about)
    return Model(folder)


def sampled(train: Mapping[str, list[Read]], recipe: Recipe) -> list[Read]:
    """All readings, of sampled data one draw."""
    sizes = {d.name: d.sample for d in recipe.data}
    drawn = random.Random(recipe.fit.seed)
    chosen: list[Read] = []
    for name, reads in train.items():
        size = sizes.get(name) or len(reads)
        chosen += drawn.sample(reads, size) if size < len(reads) else reads
    return chosen
