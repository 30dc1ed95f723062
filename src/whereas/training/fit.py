"""Recipe → run folder: optimisation, checkpoints that resume, the curve."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from whereas import recipe as recipes
from whereas.errors import WhereasError
from whereas.files import make_folder, write, write_json
from whereas.model import Model, sha256
from whereas.training.data import gather
from whereas.training.folder import chart, environment
from whereas.training.network import Batch, Item, Network, collate, label_loss, loss
from whereas.training.rows import Rows
from whereas.training.weights import base_folder, build_encoder


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Where a training is: `epoch` and `step` count from 1; `loss` is the epoch's mean so far,
    `left` the seconds to go, about."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    left: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}/{self.epochs} step {self.step}/{self.steps} "
            f"loss {self.loss:.3f} left {self.left / 60:.1f} min"
        )


Progress = Callable[[str | Step], None]
"""Told what goes on: lines, and every step of a training, whose `str` is a line."""


class Run:
    """One training run in its folder: epochs, a checkpoint after each.

    A run that was killed goes on from its last epoch and ends with the same weights: what is random
    in an epoch (order, sample, title dropout, dropout) is seeded by (seed, epoch). On a GPU, whose
    sums have no fixed order, they are the same up to rounding.

    Under `accelerate launch` or `torchrun` each process takes its share of every batch, and the
    gradient is that of the whole batch, so a recipe means the same on one device as on eight. Only
    the first process writes; several machines need a run folder that all of them see.
    """

    def __init__(
        self,
        recipe_path: Path,
        folder: Path,
        say: Progress,
        *,
        parent: Model | None = None,
        add: Sequence[Path] = (),
        share: float = 1.0,
    ) -> None:
        """Reads the data and builds the network; trains nothing.

        Args:
            folder: where the run is kept; `train` makes it.
            parent: a released model to start from.
            add: more files of labelled examples.
            share: how much of the training data to train on (see `gather`).

        Raises:
            WhereasError: bad recipe, data or base, a parent that this recipe cannot start from, or
                processes that the device cannot join.
        """
        self.recipe = recipes.thinned(recipes.with_data(recipes.load(recipe_path), add), share)
        self.recipe_toml = recipe_path.read_bytes()
        if parent:
            self.recipe = recipes.warm(self.recipe)
        self.parent = parent
        self.folder = folder
        self.say = say
        self.corpus = gather(self.recipe, recipe_path, say, share=share)
        self.taxonomy = self.corpus.taxonomy
        self.base = base_folder(self.recipe.base)
        self.tokenizer = Tokenizer.from_file(str(self.base / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.accelerator = _accelerator()
        self.device = self.accelerator.device
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
        self.best: dict[str, Tensor] = {}

    def _start_from(self, parent: Model) -> None:
        """Takes over what a released model has learned."""
        base = parent.card.base
        if self.recipe.fit.lora_rank and base["sha256"] != sha256(self.base / "model.safetensors"):
            raise WhereasError(
                f"{parent.id} is fine-tuned from other base weights ({base['name']})",
                "Set base to those in the recipe, or train without it",
            )
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

    @cached_property
    def rows(self) -> Rows:
        """The training examples."""
        return Rows(self.corpus.train, self.recipe, self.taxonomy, self.tokenizer)

    @cached_property
    def dev(self) -> Rows:
        """The development examples."""
        return Rows(self.corpus.dev, self.recipe, self.taxonomy, self.tokenizer)

    def train(self) -> None:
        """Trains what is left to train. The weights in the end, in the network and as `param/` in
        the checkpoint, are those of the last epoch; where the recipe has patience, of the best.

        Raises:
            WhereasError: the folder holds another run, a damaged one or cannot be made, there are
                more processes than examples in a batch, or the loss has become infinite or NaN.
        """
        fit = self.recipe.fit
        if self.accelerator.num_processes > fit.batch:
            raise WhereasError(
                f"{self.accelerator.num_processes} processes share batches of {fit.batch}",
                f"Launch {fit.batch} processes at most, or set a larger batch",
            )
        make_folder(self.folder)
        bare, peaks = self._optimizer()
        model, optimizer = self.accelerator.prepare(self.network, bare)
        first = self._resume(bare)
        if first < fit.epochs and not self._stopped():
            self._describe()
        began = time.monotonic()
        total = self.rows.steps() * fit.epochs
        for epoch in range(first, fit.epochs):
            if self._stopped():
                break
            torch.manual_seed(fit.seed * 1000 + epoch + 1_000_003 * self.accelerator.process_index)
            self.network.train()
            sums: dict[str, float] = {}
            for k, batch in enumerate(self.rows.batches(epoch)):
                step = epoch * self.rows.steps() + k
                rate = _rate(step, total, fit.warmup)
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * rate
                optimizer.zero_grad(set_to_none=True)
                for name, value in self._backward(model, batch, epoch).items():
                    sums[name] = sums.get(name, 0.0) + value
                _check_finite(sum(sums.values()), epoch + 1)
                self.accelerator.clip_grad_norm_(self.network.parameters(), 1.0)
                optimizer.step()
                done = step + 1 - first * self.rows.steps()
                self.say(
                    Step(
                        epoch=epoch + 1,
                        epochs=fit.epochs,
                        step=k + 1,
                        steps=self.rows.steps(),
                        loss=sum(sums.values()) * self.accelerator.num_processes / (k + 1),
                        left=(time.monotonic() - began) / done * (total - step - 1),
                    )
                )
            self._close(epoch + 1, sums, bare)
        if self.best:
            with torch.no_grad():
                for name, parameter in self.trained().items():
                    parameter.copy_(self.best[name])
            self._checkpoint(len(self.curve), bare)
        self.accelerator.end_training()

    def _backward(self, model: Any, rows: Sequence[int], epoch: int) -> dict[str, float]:
        """Adds the gradient of this process's share of a batch; processes then have the mean of
        theirs. Returns what its share adds to each part of the batch's loss."""
        world = self.accelerator.num_processes
        mine = rows[self.accelerator.process_index :: world]
        # One without a share reads a row for nothing: a process that stays away halts the others.
        batch = collate(self.rows.items(mine or rows[:1], epoch))
        output = model(batch)
        parts = loss(
            output,
            batch,
            self.taxonomy,
            self.recipe.loss,
            smoothing=self.recipe.fit.label_smoothing,
        )
        shares = self._shares(batch, bool(mine))
        weighted = {n: part * shares.get(n, shares["labels"]) for n, part in parts.items()}
        # Every parameter has a gradient in every step, of 0 where a batch says nothing about it:
        # processes wait for one another's.
        nothing = 0 * (output.logits.sum() + output.highlight.sum() + output.tags.sum())
        self.accelerator.backward(sum(weighted.values(), nothing) * world)
        return {name: float(value.detach()) for name, value in weighted.items()}

    def _shares(self, batch: Batch, counts: bool) -> dict[str, float]:
        """The share, 0-1, of this process in what each part of the loss is a mean of, over the
        batch as all processes have it: examples, marked pieces, tagged pieces."""
        found = [len(batch.labels), len(batch.highlight), int((batch.tags >= 0).sum())]
        mine = [float(n * counts) for n in found]
        whole = self._over_processes(mine)
        shares = [n / max(1.0, all_) for n, all_ in zip(mine, whole, strict=True)]
        return dict(zip(("labels", "highlight", "facts"), shares, strict=True))

    def _over_processes(self, values: Sequence[float]) -> list[float]:
        """Sums over processes."""
        if self.accelerator.num_processes == 1:
            return list(values)
        found = torch.tensor(values, device=self.device)
        summed: list[float] = self.accelerator.reduce(found, reduction="sum").tolist()
        return summed

    def _close(self, epoch: int, sums: dict[str, float], optimizer: torch.optim.Optimizer) -> None:
        """Ends an epoch, counted from 1: development loss, curve, checkpoint. `sums` is what this
        process added to each part of the loss, over the epoch's steps."""
        names = [*self.taxonomy.axis_names, "attention", "highlight", "facts"]
        whole = self._over_processes([sums.get(name, 0.0) for name in names])
        parts = {n: v / self.rows.steps() for n, v in zip(names, whole, strict=True)}
        total, dev = sum(parts.values()), self._development_loss()
        _check_finite(total + dev, epoch)
        self.curve.append({"epoch": epoch, "loss": total, **parts, "dev": dev})
        self.say(
            f"epoch {epoch}/{self.recipe.fit.epochs} loss {total:.3f} development loss {dev:.3f}"
        )
        if self.recipe.fit.patience and self._best() == epoch:
            self.best = {n: p.detach().clone() for n, p in self.trained().items()}
        self._checkpoint(epoch, optimizer)
        if self._stopped():
            self.say(f"no lower development loss since epoch {self._best()}: stopping there")

    def _development_loss(self) -> float:
        """Mean loss of the label decisions on development documents: weighted as in training, but
        without what teaches only how to decide (evidence, words, facts, label smoothing)."""
        self.network.eval()
        total = 0.0
        batches = self.dev.in_order()
        with torch.no_grad():
            for rows in batches[self.accelerator.process_index :: self.accelerator.num_processes]:
                batch = collate(self.dev.items(rows))
                output = self.network(batch)
                parts = label_loss(
                    output.logits,
                    output.log_attention,
                    batch.labels.to(self.device),
                    batch.weight.to(self.device),
                    [],
                    self.taxonomy,
                    self.recipe.loss,
                )
                total += len(rows) * sum(float(parts[name]) for name in self.taxonomy.axis_names)
        return self._over_processes([total])[0] / len(self.dev)

    def _best(self) -> int:
        """The epoch of the lowest development loss, 0 before the first."""
        return int(min(self.curve, key=lambda e: e["dev"])["epoch"]) if self.curve else 0

    def _stopped(self) -> bool:
        patience = self.recipe.fit.patience
        return bool(patience) and len(self.curve) - self._best() >= patience

    def minutes(self) -> float:
        """About how long `train` would take, from two batches as large as the average."""
        batches = self.rows.batches(0)
        size = [sum(int(self.rows.lengths[k]) for k in batch) for batch in batches]
        usual = sorted(range(len(batches)), key=lambda k: abs(size[k] - sum(size) / len(size)))
        began = time.monotonic()
        tried = 0
        for k in usual[:2]:
            self._backward(self.network, batches[k], 0)
            self.network.zero_grad(set_to_none=True)
            tried += size[k]
        return (time.monotonic() - began) / tried * sum(size) * self.recipe.fit.epochs / 60

    def trained(self) -> dict[str, Tensor]:
        """Parameters that training changes: LoRA or the whole encoder, and the heads."""
        return {n: p for n, p in self.network.named_parameters() if p.requires_grad}

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

    def _describe(self) -> None:
        """Writes what is trained, on what data and where: `recipe.toml`, `run.json`."""
        if not self.accelerator.is_main_process:
            return
        write(self.folder / "recipe.toml", self.recipe_toml)
        about = {
            "name": self.recipe.name,
            "version": self.recipe.version,
            "seed": self.recipe.fit.seed,
            "recipe": self.recipe,  # with what --add and --from made of it
            "data": self.corpus.digests,
            "parent": self.parent.id if self.parent else None,
            "environment": environment(self.accelerator),
            "axes": self._axes(),
        }
        write_json(self.folder / "run.json", about)

    def _axes(self) -> list[dict[str, Any]]:
        """What the columns of the heads stand for, in order."""
        return [
            {"axis": a.name, "kind": a.kind, "labels_of": a.labels_of, "labels": list(a.names)}
            for a in self.taxonomy.axis
        ]

    def _checkpoint(self, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        """Writes tensors and JSON (no pickle): parameters, the optimiser's moments, the curve, and
        with patience the best epoch's parameters. `epoch` is how many are done."""
        if not self.accelerator.is_main_process:
            return
        tensors = {f"param/{n}": p.detach().contiguous() for n, p in self.trained().items()}
        tensors |= {f"best/{n}": t.contiguous() for n, t in self.best.items()}
        for name, parameter in self.trained().items():
            for key, value in optimizer.state[parameter].items():
                tensors[f"adam/{key}/{name}"] = value.detach().contiguous()
        state = {**self._state(), "epoch": epoch, "curve": self.curve}
        save_file(
            tensors,
            self.folder / "checkpoint.tmp",
            metadata={"state": json.dumps(state, sort_keys=True)},
        )
        os.replace(self.folder / "checkpoint.tmp", self.folder / "checkpoint.safetensors")
        self._write_curve()

    def _write_curve(self) -> None:
        write_json(self.folder / "curve.json", self.curve)
        write(self.folder / "curve.svg", chart(self.curve, self.recipe.name))

    def _state(self) -> dict[str, Any]:
        return {
            "recipe": msgspec.to_builtins(self.recipe),
            "data": self.corpus.digests,
            "parent": self.parent.id if self.parent else None,
        }

    def _resume(self, optimizer: torch.optim.Optimizer) -> int:
        """Takes up the folder's checkpoint. Returns the epochs that are done."""
        path = self.folder / "checkpoint.safetensors"
        epoch = 0
        if path.exists():
            try:
                with safe_open(path, framework="pt") as file:
                    state = json.loads(file.metadata()["state"])
                tensors = load_file(path)
            except SafetensorError as error:
                raise WhereasError(
                    f"{path} is damaged: {error}", "Delete it, and train anew"
                ) from error
            self._check_same(state)
            # Copies: what `load_file` gives is the mapped file, which Windows could not replace.
            with torch.no_grad():
                for name, parameter in self.trained().items():
                    parameter.copy_(tensors[f"param/{name}"])
                    optimizer.state[parameter] = {
                        "step": tensors[f"adam/step/{name}"].clone(),  # stays on the CPU
                        **{
                            key: tensors[f"adam/{key}/{name}"].to(self.device, copy=True)
                            for key in ("exp_avg", "exp_avg_sq")
                        },
                    }
                    if self.recipe.fit.patience:
                        self.best[name] = tensors[f"best/{name}"].to(self.device, copy=True)
            self.curve = state["curve"]
            epoch = int(state["epoch"])
            self.say(f"going on after epoch {epoch}")
            if self.accelerator.is_main_process:
                self._write_curve()  # lest it was killed between the checkpoint and these
        if self._over_processes([epoch]) != [epoch * self.accelerator.num_processes]:
            raise WhereasError(
                f"processes see different runs in {self.folder}",
                "Give a folder that every machine sees",
            )
        return epoch

    def _check_same(self, state: dict[str, Any]) -> None:
        """Refuses the state of a checkpoint that this run could not go on from."""
        if _what_trains(state) != _what_trains(self._state()):
            raise WhereasError(
                f"{self.folder} holds a run of another recipe or other data",
                "Give a new folder with -o",
            )
        about = self.folder / "run.json"
        told = json.loads(about.read_text("utf-8")) if about.exists() else {}
        if told.get("axes", self._axes()) != self._axes():
            raise WhereasError(
                f"{self.folder} holds a run of another taxonomy", "Give a new folder with -o"
            )


def _check_finite(value: float, epoch: int) -> None:
    if not math.isfinite(value):
        raise WhereasError(
            f"the loss is {value} in epoch {epoch}: the training diverged",
            "Lower encoder_rate and head_rate in the recipe",
        )


def _accelerator() -> Accelerator:
    """The device and the processes to train on: those launched, else a GPU where there is one."""
    # Mixed precision is the network's own: it computes the encoder in bf16 and heads and losses in
    # fp32; the accelerator's would take in the heads.
    accelerator = Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision="no")
    if accelerator.num_processes != launched():
        raise WhereasError(
            f"{launched()} processes were launched, which {accelerator.device.type} cannot join",
            "Launch one, or set ACCELERATE_USE_CPU=1",
        )
    return accelerator


def launched() -> int:
    """How many processes `accelerate launch` or `torchrun` started for this training."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def follows() -> bool:
    """Whether this is one of them, but not the first."""
    return launched() > 1 and int(os.environ.get("RANK", "0")) > 0


def follow(recipe: Path, folder: Path, *, parent: Path | None, add: Sequence[Path]) -> None:
    """What a process does that `follows`: its share of the training, and nothing else."""
    start = Model(parent) if parent else None
    Run(recipe, folder, lambda _: None, parent=start, add=add).train()


def _what_trains(state: dict[str, Any]) -> dict[str, Any]:
    """What weights depend on, of a checkpoint's state: not the data they are measured on, unless
    that says when to stop, and of warm starts only what they made of the other settings."""
    recipe = state["recipe"]
    fit = {k: v for k, v in recipe["fit"].items() if not k.startswith("warm_")}
    if fit.get("patience"):
        data, digests = recipe["data"], state["data"]
    else:
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
