"""Released models: found by name, verified, told apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from whereas import models
from whereas.cli import app
from whereas.errors import WhereasError
from whereas.model import current, sha256


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The current model, copied."""
    folder = tmp_path / "copy"
    shutil.copytree(current(), folder)
    return folder


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The released models, copied: current and older."""
    folder = tmp_path / "models"
    shutil.copytree(current(), folder / current().name)
    shutil.copytree(current(), folder / "older")
    shutil.copyfile(current().parent / "CURRENT", folder / "CURRENT")
    for place in ("whereas.model.models_folder", "whereas.models.models_folder"):
        monkeypatch.setattr(place, lambda: folder)
    return folder


def edit(folder: Path, **fields: Any) -> None:
    """Changes `model.json`."""
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | fields))


def test_models_current_is_found_listed_and_whole() -> None:
    folder = models.find("CURRENT")
    assert folder == models.find(folder.name) == models.find(str(folder))
    assert models.verify(folder).startswith(f"{folder.name}@")
    [row] = [r for r in models.overview().rows if r[-1] == "current"]
    assert row[0] == folder.name


def test_models_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(WhereasError, match="no model 'nope'") as caught:
        models.find("nope")
    assert current().name in caught.value.fix


def test_models_changed_file_is_not_verified(copy: Path) -> None:
    path = copy / "tokenizer.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(WhereasError, match=r"tokenizer\.json is not the released file"):
        models.verify(copy)


def test_models_changed_manifest_of_the_current_one_is_not_verified(shelf: Path) -> None:
    folder = current()
    assert models.verify(folder).endswith("match its manifest, and that is the one CURRENT names")
    edit(folder, trained_at="2020-01-01")
    with pytest.raises(WhereasError, match=r"model\.json is missing or is not the released one"):
        models.verify(folder)


def test_models_of_another_manifest_only_its_files_are_vouched_for(shelf: Path) -> None:
    edit(shelf / "older", trained_at="2020-01-01")
    assert models.verify(shelf / "older").endswith(": its files match its manifest")


def test_models_damaged_one_is_listed_as_such_beside_the_others(shelf: Path) -> None:
    (shelf / "older" / "model.json").write_text("{")
    states = {row[0]: row[-1] for row in models.overview().rows}
    assert states == {current().name: "current", "older": "damaged"}
    edit(current(), trained_at="2020-01-01")
    assert {row[-1] for row in models.overview().rows} == {"damaged"}


def test_models_difference_shows_taxonomy_and_weights_of_data(copy: Path) -> None:
    (copy / "taxonomy.toml").write_bytes((copy / "taxonomy.toml").read_bytes() + b"\n")
    card = json.loads((copy / "model.json").read_text())
    first = card["recipe"]["data"][0]
    first["weight"] = 3.5
    edit(
        copy,
        recipe=card["recipe"],
        files=card["files"] | {"taxonomy.toml": sha256(copy / "taxonomy.toml")},
    )
    settings = {row[0]: row[2] for row in models.difference(current(), copy)[0].rows}
    assert settings["taxonomy"] == sha256(copy / "taxonomy.toml")[:8]
    assert settings[f"data {first['name']} weight"] == "3.5"


def test_models_difference_tells_folders_of_one_name_apart(copy: Path, tmp_path: Path) -> None:
    other = tmp_path / "run" / "copy"
    shutil.copytree(copy, other)
    edit(other, version="9.9")
    made, _ = models.difference(copy, other)
    assert made.columns == ["", current().name, "whereas-9.9"]


def test_models_difference_shows_settings_settings_and_figures_on_the_same_data(copy: Path) -> None:
    card = json.loads((copy / "model.json").read_text())
    card["recipe"]["fit"]["epochs"] = 99
    card["trained_at"] = "2020-01-01"
    (copy / "model.json").write_text(json.dumps(card))
    figures = json.loads((copy / "metrics.json").read_text())
    own = next(r for r in figures if r["system"].startswith(card["name"]))
    own["figures"]["action accuracy"]["value"] += 0.1
    (copy / "metrics.json").write_text(json.dumps(figures))
    made, compared = models.difference(current(), copy)
    settings = {row[0]: row[2] for row in made.rows}
    assert settings["fit.epochs"] == "99"
    assert settings["trained_at"] == "2020-01-01"
    assert "fit.batch" not in settings
    gaps = {(row[0], row[1]): row[-1] for row in compared.rows}
    assert gaps[own["data"], "action accuracy"] == "+0.100"
    assert gaps[own["data"], "relevance AP"] == "+0.000"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["list"], "current"),
        (["show"], "## Limits"),
        (["verify"], "its files match its manifest"),
        (["diff", "CURRENT"], "Made of"),
    ],
)
def test_models_commands_print(command: list[str], shown: str) -> None:
    done = CliRunner().invoke(app, ["models", *command])
    assert done.exit_code == 0, done.output
    assert shown in done.stdout
