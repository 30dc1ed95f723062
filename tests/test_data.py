"""What a recipe trains on: gathered, checked, training and development kept apart."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from toys import (
    TAXONOMY,
    gathered,
    held_toy,
    quiet,
    toy_example,
    with_file,
    write_recipe,
)
from whereas import taxonomy as taxonomies
from whereas.errors import WhereasError

pytestmark = pytest.mark.train


def test_data_role_holdout_takes_the_development_split_alone(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base)
    split = Run(recipe, tmp_path / "run", quiet).corpus
    other = [msgspec.structs.replace(toy_example(n), event=None) for n in range(100, 103)]
    (tmp_path / "other.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, other)))
    text = recipe.read_text().replace('role = "split"', 'role = "holdout"', 1)
    more = '\n[[data]]\nname = "other"\npath = "other.jsonl"\n[windows]'
    recipe.write_text(text.replace("\n[windows]", more, 1))
    held = Run(recipe, tmp_path / "other", quiet).corpus
    assert held.dev == split.dev
    assert list(held.train) == ["other"]


def test_data_data_of_one_event_on_both_sides_is_refused(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base)
    again = '\n[[data]]\nname = "again"\npath = "toy.jsonl"\n[windows]'
    recipe.write_text(recipe.read_text().replace("\n[windows]", again, 1))
    with pytest.raises(WhereasError, match="training and development data"):
        Run(recipe, tmp_path / "run", quiet)


def test_data_data_with_the_text_of_development_data_is_refused(base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, base)
    twin = held_toy(recipe)
    original = gathered(recipe).dev["toy"][0].id
    with pytest.raises(WhereasError, match=f"twin in training data has the text of {original} in"):
        gathered(with_file(recipe, "more", [twin]))


def test_data_presumed_document_with_the_text_of_development_data_is_left_out(
    base: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, base)
    twin = msgspec.structs.replace(held_toy(recipe), confidence="presumed")
    data = gathered(with_file(recipe, "more", [twin, toy_example(100)]))
    assert [e.id for e in data.train["more"]] == ["toy-100"]


def test_data_presumed_document_of_a_development_event_is_left_out(
    base: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, base)
    event = gathered(recipe).dev["toy"][0].event
    same = msgspec.structs.replace(toy_example(101), event=event, confidence="presumed")
    data = gathered(with_file(recipe, "more", [same, toy_example(100)]))
    assert [e.id for e in data.train["more"]] == ["toy-100"]


def test_data_two_data_of_one_name_are_refused(base: Path, tmp_path: Path) -> None:
    """Else the second would silently replace the first."""
    recipe = with_file(write_recipe(tmp_path, base), "more", [toy_example(100)])
    recipe.write_text(recipe.read_text().replace('name = "more"', 'name = "toy"'))
    with pytest.raises(WhereasError, match=r"two \[\[data\]\] are named 'toy'"):
        gathered(recipe)


@pytest.mark.parametrize(("role", "missing"), [("train", "development"), ("dev", "training")])
def test_data_data_of_one_part_alone_is_refused(
    base: Path, tmp_path: Path, role: str, missing: str
) -> None:
    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text().replace('"split"', f'"{role}"'))
    with pytest.raises(WhereasError, match=f"the recipe finds no {missing} data"):
        gathered(recipe)


def test_data_taxonomy_that_is_not_there_is_named(base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, base)
    (tmp_path / "taxonomy.toml").unlink()
    with pytest.raises(WhereasError, match=r"cannot read .*taxonomy\.toml"):
        gathered(recipe)


def test_data_file_without_examples_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(WhereasError, match=r"more \(more\.jsonl\) holds no examples"):
        gathered(with_file(write_recipe(tmp_path, base), "more", []))


def test_data_loss_weight_of_an_unknown_axis_is_refused(base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text() + "fruits = 2.0\n")
    with pytest.raises(WhereasError, match="'fruits', which is no axis") as caught:
        gathered(recipe)
    assert caught.value.fix == "Did you mean fruit? Axes: fruit, rationales"


def test_data_development_data_of_one_half_is_refused_as_cross_fitting_would(
    base: Path, tmp_path: Path
) -> None:
    from whereas.evaluation import crossfitted

    toys = taxonomies.parse(TAXONOMY.encode(), "toy")
    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text().replace('"split"', '"train"'))
    dev = [msgspec.structs.replace(toy_example(n), event="alone") for n in range(100, 110)]
    with pytest.raises(WhereasError) as early:
        gathered(with_file(recipe, "more", dev, "dev"))
    with pytest.raises(WhereasError) as late:
        crossfitted(toys, np.zeros((10, 5)), dev)
    assert (early.value.what, early.value.fix) == (late.value.what, late.value.fix)


def test_data_recipe_of_the_release_trains_on_the_committed_corpus_alone(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whereas import recipe as recipes
    from whereas.training.data import gather

    monkeypatch.delenv(recipes.DATA_VARIABLE, raising=False)
    path = repository / "training/recipes/whereas.toml"
    said: list[str] = []
    data = gather(recipes.load(path), path, said.append)
    assert list(data.train) == list(data.dev) == ["reported", "authored", "contrast"]
    assert len(said) == 3, "each file that is left out is named"
