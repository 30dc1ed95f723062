"""The fast path: heads refitted on states that are computed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from toys import added, gathered, quiet, write_recipe
from whereas.errors import WhereasError

pytestmark = pytest.mark.train


def test_heads_fast_path_records_what_a_later_training_needs(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    """The rank and windows of the encoder it keeps, not those of a recipe that never trained it;
    and of added files the name, not where they lie."""
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training import heads
    from whereas.training.data import gather
    from whereas.training.fit import Run

    parent = Model(finished / "model")
    recipe = write_recipe(tmp_path, base, rank=8)
    recipe.write_text(recipe.read_text().replace("pieces = 64", "pieces = 32"))
    asked = recipes.with_data(recipes.load(recipe), [added(tmp_path, range(100, 130))])
    child = heads.refit(
        asked, gather(asked, recipe, quiet), parent, tmp_path / "run" / "model", quiet
    )
    assert child.card.recipe["fit"]["lora_rank"] == 4
    assert child.card.recipe["windows"] == parent.card.recipe["windows"]
    assert [d["path"] for d in child.card.recipe["data"]] == ["toy.jsonl", "new.jsonl"]
    Run(write_recipe(tmp_path, base, rank=4), tmp_path / "later", quiet, parent=child)


def test_heads_fast_path_does_not_write_over_its_parent(finished: Path) -> None:
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training import heads

    recipe = finished.parent / "recipe.toml"
    with pytest.raises(WhereasError, match="the model to start from and the one to write"):
        heads.refit(
            recipes.load(recipe),
            gathered(recipe),
            Model(finished / "model"),
            finished / "run" / ".." / "model",
            quiet,
        )
