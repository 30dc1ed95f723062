"""A run becomes a release once, with figures of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

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


def test_release_refuses_figures_of_another_model(finished: Path, tmp_path: Path) -> None:
    from whereas.release import release

    run = tmp_path / "run"
    shutil.copytree(finished, run)
    manifest = json.loads((run / "model" / "model.json").read_text())
    (run / "model" / "model.json").write_text(json.dumps(manifest | {"trained_at": "2020-01-01"}))
    with pytest.raises(WhereasError, match="the figures are not of this model"):
        release(run, tmp_path / "models")
    assert not (tmp_path / "models").exists()
