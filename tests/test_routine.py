"""The whole way from a recipe, or from a released model and new labels, to a measured model."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from toys import (
    PLUM,
    added,
    quiet,
    toy_example,
    write_recipe,
)
from whereas.errors import WhereasError

pytestmark = pytest.mark.train


@pytest.mark.parametrize("fast", [True, False])
def test_routine_learns_a_new_label_and_keeps_the_old_ones(
    finished: Path, base: Path, tmp_path: Path, cache: Path, fast: bool
) -> None:
    from whereas.model import Model, sha256
    from whereas.training.routine import train

    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text().replace("[fit]", "[fit]\nwarm_epochs = 6\nwarm_rate = 1"))
    (tmp_path / "taxonomy.toml").write_text(PLUM)
    plums = {n: {"fruit": "plum"} for n in range(100, 160) if n % 3 == 0}
    new = added(tmp_path, range(100, 160), plums)
    new.write_text(new.read_text().replace("apples", "quince"))
    run = tmp_path / "run"
    results = train(recipe, run, quiet, parent=finished / "model", add=[new], fast=fast)
    parent, child = Model(finished / "model"), Model(run / "model")
    assert child.card.parent == parent.id
    assert child.card.version.startswith("0.0.1+")
    assert (sha256(run / "model" / "encoder.onnx") == parent.card.files["encoder.onnx"]) == fast
    by = {(r.system, r.data): r for r in results}
    assert by[child.id, "new"].labels["fruit"]["plum"].value == 1.0
    assert by[parent.id, "new"].labels["fruit"]["plum"].value == 0.0
    old = [by[m.id, "toy"].figures["fruit accuracy"].value or 0 for m in (child, parent)]
    assert old[0] >= old[1] - 0.1


def test_routine_planted_label_errors_are_suspected(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    from whereas.training import routine

    wrong = {103: {"fruit": "none", "rationales": []}, 110: {"fruit": "apple"}}
    new = added(tmp_path, range(100, 130), wrong)
    plan = routine.plan(
        write_recipe(tmp_path, base),
        tmp_path / "run",
        quiet,
        parent=finished / "model",
        add=[new],
    )
    suspects = next(t for t in plan.tables if t.title.startswith("Suspected"))
    found = {row[0] for row in suspects.rows if row[1] == "fruit"}
    assert {f"new-{n}" for n in wrong} <= found
    assert len(found) <= 4
    assert plan.minutes is not None
    assert plan.minutes > 0
    assert not (tmp_path / "run").exists()


def test_routine_same_text_with_other_labels_is_a_contradiction(base: Path, tmp_path: Path) -> None:
    from whereas.training import routine

    lines = [msgspec.structs.replace(toy_example(n), id=f"n{n}") for n in (1, 2)]
    lines[0] = msgspec.structs.replace(lines[0], labels=lines[0].labels | {"fruit": "apple"})
    path = tmp_path / "new.jsonl"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    plan = routine.plan(
        write_recipe(tmp_path, base), tmp_path / "run", quiet, add=[path], timed=False
    )
    assert "n1 has the text of toy-1, but other labels: fruit" in plan.warnings
    assert not [w for w in plan.warnings if w.startswith("n2 has")]


def test_routine_fast_path_needs_a_model_to_start_from(base: Path, tmp_path: Path) -> None:
    from whereas.training.routine import train

    with pytest.raises(WhereasError, match="refits a released model"):
        train(write_recipe(tmp_path, base), tmp_path / "run", quiet, fast=True)


def test_routine_two_files_of_one_name_are_refused(base: Path, tmp_path: Path) -> None:
    from whereas.training.routine import plan

    recipe = write_recipe(tmp_path, base)
    with pytest.raises(WhereasError, match="data named 'toy' already"):
        plan(recipe, tmp_path / "run", quiet, add=[tmp_path / "toy.jsonl"], timed=False)


def test_routine_baseline_is_measured_on_documents_it_has_not_seen(
    base: Path, tmp_path: Path
) -> None:
    from whereas.training.routine import baseline_rows

    found = [msgspec.structs.replace(toy_example(n), id=f"x{n}") for n in range(200, 230)]
    rows = baseline_rows(write_recipe(tmp_path, base), found, quiet, crossfit=False)
    assert [row.id for row in rows] == [e.id for e in found]
    assert np.mean([row.gold["fruit"] == row.given["fruit"] for row in rows]) > 0.9


@pytest.mark.parametrize("fast", [True, False])
def test_routine_output_that_is_a_file_is_an_error(
    finished: Path, base: Path, tmp_path: Path, fast: bool
) -> None:
    from whereas.training import curve, routine

    recipe, output = write_recipe(tmp_path, base), tmp_path / "file"
    output.touch()
    for work in (routine.train, curve.curve):
        with pytest.raises(WhereasError, match="cannot make the folder"):
            work(recipe, output, quiet, parent=finished / "model", fast=fast)


def test_routine_starts_from_a_model_of_another_taxonomy(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    """Its labels of another primary axis are no figures, neither right nor wrong."""
    from whereas.training import routine

    recipe = write_recipe(tmp_path, base)
    for name, old, new in [
        ("taxonomy.toml", 'axis = "fruit"', 'axis = "goods"'),
        ("taxonomy.toml", 'name = "fruit"', 'name = "goods"'),
        ("toy.jsonl", '"fruit":', '"goods":'),
    ]:
        path = tmp_path / name
        path.write_text(path.read_text().replace(old, new))
    mine, theirs = routine.train(
        recipe, tmp_path / "run", quiet, parent=finished / "model", fast=True
    )
    assert mine.figures["goods accuracy"].value is not None
    assert not [name for name in theirs.figures if name.startswith(("goods", "relevance"))]
    assert theirs.figures["rationales micro-F1"].value is not None
