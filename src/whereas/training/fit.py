"""Recipe → run folder: data, optimisation, checkpoints that resume, the curve."""

from __future__ import annotations

import difflib
import json
import os
import random
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from whereas import corpus
from whereas import recipe as recipes
from whereas import taxonomy as taxonomies
from whereas.encoder import WindowSpec
from whereas.errors import WhereasError
from whereas.evaluation import halves
from whereas.files import write_json
from whereas.model import Model
from whereas.recipe import Recipe
from whereas.records import Example
from whereas.taxonomy import Taxonomy
from whereas.training.network import Item, Network, collate, item, loss
from whereas.training.weights import base_folder, build_encoder

Progress = Callable[[str], None]


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


def gather(recipe: Recipe, path: Path, say: Progress) -> Corpus:
    """Reads and checks every data file of a recipe.

    Raises:
        WhereasError: bad labels, a file without examples, loss weights of unknown axes, the same
            document in training and development data, or development data that calibration could
            not be cross-fitted on.
    """
    if recipe.taxonomy is None:
        toml = taxonomies.default_toml()
    else:
        try:
            toml = (path.parent / recipe.taxonomy).read_bytes()
        except OSError as error:
            raise WhereasError(
                f"cannot read {path.parent / recipe.taxonomy}: {error.strerror}",
                "The taxonomy's path is relative to the recipe",
            ) from error
    taxonomy = taxonomies.parse(toml, recipe.taxonomy or "taxonomy.toml")
    _check_axes(recipe, taxonomy)
    train: dict[str, list[Example]] = {}
    dev: dict[str, list[Example]] = {}
    digests: dict[str, dict[str, Any]] = {}
    for data in recipe.data:
        places = recipes.locate(data, path)
        if not places:
            say(f"left out {data.name}: ${recipes.DATA_VARIABLE} is not set")
            continue
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
        if data.role in ("split", "holdout"):
            kept, out = corpus.split(examples, data.holdout)
            dev[data.name] = out
            if data.role == "split":
                train[data.name] = kept
        else:
            (train if data.role == "train" else dev)[data.name] = examples
    _keep_apart(train, dev)
    train, dev = ({n: g for n, g in part.items() if g} for part in (train, dev))
    for part, found in (("train", train), ("dev", dev)):
        for name, examples in found.items():
            digests[f"{name}/{part}"] = {
                "documents": len(examples),
                "digest": corpus.digest(examples),
            }
    if not train or not dev:
        raise WhereasError(
            "the recipe finds no training or no development data", "Check its [[data]] sections"
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


def _check_axes(recipe: Recipe, taxonomy: Taxonomy) -> None:
    for name in recipe.loss.axes:
        if name not in taxonomy.axis_names:
            near = difflib.get_close_matches(name, taxonomy.axis_names, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise WhereasError(
                f"[loss.axes] has {name!r}, which is no axis of taxonomy {taxonomy.name}",
                hint + "Axes: " + ", ".join(taxonomy.axis_names),
            )


def words(example: Example) -> str:
    """The words of an example's text, whatever their case and what stands between them."""
    return " ".join(re.findall(r"\w+", example.text.casefold()))


def _keep_apart(train: dict[str, list[Example]], dev: dict[str, list[Example]]) -> None:
    held = {e.event for group in dev.values() for e in group if e.event}
    held |= {e.id for group in dev.values() for e in group}
    texts = {words(e): e.id for group in dev.values() for e in group}
    texts.pop("", None)
    for name, group in train.items():
        # Presumed ones come from the same source as real ones and are cheap: left out, not refused.
        train[name] = [
            e
            for e in group
            if e.confidence != "presumed" or (e.id not in held and words(e) not in texts)
        ]
        leak = [e.id for e in train[name] if e.id in held or e.event in held]
        if leak:
            raise WhereasError(
                f"{leak[0]} ({len(leak)} in all) is in training and development data",
                "Documents of one event belong on one side",
            )
        same = [(e.id, texts[words(e)]) for e in train[name] if words(e) in texts]
        if same:
            raise WhereasError(
                f"{same[0][0]} in training data has the text of {same[0][1]} in development data "
                f"({len(same)} in all)",
                "Leave one of them out, or give both one event",
            )


class Run:
    """One training run in its folder: `step` through epochs, a checkpoint after each.

    A run that was killed goes on from its last epoch and ends with the same weights: what is random
    in an epoch (order, sample, title dropout, dropout) is seeded by (seed, epoch).
    """

    def __init__(
        self,
        recipe_path: Path,
        folder: Path,
        say: Progress,
        *,
        parent: Model | None = None,
        add: Sequence[Path] = (),
    ) -> None:
        """`parent` is a released model to start from, `add` more files of labelled examples."""
        self.recipe = recipes.with_data(recipes.load(recipe_path), add)
        if parent:
            self.recipe = recipes.warm(self.recipe)
        self.parent = parent
        self.folder = folder
        self.say = say
        self.corpus = gather(self.recipe, recipe_path, say)
        self.taxonomy = self.corpus.taxonomy
        self.base = base_folder(self.recipe.base)
        self.tokenizer = Tokenizer.from_file(str(self.base / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        fit = self.recipe.fit
        torch.manual_seed(fit.seed)
        encoder = build_encoder(self.base, lora_rank=fit.lora_rank, dropout=fit.encoder_dropout)
        self.network = Network(
            encoder,
            encoder.config.hidden_size,
            self.taxonomy,
            dropout=fit.dropout,
            bf16=fit.precision == "bf16",
        ).to(self.device)
        if parent:
            self._start_from(parent)
        self.curve: list[dict[str, float]] = []

    def _start_from(self, parent: Model) -> None:
        theirs = load_file(parent.folder / "adapter.safetensors")
        ours = {n: p for n, p in self.trained().items() if n.startswith("encoder.")}
        if {n: p.shape for n, p in ours.items()} != {n: t.shape for n, t in theirs.items()}:
            raise WhereasError(
                f"{parent.id} was fine-tuned otherwise than this recipe does",
                f"Set lora_rank to {parent.card.recipe['fit']['lora_rank']}, or train without it",
            )
        with torch.no_grad():
            for name, parameter in ours.items():
                parameter.copy_(theirs[name])
        heads = load_file(parent.folder / "heads.safetensors")
        new = self.network.adopt(heads, self.taxonomy, parent.taxonomy)
        self.say(f"starting from {parent.id}" + (f"; new: {', '.join(new)}" if new else ""))

    def train(self) -> None:
        fit = self.recipe.fit
        self.folder.mkdir(parents=True, exist_ok=True)
        items = self._items()
        optimizer, groups = self._optimizer()
        per_epoch = self._steps_per_epoch(items)
        total = per_epoch * fit.epochs
        first = self._resume(optimizer)
        began = time.monotonic()
        done = 0
        for epoch in range(first, fit.epochs):
            torch.manual_seed(fit.seed * 1000 + epoch)
            drawn = random.Random(f"{fit.seed}/{epoch}")
            self.network.train()
            sums: dict[str, float] = {}
            for k, batch in enumerate(self._batches(items, drawn)):
                step = epoch * per_epoch + k
                rate = _rate(step, total, fit.warmup)
                for group, peak in zip(optimizer.param_groups, groups, strict=True):
                    group["lr"] = peak * rate
                gathered = collate(batch)
                parts = loss(
                    self.network(gathered),
                    gathered,
                    self.taxonomy,
                    self.recipe.loss,
                    smoothing=fit.label_smoothing,
                )
                optimizer.zero_grad(set_to_none=True)
                sum(parts.values(), torch.zeros((), device=self.device)).backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
                optimizer.step()
                for name, value in parts.items():
                    sums[name] = sums.get(name, 0.0) + float(value.detach())
                done += 1
                if k % 20 == 0 or k == per_epoch - 1:
                    spent = time.monotonic() - began
                    left = spent / done * (total - step - 1)
                    self.say(
                        f"epoch {epoch + 1}/{fit.epochs} step {k + 1}/{per_epoch} "
                        f"loss {sum(sums.values()) / (k + 1):.3f} left {left / 60:.1f} min"
                    )
            means = {name: value / per_epoch for name, value in sums.items()}
            self.curve.append({"epoch": epoch + 1, "loss": sum(means.values()), **means})
            self._checkpoint(epoch + 1, optimizer)

    def minutes(self) -> float:
        """About how long `train` would take, from two batches as large as the average."""
        items = self._items()
        batches = self._batches(items, random.Random(self.recipe.fit.seed))
        size = [sum(len(i.reading.windows) for i in batch) for batch in batches]
        usual = sorted(range(len(batches)), key=lambda k: abs(size[k] - sum(size) / len(size)))
        began = time.monotonic()
        tried = 0
        for k in usual[:2]:
            gathered = collate(batches[k])
            parts = loss(self.network(gathered), gathered, self.taxonomy, self.recipe.loss)
            sum(parts.values(), torch.zeros((), device=self.device)).backward()  # type: ignore[no-untyped-call]
            self.network.zero_grad(set_to_none=True)
            tried += size[k]
        return (time.monotonic() - began) / tried * sum(size) * self.recipe.fit.epochs / 60

    def trained(self) -> dict[str, Tensor]:
        """Parameters that training changes: LoRA or the whole encoder, and the heads."""
        return {n: p for n, p in self.network.named_parameters() if p.requires_grad}

    def _items(self) -> dict[str, list[tuple[Item, Item]]]:
        """Each training example cut with and without its title, by data name."""
        fit = self.recipe.fit
        spec = WindowSpec(
            pieces=self.recipe.windows.pieces, budget=self.recipe.windows.training_budget
        )
        weights = {d.name: d.weight for d in self.recipe.data}
        result = {}
        for name, examples in self.corpus.train.items():
            pairs = []
            for example in examples:
                weight = weights[name] * (
                    fit.unsure_weight if example.confidence == "unsure" else 1
                )
                pair = [
                    item(self.tokenizer, example, self.taxonomy, spec, title=t, weight=weight)
                    for t in (True, False)
                ]
                pairs.append((pair[0], pair[1]))
            result[name] = pairs
        return result

    def _sizes(self, items: dict[str, list[tuple[Item, Item]]]) -> dict[str, int]:
        samples = {d.name: d.sample for d in self.recipe.data}
        return {n: min(samples[n] or len(pairs), len(pairs)) for n, pairs in items.items()}

    def _steps_per_epoch(self, items: dict[str, list[tuple[Item, Item]]]) -> int:
        return -(-sum(self._sizes(items).values()) // self.recipe.fit.batch)

    def _batches(
        self, items: dict[str, list[tuple[Item, Item]]], drawn: random.Random
    ) -> list[list[Item]]:
        """An epoch's batches: shuffled, of similar length within (in pools of 16 batches)."""
        chosen: list[Item] = []
        for name, size in self._sizes(items).items():
            pairs = items[name]
            for with_title, without in drawn.sample(pairs, size) if size < len(pairs) else pairs:
                bare = drawn.random() < self.recipe.fit.title_dropout
                chosen.append(without if bare else with_title)
        drawn.shuffle(chosen)
        size = self.recipe.fit.batch
        batches: list[list[Item]] = []
        for start in range(0, len(chosen), size * 16):
            pool = sorted(chosen[start : start + size * 16], key=lambda i: i.length)
            batches += [pool[k : k + size] for k in range(0, len(pool), size)]
        drawn.shuffle(batches)
        return batches

    def _optimizer(self) -> tuple[torch.optim.Optimizer, list[float]]:
        fit = self.recipe.fit
        groups: list[dict[str, Any]] = []
        peaks = []
        for inside, rate in ((True, fit.encoder_rate), (False, fit.head_rate)):
            for matrices in (True, False):
                chosen = [
                    p
                    for n, p in self.trained().items()
                    if n.startswith("encoder.") == inside and (p.ndim > 1) == matrices
                ]
                if chosen:
                    decay = fit.weight_decay if matrices else 0.0
                    groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
                    peaks.append(rate)
        return torch.optim.AdamW(groups, betas=(0.9, 0.98)), peaks

    # A checkpoint is tensors and JSON (no pickle): parameters, the optimiser's moments, the curve.

    def _checkpoint(self, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        tensors = {f"param/{n}": p.detach().contiguous() for n, p in self.trained().items()}
        for name, parameter in self.trained().items():
            for key, value in optimizer.state[parameter].items():
                tensors[f"adam/{key}/{name}"] = value.detach().contiguous()
        state = {
            "epoch": epoch,
            "recipe": msgspec.to_builtins(self.recipe),
            "curve": self.curve,
            "data": self.corpus.digests,
            "parent": self.parent.id if self.parent else None,
        }
        save_file(
            tensors,
            self.folder / "checkpoint.tmp",
            metadata={"state": json.dumps(state, sort_keys=True)},
        )
        os.replace(self.folder / "checkpoint.tmp", self.folder / "checkpoint.safetensors")
        write_json(self.folder / "curve.json", self.curve)

    def _resume(self, optimizer: torch.optim.Optimizer) -> int:
        path = self.folder / "checkpoint.safetensors"
        if not path.exists():
            return 0
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
        ours = {
            "recipe": msgspec.to_builtins(self.recipe),
            "data": self.corpus.digests,
            "parent": self.parent.id if self.parent else None,
        }
        if _what_trains(state) != _what_trains(ours):
            raise WhereasError(
                f"{self.folder} holds a run of another recipe or other data",
                "Give a new folder with -o",
            )
        tensors = load_file(path)
        with torch.no_grad():
            for name, parameter in self.trained().items():
                parameter.copy_(tensors[f"param/{name}"])
                for key in ("step", "exp_avg", "exp_avg_sq"):
                    value = tensors[f"adam/{key}/{name}"]
                    optimizer.state[parameter][key] = (
                        value if key == "step" else value.to(self.device)
                    )
        self.curve = state["curve"]
        self.say(f"going on after epoch {state['epoch']}")
        return int(state["epoch"])


def _what_trains(state: dict[str, Any]) -> dict[str, Any]:
    """What weights depend on, of a checkpoint's state: not the data they are measured on, and of
    warm starts only what they made of the other settings."""
    recipe = state["recipe"]
    fit = {k: v for k, v in recipe["fit"].items() if not k.startswith("warm_")}
    data = [d for d in recipe["data"] if d["role"] in ("train", "split")]
    digests = {name: found for name, found in state["data"].items() if name.endswith("/train")}
    return {
        "recipe": {**recipe, "data": data, "fit": fit},
        "data": digests,
        "parent": state.get("parent"),
    }


def _rate(step: int, total: int, warmup: float) -> float:
    """Linear warm-up, then linear decay to 0; a factor in [0, 1]."""
    ramp = max(1, round(warmup * total))
    return (step + 1) / ramp if step < ramp else max(0.0, (total - step) / max(1, total - ramp))


def predict(
    network: Network, items: Sequence[Item], *, size: int = 16
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Logits [N, C] and mean sentence states [S, D] of each reading, in fp32."""
    network.eval()
    logits, states = [], []
    with torch.no_grad():
        for start in range(0, len(items), size):
            group = items[start : start + size]
            output = network(collate(group))
            logits.append(output.logits.cpu().numpy())
            for row, one in enumerate(group):
                states.append(output.sentences[row, : len(one.reading.sentences)].cpu().numpy())
    return np.concatenate(logits), states
