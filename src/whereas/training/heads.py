"""The fast path: heads refitted on sentence states that a released encoder has computed once.

The encoder, and with it `adapter.safetensors`, the words marked inside a sentence and the tags of
facts stay the parent's. What is learned anew is what sentences mean for labels: minutes of encoder
time become seconds of matrix products. New labels and axes can be learned as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
from torch import Tensor, nn

from whereas.calibration import calibrate, gold
from whereas.encoder import POSITION_FEATURES, position_features
from whereas.errors import WhereasError
from whereas.model import FILES, Model
from whereas.recipe import Recipe, Windows
from whereas.records import Example
from whereas.taxonomy import Taxonomy
from whereas.training.export import manifest, retrained
from whereas.training.fit import Corpus, Progress
from whereas.training.network import Item, Network, item, label_loss

EPOCHS = 12
RATE = 1e-3
BATCH = 32
CHUNK = 100
"""Documents between two words of progress."""


class Read(msgspec.Struct, frozen=True):
    """An example as the encoder has read it: sentence states [S, D], and its targets."""

    states: np.ndarray
    item: Item


def cache_folder() -> Path:
    """Where computed states lie: a cache of the user's, safe to delete."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "whereas"


def read(
    model: Model,
    taxonomy: Taxonomy,
    groups: Mapping[str, Sequence[Example]],
    weights: Mapping[str, float],
    unsure_weight: float,
    say: Progress,
) -> dict[str, list[Read]]:
    """Sentence states and targets of every example, by data name. States come from the cache where
    the same encoder has read the same sentences of the same texts before."""
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
        states = _states(model, examples, items, name, say)
        result[name] = [Read(s, i) for s, i in zip(states, items, strict=True)]
    return result


def _states(
    model: Model, examples: Sequence[Example], items: Sequence[Item], name: str, say: Progress
) -> list[np.ndarray]:
    """Sentence states [S, D] of each example, whose reading is in the item at its place."""
    sizes = [len(i.reading.sentences) for i in items]
    path = cache_folder() / f"states-{_key(model, examples, items)}.safetensors"
    try:
        found = load_file(path)
        if found["sizes"].tolist() == sizes and len(found["states"]) == sum(sizes):
            cuts = np.cumsum(sizes)[:-1]
            return [s.astype(np.float32) for s in np.split(found["states"], cuts)]
    except (OSError, SafetensorError, KeyError):
        pass
    states = []
    for k, one in enumerate(items):
        if k % CHUNK == 0:
            say(f"reading {name}: {k}/{len(items)}")
        states.append(model.encoder.encode([one.reading])[0].sentences.astype(np.float16))
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"states": np.concatenate(states), "sizes": np.array(sizes, np.int64)}, temporary)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        say(f"going on without a cache of states: {error}")
    return [s.astype(np.float32) for s in states]


def _key(model: Model, examples: Sequence[Example], items: Sequence[Item]) -> str:
    """Names all that states depend on: encoder, word pieces, windows, texts and how they are cut
    into sentences."""
    files, windows = model.card.files, model.card.windows
    parts = [
        [files["encoder.onnx"], files["tokenizer.json"], windows.pieces, windows.budget],
        [
            [e.title, e.text, [[s.start, s.end, s.field] for s in i.reading.sentences]]
            for e, i in zip(examples, items, strict=True)
        ],
    ]
    encoded = json.dumps(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(encoded).hexdigest()[:32]


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
    *,
    epochs: int = EPOCHS,
) -> None:
    """Fits what decides labels (not `highlight`, not `tags`) on readings, in place."""
    learned = [p for n, p in network.named_parameters() if not n.startswith(("highlight", "tags"))]
    steps = epochs * -(-len(reads) // BATCH)
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
    """Writes to `folder` the parent with heads refitted on `data`, calibrated anew. The recipe it
    records has the rank and the windows of the parent, whose encoder it is."""
    if folder.resolve() == parent.folder.resolve():
        raise WhereasError(
            f"{folder} is the model to start from and the one to write", "Give another run folder"
        )
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

    folder.mkdir(parents=True, exist_ok=True)
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
