"""Training runs on a toy task: optimisation, what a killed run and many processes come to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from toys import (
    TAXONOMY,
    added,
    gathered,
    quiet,
    toy_example,
    write_base,
    write_recipe,
)
from whereas.errors import WhereasError

pytestmark = pytest.mark.train


def test_fit_learns_the_toy_task(finished: Path) -> None:
    curve = json.loads((finished / "curve.json").read_text())
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    metrics = json.loads((finished / "model" / "metrics.json").read_text())
    assert metrics[0]["figures"]["fruit accuracy"]["value"] >= 0.8


def test_fit_teaches_attention_to_find_the_quoted_sentence(finished: Path) -> None:
    """Attention scaled by 1/sqrt(D) once learned nothing from quotes (training/LOG.md)."""
    curve = json.loads((finished / "curve.json").read_text())
    assert curve[-1]["attention"] < 0.5 * curve[0]["attention"]


def assert_same_weights(one: Path, other: Path) -> None:
    """That two run folders hold the same weights and moments, up to rounding."""
    from safetensors.numpy import load_file

    first, second = (load_file(k / "checkpoint.safetensors") for k in (one, other))
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def assert_same_curve(one: Path, other: Path) -> None:
    """That each part of the loss is the same in each epoch of two run folders, up to rounding:
    after eight epochs in two processes it comes to 1e-5."""
    first, second = (json.loads((k / "curve.json").read_text()) for k in (one, other))
    for a, b in zip(first, second, strict=True):
        assert a == pytest.approx(b, rel=1e-3)


KILLED = """
import os, signal, sys
from pathlib import Path
from whereas.training.fit import Run, Step

def say(said):
    if isinstance(said, Step) and (said.epoch, said.step) == (2, 3):
        os.kill(os.getpid(), signal.SIGKILL)

Run(Path(sys.argv[1]), Path(sys.argv[2]), say).train()
"""


def test_fit_killed_in_an_epoch_resumes_to_the_same_weights(base: Path, tmp_path: Path) -> None:
    """Killed for good: nothing of the process is left but its files."""
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base, epochs=3, fit="patience = 2")
    Run(recipe, tmp_path / "whole", quiet).train()
    done = subprocess.run([sys.executable, "-c", KILLED, recipe, tmp_path / "cut"], check=False)
    assert done.returncode == -signal.SIGKILL
    said: list[object] = []
    Run(recipe, tmp_path / "cut", said.append).train()
    assert said[0] == "going on after epoch 1"
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")
    assert_same_curve(tmp_path / "whole", tmp_path / "cut")


def test_fit_killed_while_it_wrote_leaves_a_run_that_goes_on(base: Path, tmp_path: Path) -> None:
    """Before its checkpoint had its name, or between that and the curve."""
    from whereas.training.fit import Run

    recipe, folder = write_recipe(tmp_path, base, epochs=1), tmp_path / "run"
    folder.mkdir()
    (folder / "checkpoint.tmp").write_bytes(b"half")
    Run(recipe, folder, quiet).train()
    assert not (folder / "checkpoint.tmp").exists()
    curve, picture = ((folder / f"curve.{kind}").read_bytes() for kind in ("json", "svg"))
    (folder / "curve.json").write_text("[]")
    (folder / "curve.svg").unlink()
    Run(recipe, folder, quiet).train()
    assert (folder / "curve.json").read_bytes() == curve
    assert (folder / "curve.svg").read_bytes() == picture


def test_fit_resumed_run_holds_no_part_of_the_checkpoint_file(base: Path, tmp_path: Path) -> None:
    """A file that is mapped into memory cannot be replaced on Windows."""
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base, epochs=1, fit="patience = 2")
    Run(recipe, tmp_path / "run", quiet).train()
    run = Run(recipe, tmp_path / "run", quiet)
    optimizer, _ = run._optimizer()
    run._resume(optimizer)
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    with checkpoint.open("r+b") as file:
        file.write(bytes(checkpoint.stat().st_size))
    assert run.best
    for name, parameter in run.trained().items():
        kept = optimizer.state[parameter]
        assert kept["step"] > 0
        assert run.best[name].equal(parameter)
    assert sum(float(m["exp_avg_sq"].sum()) for m in optimizer.state.values()) > 0


@pytest.mark.parametrize("content", [b"", b"half of a checkpoint"])
def test_fit_damaged_checkpoint_is_refused(base: Path, tmp_path: Path, content: bytes) -> None:
    from whereas.training.fit import Run

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(content)
    with pytest.raises(WhereasError, match=r"checkpoint\.safetensors is damaged"):
        Run(write_recipe(tmp_path, base), tmp_path / "run", quiet).train()


def test_fit_run_folder_that_is_a_file_is_refused(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    (tmp_path / "run").write_text("")
    with pytest.raises(WhereasError, match="cannot make the folder"):
        Run(write_recipe(tmp_path, base), tmp_path / "run", quiet).train()


LAUNCHED = [
    *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
    *("-m", "whereas.cli", "train"),
]


def test_fit_two_processes_train_what_one_does(base: Path, tmp_path: Path) -> None:
    """By the command line. Batches of three and one of one: shares differ, and in the last one
    process has none. Rounding differs too, and grows with the epochs."""
    from whereas.training.fit import Run

    fit = "patience = 4\ndropout = 0.0\nencoder_dropout = 0.0"
    recipe = write_recipe(tmp_path, base, epochs=8, fit=fit)
    recipe.write_text(recipe.read_text().replace("batch = 8", "batch = 3"))
    run = Run(recipe, tmp_path / "one", quiet)
    assert len(run.rows) % 3 == 1
    run.train()
    done = subprocess.run(
        [*LAUNCHED, recipe, "-o", tmp_path / "two"],
        env=os.environ | {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 2/8 loss") == done.stderr.count("measuring") == 1
    assert json.loads((tmp_path / "two/run.json").read_text())["environment"]["processes"] == 2
    assert (tmp_path / "two/model/metrics.json").exists()
    assert_same_curve(tmp_path / "one", tmp_path / "two")


def test_fit_more_processes_than_examples_in_a_batch_are_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whereas.training.fit import Run

    run = Run(write_recipe(tmp_path, base), tmp_path / "run", quiet)
    monkeypatch.setattr(type(run.accelerator), "num_processes", 9)
    with pytest.raises(WhereasError, match="9 processes share batches of 8"):
        run.train()


def test_fit_processes_that_the_device_cannot_join_are_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each would train alone, and all write to one folder."""
    from whereas.training.fit import Run

    Run(write_recipe(tmp_path, base), tmp_path / "run", quiet)  # accelerate keeps what it found
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(WhereasError, match="2 processes were launched"):
        Run(write_recipe(tmp_path, base), tmp_path / "run", quiet)


@pytest.mark.parametrize("option", ["--fast", "--dry-run"])
def test_fit_work_for_one_process_refuses_more(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from whereas.cli import WRONG_INPUT, app

    monkeypatch.setenv("WORLD_SIZE", "2")
    done = CliRunner().invoke(app, ["train", "none.toml", "-o", str(tmp_path / "run"), option])
    assert done.exit_code == WRONG_INPUT
    assert "work for one process" in done.output


def epochs_of(run: Any, dev: list[float]) -> list[object]:
    """Trains with these development losses; what it said."""
    said: list[object] = []
    run.say = said.append
    losses = iter(dev)
    run._development_loss = lambda: next(losses)
    run.train()
    return said


def test_fit_patience_stops_and_keeps_the_weights_of_the_best_epoch(
    base: Path, tmp_path: Path
) -> None:
    """And so after it is run again, with nothing left to train."""
    from whereas.training.export import restore
    from whereas.training.fit import Run

    kept = []
    for name, dev in [("stopped", [3.0, 2.0, 2.0, 2.5]), ("whole", [3.0, 2.0])]:
        recipe = write_recipe(tmp_path / name, base, epochs=6, fit="patience = 2")
        run = Run(recipe, tmp_path / name / "run", quiet)
        if name == "stopped":
            said = epochs_of(run, dev)
            assert said[-1] == "no lower development loss since epoch 2: stopping there"
        else:  # the same two epochs, and then no more
            with pytest.raises(StopIteration):
                epochs_of(run, dev)
            run = Run(recipe, tmp_path / name / "run", quiet)
            restore(run)
        kept.append({n: p.detach().clone() for n, p in run.trained().items()})
    again = Run(tmp_path / "stopped/recipe.toml", tmp_path / "stopped/run", quiet)
    assert epochs_of(again, []) == ["going on after epoch 4"]
    kept.append(again.trained())
    assert len(json.loads((tmp_path / "stopped/run/curve.json").read_text())) == 4
    for name, value in kept[0].items():
        for other in kept[1:]:
            np.testing.assert_array_equal(other[name].detach(), value, err_msg=name)


def test_fit_without_patience_keeps_the_last_epoch(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    run = Run(write_recipe(tmp_path, base, epochs=3), tmp_path / "run", quiet)
    said = epochs_of(run, [1.0, 2.0, 3.0])
    assert str(said[-1]).startswith("epoch 3/3 loss")
    assert run.best == {}


def test_fit_training_that_diverges_stops_at_once(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run, Step

    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text().replace("1e-2", "1e30").replace("3e-3", "1e30"))
    said: list[object] = []
    with pytest.raises(WhereasError, match="the loss is nan in epoch 1") as caught:
        Run(recipe, tmp_path / "run", said.append).train()
    assert "head_rate" in caught.value.fix
    assert [one.step for one in said if isinstance(one, Step)] == [1]


def test_fit_epoch_that_diverges_leaves_the_checkpoint_before(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base, epochs=2)
    with pytest.raises(WhereasError, match="the loss is nan in epoch 2"):
        epochs_of(Run(recipe, tmp_path / "run", quiet), [1.0, float("nan")])
    assert epochs_of(Run(recipe, tmp_path / "run", quiet), [1.0])[0] == "going on after epoch 1"


def test_fit_development_loss_is_that_of_labels_weighted_as_in_training(
    base: Path, tmp_path: Path
) -> None:
    from whereas.training.fit import Run
    from whereas.training.network import collate, loss

    recipe = write_recipe(tmp_path, base, fit="label_smoothing = 0.2\nunsure_weight = 0.5")
    recipe.write_text(recipe.read_text() + "rationales = 0.5\n")
    text = (tmp_path / "toy.jsonl").read_text()
    unsure = text.replace('"confidence":"sure"', '"confidence":"unsure"')
    assert unsure != text
    run = Run(recipe, tmp_path / "run", quiet)
    whole = run._development_loss()
    batch = collate(run.dev.items(range(len(run.dev))))
    parts = loss(run.network(batch), batch, run.taxonomy, run.recipe.loss)
    expected = float(parts["fruit"].detach() + parts["rationales"].detach())
    assert whole == pytest.approx(expected, rel=1e-4)
    (tmp_path / "toy.jsonl").write_text(unsure)
    assert Run(recipe, tmp_path / "run", quiet)._development_loss() == pytest.approx(
        expected / 2, rel=1e-4
    )


def test_fit_run_folder_says_what_was_trained_on_what_and_where(finished: Path) -> None:
    names = {"recipe.toml", "run.json", "checkpoint.safetensors", "curve.json", "curve.svg"}
    assert {p.name for p in finished.iterdir()} == names | {"model", "parity.json"}
    recipe = finished.parent / "recipe.toml"
    assert (finished / "recipe.toml").read_bytes() == recipe.read_bytes()
    about = json.loads((finished / "run.json").read_text())
    assert about["data"] == gathered(recipe).digests
    assert about["recipe"]["fit"]["epochs"] == 16
    assert {"torch", "accelerate", "device", "processes"} <= set(about["environment"])


GOLDEN = Path(__file__).parent / "golden" / "curve.json"
RENEW = "WHEREAS_RENEW_GOLDEN"


def test_fit_curve_is_the_golden_one(base: Path, tmp_path: Path) -> None:
    """Each part of the loss in each epoch. What changes the training on purpose renews it:

        WHEREAS_RENEW_GOLDEN=1 python -m pytest tests/test_fit.py -k golden

    Tolerance: other numbers of threads and other instruction sets change it by 3e-7 at most, no
    weight decay by 9e-4, half the encoder's learning rate by 0.4, attention untaught by 10.
    """
    from whereas.training.fit import Run

    # Without dropout, whose masks other processors draw otherwise.
    fit = "dropout = 0.0\nencoder_dropout = 0.0"
    Run(write_recipe(tmp_path, base, epochs=4, fit=fit), tmp_path / "run", quiet).train()
    curve = tmp_path / "run" / "curve.json"
    if os.environ.get(RENEW):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_bytes(curve.read_bytes())
    golden = json.loads(GOLDEN.read_text())
    for epoch, wanted in zip(json.loads(curve.read_text()), golden, strict=True):
        assert epoch == pytest.approx(wanted, rel=5e-4), f"renew it with {RENEW}=1 if it is meant"


def test_fit_refuses_to_resume_another_recipe(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    Run(write_recipe(tmp_path, base, epochs=1), tmp_path / "run", quiet).train()
    with pytest.raises(WhereasError, match="another recipe"):
        Run(write_recipe(tmp_path, base, epochs=2), tmp_path / "run", quiet).train()


def test_fit_refuses_to_resume_when_columns_mean_other_labels(base: Path, tmp_path: Path) -> None:
    """Of the same data: pear before apple, and the weights of each would be the other's."""
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base, epochs=1)
    Run(recipe, tmp_path / "run", quiet).train()
    apple, pear = 'apple = "round"\n', 'pear = "not round"\n'
    assert apple + pear in TAXONOMY
    (tmp_path / "taxonomy.toml").write_text(TAXONOMY.replace(apple + pear, pear + apple))
    with pytest.raises(WhereasError, match="another taxonomy"):
        Run(recipe, tmp_path / "run", quiet).train()
    (tmp_path / "taxonomy.toml").write_text(TAXONOMY.replace("not round", "as pears are"))
    Run(recipe, tmp_path / "run", quiet).train()


def test_fit_goes_on_when_only_development_data_changed(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base, epochs=1)
    Run(recipe, tmp_path / "run", quiet).train()
    (tmp_path / "more.jsonl").write_bytes(
        msgspec.json.encode(msgspec.structs.replace(toy_example(100), id="more", event="more"))
    )
    more = '\n[[data]]\nname = "more"\npath = "more.jsonl"\nrole = "{}"\n[windows]'
    text = recipe.read_text()
    recipe.write_text(text.replace("\n[windows]", more.format("dev"), 1))
    said: list[str] = []
    Run(recipe, tmp_path / "run", said.append).train()
    assert said == ["going on after epoch 1"]
    recipe.write_text(text.replace("\n[windows]", more.format("train"), 1))
    with pytest.raises(WhereasError, match="another recipe or other data"):
        Run(recipe, tmp_path / "run", quiet).train()


def test_fit_full_fine_tuning_needs_no_adapter(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    run = Run(write_recipe(tmp_path, base, epochs=1, rank=0), tmp_path / "run", quiet)
    assert all(p.requires_grad for p in run.network.parameters())


def test_fit_resumes_with_added_files(finished: Path, base: Path, tmp_path: Path) -> None:
    from whereas.model import Model
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text().replace("[fit]", "[fit]\nwarm_epochs = 1"))
    parent, new = Model(finished / "model"), added(tmp_path, range(100, 130))
    said: list[str] = []
    for _ in range(2):
        Run(recipe, tmp_path / "run", said.append, parent=parent, add=[new]).train()
    assert said[-1] == "going on after epoch 1"


def test_fit_other_rank_than_the_parent_is_refused(
    finished: Path, base: Path, tmp_path: Path
) -> None:
    from whereas.model import Model
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base, rank=8)
    with pytest.raises(WhereasError, match="fine-tuned otherwise"):
        Run(recipe, tmp_path / "run", quiet, parent=Model(finished / "model"))


def test_fit_other_base_than_the_parent_is_refused(finished: Path, tmp_path: Path) -> None:
    """Of the same shape: an adapter fits it, and means nothing there."""
    from safetensors.numpy import load_file, save_file

    from whereas.model import Model
    from whereas.training.fit import Run

    (tmp_path / "base").mkdir()
    base = write_base(tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    moved = {name: value + 1 for name, value in weights.items()}
    save_file(moved, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WhereasError, match="fine-tuned from other base weights"):
        Run(write_recipe(tmp_path, base), tmp_path / "run", quiet, parent=Model(finished / "model"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_fit_base_that_lacks_a_file_is_refused(base: Path, tmp_path: Path, name: str) -> None:
    from whereas.training.weights import base_folder

    for path in base.iterdir():
        if path.name != name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert base_folder(str(base)) == base
    with pytest.raises(WhereasError, match=f"holds no {name}"):
        base_folder(str(tmp_path))


def test_fit_pinned_base_is_refused_when_missing_or_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whereas.training import weights

    monkeypatch.setattr(weights, "PINNED_PACKAGE", "whereas_no_such_base")
    with pytest.raises(WhereasError, match="are not installed"):
        weights.base_folder("pinned")
    (tmp_path / "whereas_no_such_base" / "model").mkdir(parents=True)
    (tmp_path / "whereas_no_such_base" / "__init__.py").write_text("raise SystemExit")
    (tmp_path / "whereas_no_such_base" / "model" / "model.safetensors").write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WhereasError, match="not the pinned one"):
        weights.base_folder("pinned")
