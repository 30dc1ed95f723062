"""An exported model decides like the network it was exported from."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from toys import (
    added,
    gathered,
    quiet,
    toy_example,
    write_recipe,
)

pytestmark = pytest.mark.train


def test_export_decides_like_the_trained_network(finished: Path) -> None:
    parity = json.loads((finished / "parity.json").read_text())
    assert parity["flipped_labels"] <= 0.01
    assert parity["cosine"] >= 0.99


def test_export_numpy_heads_equal_torch_heads(finished: Path) -> None:
    """Same sentence states in, same logits and attention out, to float precision."""
    import torch

    from whereas.model import Model
    from whereas.training.export import restore
    from whereas.training.fit import Run
    from whereas.training.network import collate, item

    run = Run(finished.parent / "recipe.toml", finished, quiet)
    restore(run)
    run.network.eval()
    model = Model(finished / "model")
    for n in range(6):
        one = item(run.tokenizer, toy_example(n), run.taxonomy, model.encoder.spec)
        with torch.no_grad():
            output = run.network(collate([one]))
        states = model.encoder.encode([one.reading])[0]
        exact = msgspec.structs.replace(states, sentences=output.sentences[0].numpy())
        got = model.logits(toy_example(n).document(), exact)
        np.testing.assert_allclose(got.total, output.logits[0].numpy(), atol=1e-4)
        np.testing.assert_allclose(got.attention, output.log_attention[0].exp().numpy(), atol=1e-4)
        np.testing.assert_allclose(got.support.sum(0) + model.heads["bias"], got.total, atol=1e-5)


def test_export_adapter_warm_starts_an_encoder(finished: Path) -> None:
    from safetensors.numpy import load_file

    checkpoint = load_file(finished / "checkpoint.safetensors")
    adapter = load_file(finished / "model" / "adapter.safetensors")
    assert adapter
    for name, value in adapter.items():
        np.testing.assert_array_equal(value, checkpoint[f"param/{name}"])


def test_export_version_tells_what_it_was_made_of(
    finished: Path, base: Path, tmp_path: Path
) -> None:
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training.data import gather
    from whereas.training.export import retrained

    parent, other = Model(finished / "model"), Model(finished / "model")
    other.id = "other"
    path = write_recipe(tmp_path, base)
    (tmp_path / "elsewhere").mkdir()
    recipe, moved = (
        recipes.with_data(recipes.load(path), [added(folder, range(100, 130))])
        for folder in (tmp_path, tmp_path / "elsewhere")
    )
    data = gather(recipe, path, quiet)
    one = retrained(parent, recipe, data, fast=False)
    assert one == retrained(parent, moved, gather(moved, path, quiet), fast=False)
    differ = [
        one,
        retrained(parent, recipe, data, fast=True),
        retrained(parent, recipes.warm(recipe), data, fast=False),
        retrained(
            parent, recipe, msgspec.structs.replace(data, taxonomy_toml=b"name = 1"), fast=False
        ),
        retrained(other, recipe, data, fast=False),
        retrained(parent, recipe, gathered(path), fast=False),
    ]
    assert len(set(differ)) == len(differ)
