"""Released models: found by name, verified, told apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from whereas import models
from whereas.cli import app
from whereas.errors import WhereasError
from whereas.model import current


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The current model, copied."""
    folder = tmp_path / "copy"
    shutil.copytree(current(), folder)
    return folder


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


def test_models_difference_shows_settings_and_figures_on_the_same_data(copy: Path) -> None:
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
        (["verify"], "every file is the released one"),
        (["diff", "CURRENT"], "Made of"),
    ],
)
def test_models_commands_print(command: list[str], shown: str) -> None:
    done = CliRunner().invoke(app, ["models", *command])
    assert done.exit_code == 0, done.output
    assert shown in done.stdout
