"""Run → released folder: merged encoder to int8 ONNX, heads, calibration, manifest; parity."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from whereas import __version__
from whereas import taxonomy as taxonomies
from whereas.calibration import Calibration, calibrate, choose, gold, identity, probabilities
from whereas.encoder import WindowSpec
from whereas.files import make_folder, write_json
from whereas.model import FILES, FORMAT, WORDS, Card, Model, sha256
from whereas.recipe import Recipe, described
from whereas.taxonomy import Taxonomy
from whereas.training import baseline
from whereas.training.data import Corpus
from whereas.training.fit import Run, predict
from whereas.training.network import item

OPSET = 17


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """torch fp32 against ONNX int8 on development documents, each with the second opinion if there
    is one: `flipped` share of (document, axis) decisions that differ, 0-1; `flipped_labels` share
    of (document, label) decisions that differ; `cosine` mean cosine of sentence states."""

    documents: int
    flipped: float
    flipped_labels: float
    cosine: float


def export(run: Run, folder: Path) -> Parity:
    """Writes the run's model to a folder that `whereas.model.Model` loads.

    Calibration and thresholds are fitted on the int8 model's own logits of all development
    documents, with those of the words, since these are the scores that users will see.
    """
    dev = [e for group in run.corpus.dev.values() for e in group]
    items = [item(run.tokenizer, e, run.taxonomy, _spec(run)) for e in dev]
    reference, reference_states = predict(run.network, items)

    make_folder(folder)
    adapter = {n: p.detach().contiguous() for n, p in run.trained().items()}
    save_file({n: p for n, p in adapter.items() if n.startswith("encoder.")}, folder / FILES[2])
    heads = {n: p.detach().contiguous() for n, p in run.network.heads().items()}
    save_file(heads, folder / FILES[1])
    shutil.copyfile(run.base / "tokenizer.json", folder / FILES[3])
    (folder / FILES[4]).write_bytes(run.corpus.taxonomy_toml)
    _encoder_to_onnx(run, folder / FILES[0])
    write_words(run.recipe, run.corpus, folder)

    _manifest(run, folder, identity(run.taxonomy))
    model = Model(folder)
    states = model.encoder.encode([i.reading for i in items])
    documents = [e.document() for e in dev]
    logits = np.stack([model.logits(d, s).total for d, s in zip(documents, states, strict=True)])
    reference = reference + np.stack([model.opinion(d) for d in documents])
    calibration = calibrate(run.taxonomy, logits.astype(np.float64), gold(dev, run.taxonomy))
    _manifest(run, folder, calibration)
    cosines = [
        _cosine(a, s.sentences) for a, s in zip(reference_states, states, strict=True) if len(a)
    ]
    axes, labels = flips(run.taxonomy, calibration, reference, logits)
    return Parity(
        documents=len(dev),
        flipped=axes,
        flipped_labels=labels,
        cosine=float(np.concatenate(cosines).mean()),
    )


def write_words(recipe: Recipe, data: Corpus, folder: Path) -> None:
    """Fits the second opinion on the training data and writes it, if the recipe has one; what an
    earlier export left of one is gone in any case."""
    (folder / WORDS).unlink(missing_ok=True)
    if recipe.words:
        baseline.fit(
            [e for group in data.train.values() for e in group],
            data.taxonomy,
            [data.weights[name] for name, group in data.train.items() for _ in group],
            features=recipe.words.features,
        ).save(folder / WORDS)


def flips(
    taxonomy: Taxonomy, calibration: Calibration, one: np.ndarray, other: np.ndarray
) -> tuple[float, float]:
    """Shares of (document, axis) and (document, label) decisions in which logits [N, C] differ."""
    decided = []
    for logits in (one, other):
        scores = probabilities(taxonomy, logits, calibration)
        decided.append(
            [
                choose(taxonomy, {k: v[n] for k, v in scores.items()}, calibration.thresholds)
                for n in range(len(logits))
            ]
        )
    axes = labels = 0
    for a, b in zip(*decided, strict=True):
        for axis in taxonomy.axis:
            different = len(set(a[axis.name]) ^ set(b[axis.name]))
            axes += different > 0
            labels += different
    total = len(one)
    return axes / (total * len(taxonomy.axis)), labels / (total * one.shape[1])


def _spec(run: Run) -> WindowSpec:
    return WindowSpec(pieces=run.recipe.windows.pieces, budget=run.recipe.windows.budget)


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    result: np.ndarray = (a * b).sum(1) / np.maximum(norms, 1e-9)
    return result


class _States(nn.Module):
    """The encoder with two inputs and one output."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        return states


def _encoder_to_onnx(run: Run, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel

    encoder: Any = run.network.encoder
    merged: Any = encoder.merge_and_unload() if hasattr(encoder, "merge_and_unload") else encoder
    config = merged.config
    config._attn_implementation = "eager"
    auto: Any = AutoModel
    plain = auto.from_config(config, add_pooling_layer=False)
    plain.load_state_dict(merged.state_dict())
    plain.eval()
    whole = path.with_suffix(".fp32.onnx")
    ids = torch.ones((2, 16), dtype=torch.int64)
    with _quiet():
        torch.onnx.export(
            _States(plain),
            (ids, torch.ones_like(ids)),
            str(whole),
            dynamo=False,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["states"],
            dynamic_axes={
                "input_ids": {0: "window", 1: "piece"},
                "attention_mask": {0: "window", 1: "piece"},
                "states": {0: "window", 1: "piece"},
            },
        )
        quantize_dynamic(whole, path, per_channel=True, weight_type=QuantType.QInt8)
    whole.unlink()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters say about themselves: parity is measured, and a failure raises."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _manifest(run: Run, folder: Path, calibration: Calibration) -> None:
    manifest(
        folder,
        recipe=run.recipe,
        version=retrained(run.parent, run.recipe, run.corpus, fast=False)
        if run.parent
        else run.recipe.version,
        base={"name": run.recipe.base, "sha256": sha256(run.base / "model.safetensors")},
        windows=_spec(run),
        width=run.network.norm.normalized_shape[0],
        calibration=calibration,
        data=run.corpus.digests,
        parent=run.parent,
    )


def manifest(
    folder: Path,
    *,
    recipe: Recipe,
    version: str,
    base: dict[str, str],
    windows: WindowSpec,
    width: int,
    calibration: Calibration,
    data: dict[str, Any],
    parent: Model | None,
) -> None:
    """Writes `model.json` over the other files of a model folder."""
    card = Card(
        format=FORMAT,
        name=recipe.name,
        version=version,
        base=base,
        windows=windows,
        width=width,
        calibration=calibration,
        words_weight=recipe.words.weight if recipe.words else 0.0,
        recipe=described(recipe),
        data=data,
        code=_code(),
        files={
            name: sha256(folder / name) for name in ((*FILES, WORDS) if recipe.words else FILES)
        },
        trained_at=time.strftime("%Y-%m-%d"),
        environment={
            "whereas": __version__,
            **{p: installed(p) for p in ("torch", "transformers", "onnxruntime", "numpy")},
        },
        parent=parent.id if parent else None,
    )
    write_json(folder / "model.json", card)


def retrained(parent: Model, recipe: Recipe, data: Corpus, *, fast: bool) -> str:
    """The version of a model retrained from another: the parent's, and a digest of what it was
    retrained from and with."""
    made_of = [
        parent.id,
        described(recipe),
        taxonomies.digest(data.taxonomy_toml),
        data.digests,
        fast,
    ]
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    return f"{parent.card.version.partition('+')[0]}+{digest[:8]}"


def _code() -> str:
    """The commit of the code, with a mark when there are changes on top; `unknown` outside git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def restore(run: Run) -> None:
    """Loads the run's last checkpoint into its network."""
    tensors = load_file(run.folder / "checkpoint.safetensors")
    with torch.no_grad():
        for name, parameter in run.trained().items():
            parameter.copy_(tensors[f"param/{name}"])
