"""A run becomes a release once, with figures of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from toys import toy_example
from whereas.errors import WhereasError

pytestmark = pytest.mark.train


def test_release_moves_current_and_refuses_the_same_version(finished: Path, tmp_path: Path) -> None:
    from whereas.model import sha256
    from whereas.release import release

    target = release(finished, tmp_path)
    name, digest = (tmp_path / "CURRENT").read_text().split()
    assert target == tmp_path / name == tmp_path / "toy-0.0.1"
    assert digest == sha256(target / "model.json")
    assert "# toy 0.0.1" in (target / "README.md").read_text()
    with pytest.raises(WhereasError, match="exists"):
        release(finished, tmp_path)


def test_release_card_has_the_tasks_it_was_measured_on(
    finished: Path, repository: Path, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from whereas.cli import app
    from whereas.release import release

    out = tmp_path / "results"
    labelled = tmp_path / "mine.jsonl"
    labelled.write_bytes(b"\n".join(msgspec.json.encode(toy_example(n)) for n in range(40)))
    told = ["--data", str(labelled), "-o", str(out), "--model", str(finished / "model")]
    done = CliRunner().invoke(app, ["evaluate", *told])
    assert done.exit_code == 0, done.output
    [folder] = [path.parent for path in out.rglob("results.json")]
    card = (release(finished, tmp_path / "models", results=[folder]) / "README.md").read_text()
    assert "## Tasks" in card
    assert "**mine**" in card
    record = json.loads((folder / "results.json").read_text())
    record["result"]["system"] = "another@0"
    (folder / "results.json").write_text(json.dumps(record))
    with pytest.raises(WhereasError, match="measures another@0, the model is toy"):
        release(finished, tmp_path / "others", results=[folder])


def test_release_refuses_figures_of_another_model(finished: Path, tmp_path: Path) -> None:
    from whereas.release import release

    run = tmp_path / "run"
    shutil.copytree(finished, run)
    manifest = json.loads((run / "model" / "model.json").read_text())
    (run / "model" / "model.json").write_text(json.dumps(manifest | {"trained_at": "2020-01-01"}))
    with pytest.raises(WhereasError, match="the figures are not of this model"):
        release(run, tmp_path / "models")
    assert not (tmp_path / "models").exists()
