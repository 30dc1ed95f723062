"""A recipe is read strictly; data outside the repository may be missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from whereas import recipe as recipes
from whereas.errors import WhereasError
from whereas.recipe import Data

SMALL = """
name = "small"
version = "0.1"

[[data]]
name = "mine"
path = "mine.jsonl"

[windows]

[fit]
epochs = 2
encoder_rate = 1e-4
head_rate = 1e-3

[loss]
attention = 0.1
highlight = 0.2
facts = 0.3
axes = { action = 1.0 }
"""


def failure(tmp_path: Path, old: str, new: str) -> WhereasError:
    assert old in SMALL
    path = tmp_path / "small.toml"
    path.write_text(SMALL.replace(old, new, 1))
    with pytest.raises(WhereasError) as caught:
        recipes.load(path)
    return caught.value


def test_recipe_loads_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    recipe = recipes.load(path)
    assert (recipe.fit.epochs, recipe.fit.batch, recipe.windows.pieces) == (2, 16, 256)


def committed(repository: Path) -> list[Path]:
    """The recipes that come with the sources, those in folders too."""
    paths = sorted((repository / "training" / "recipes").rglob("*.toml"))
    assert repository / "training/recipes/whereas.toml" in paths
    return paths


def test_recipe_committed_ones_load_and_name_their_data_apart(repository: Path) -> None:
    for path in committed(repository):
        names = [data.name for data in recipes.load(path).data]
        assert names
        assert len(set(names)) == len(names)


def test_recipe_committed_ones_begin_with_the_command_that_runs_them(repository: Path) -> None:
    for path in committed(repository):
        first = path.read_text("utf-8").splitlines()[0]
        assert first.startswith("#")
        assert f"whereas train {path.relative_to(repository).as_posix()} " in first


@pytest.mark.parametrize(
    ("section", "valid"),
    [
        ('version = "0.1"', "taxonomy"),
        ('path = "mine.jsonl"', "holdout"),
        ("[windows]", "training_budget"),
        ("epochs = 2", "encoder_rate"),
        ("facts = 0.3", "highlight"),
    ],
)
def test_recipe_unknown_key_is_an_error_that_lists_the_valid_ones(
    tmp_path: Path, section: str, valid: str
) -> None:
    error = failure(tmp_path, section, section + "\nwarm_up = 3")
    assert "warm_up" in error.what
    assert valid in error.fix


def test_recipe_missing_key_is_named(tmp_path: Path) -> None:
    assert "epochs" in failure(tmp_path, "epochs = 2\n", "").what


def test_recipe_value_of_a_wrong_type_says_where(tmp_path: Path) -> None:
    assert "$.fit.epochs" in failure(tmp_path, "epochs = 2", 'epochs = "two"').what


def test_recipe_unknown_role_is_refused(tmp_path: Path) -> None:
    path = 'path = "mine.jsonl"'
    assert "test" in failure(tmp_path, path, path + '\nrole = "test"').what


def test_recipe_bad_toml_is_refused(tmp_path: Path) -> None:
    assert "small.toml" in failure(tmp_path, "[windows]", "[windows").what


def test_recipe_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(WhereasError, match=r"bad\.toml"):
        recipes.load(tmp_path / "bad.toml")


def test_recipe_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WhereasError, match=r"cannot read .*none\.toml"):
        recipes.load(tmp_path / "none.toml")


def test_recipe_added_data_is_held_out_like_that_of_the_committed_ones(repository: Path) -> None:
    """Or an event that is in both would fall on both sides."""
    data = [d for path in committed(repository) for d in recipes.load(path).data]
    shares = {d.holdout for d in data if d.role == "split"}
    assert shares == {recipes.ADDED_HOLDOUT}


def test_recipe_is_described_without_where_added_files_lie(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    recipe = recipes.with_data(recipes.load(path), [tmp_path / "new.jsonl"])
    assert recipe.data[-1].path == str(tmp_path / "new.jsonl")
    assert [d["path"] for d in recipes.described(recipe)["data"]] == ["mine.jsonl", "new.jsonl"]


def test_recipe_data_lies_beside_the_recipe() -> None:
    data = Data(name="mine", path="../corpus/mine.jsonl")
    assert recipes.locate(data, Path("/lab/recipes/a.toml")) == [Path("/lab/corpus/mine.jsonl")]


def test_recipe_data_may_be_a_glob_of_files_in_order(tmp_path: Path) -> None:
    for name in ("b-2.jsonl", "b-1.jsonl", "c.jsonl"):
        (tmp_path / name).touch()
    data = Data(name="mine", path="b-*.jsonl")
    found = recipes.locate(data, tmp_path / "a.toml")
    assert [path.name for path in found] == ["b-1.jsonl", "b-2.jsonl"]


def test_recipe_glob_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WhereasError, match=r"data mine: no file like .*d-\*\.jsonl"):
        recipes.locate(Data(name="mine", path="d-*.jsonl"), tmp_path / "a.toml")


def test_recipe_data_outside_is_left_out_when_the_variable_is_unset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WHEREAS_DATA", raising=False)
    data = Data(name="far", path="$WHEREAS_DATA/far.jsonl")
    assert recipes.locate(data, Path("small.toml")) == []


def test_recipe_data_outside_lies_under_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEREAS_DATA", "/elsewhere")
    data = Data(name="far", path="$WHEREAS_DATA/deep/far.jsonl")
    assert recipes.locate(data, Path("small.toml")) == [Path("/elsewhere/deep/far.jsonl")]


def test_recipe_data_under_another_variable_is_refused() -> None:
    with pytest.raises(WhereasError) as caught:
        recipes.locate(Data(name="far", path="$HOME/far.jsonl"), Path("small.toml"))
    assert "$HOME" in caught.value.what
    assert "$WHEREAS_DATA" in caught.value.fix
