"""Tasks, result folders and comparisons, with a system that predicts from a file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from whereas import corpus, report, tasks
from whereas.cli import app
from whereas.errors import WhereasError
from whereas.model import Model, current
from whereas.records import Example
from whereas.tasks import Task
from whereas.taxonomy import Taxonomy

Make = Callable[..., Example]


@pytest.fixture
def labelled(tmp_path: Path, make_example: Make) -> Path:
    """Twelve labelled documents, every other one irrelevant."""
    none = {"action": "none", "status": "background", "rationales": []}
    examples = [
        make_example(
            id=f"{n}", event=f"{n}", labels=make_example().labels | (none if n % 2 else {})
        )
        for n in range(12)
    ]
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, examples)))
    return path


def predicted(path: Path, examples: list[Example], wrong: int = 0, **more: Any) -> Path:
    """Predictions of which the first `wrong` have another action."""
    lines = [
        {"id": e.id, "labels": dict(e.labels) | ({"action": "report"} if n < wrong else {}) | more}
        for n, e in enumerate(examples)
    ]
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return path


def finished(labelled: Path, name: str, wrong: int, taxonomy: Taxonomy) -> tasks.Finished:
    folder = labelled.parent
    examples = corpus.read(labelled)
    path = predicted(folder / f"{name}.jsonl", examples, wrong)
    return tasks.predictions(tasks.of_file(labelled), examples, path, taxonomy, folder / name)


# ------------------------------------------------------------------ tasks


def test_tasks_file_with_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text('name = "t"\nversion = "1"\ndata = []\nkinds = "x"', "utf-8")
    with pytest.raises(WhereasError, match="kinds"):
        tasks.load(path)


def test_tasks_unknown_name_lists_the_tasks() -> None:
    with pytest.raises(WhereasError, match="no task 'nope'") as caught:
        tasks.find("nope")
    assert "gold" in caught.value.fix


def test_tasks_changed_documents_are_refused(labelled: Path, taxonomy: Taxonomy) -> None:
    examples = corpus.read(labelled)
    task = msgspec.structs.replace(tasks.of_file(labelled), digest=corpus.digest(examples))
    assert tasks.examples(task, labelled, taxonomy) == examples
    labelled.write_bytes(labelled.read_bytes().replace(b"dissidents", b"commuters!"))
    with pytest.raises(WhereasError, match="not the frozen ones"):
        tasks.examples(task, labelled, taxonomy)


def test_tasks_holdout_takes_the_development_split(labelled: Path, taxonomy: Taxonomy) -> None:
    task = Task(name="t", version="1", data=[str(labelled)], holdout=0.5)
    expected = corpus.split(corpus.read(labelled), 0.5)[1]
    assert tasks.examples(task, labelled, taxonomy) == expected


def test_tasks_mislabelled_documents_are_refused(labelled: Path, taxonomy: Taxonomy) -> None:
    labelled.write_bytes(labelled.read_bytes().replace(b"export_control", b"export_contrl"))
    with pytest.raises(WhereasError, match="'export_contrl' is not a label of action"):
        tasks.examples(tasks.of_file(labelled), labelled, taxonomy)


def test_tasks_data_elsewhere_needs_the_variable(
    monkeypatch: pytest.MonkeyPatch, taxonomy: Taxonomy
) -> None:
    monkeypatch.delenv("WHEREAS_DATA", raising=False)
    task = Task(name="t", version="1", data=["$WHEREAS_DATA/x.jsonl"])
    with pytest.raises(WhereasError, match="does not come with whereas") as caught:
        tasks.examples(task, Path("t.toml"), taxonomy)
    assert "WHEREAS_DATA" in caught.value.fix


# ------------------------------------------------------------------ predictions of another tool


def test_tasks_predictions_are_measured_and_signed(labelled: Path, taxonomy: Taxonomy) -> None:
    record = finished(labelled, "half", 6, taxonomy).record
    assert record.result.figures["action accuracy"].value == 0.5
    assert record.signature.startswith("mine@0|kind:labels|data:")
    assert "|n:12|" in record.signature
    assert "|system:half|" in record.signature
    assert "relevance AP" not in record.result.figures, "without scores there is none"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "\n".join(text.splitlines()[1:]), r"no prediction for 0 \(1 in all\)"),
        (lambda text: text.replace('"labels"', '"label"', 1), r"p\.jsonl:1: .*labels"),
        (lambda text: text.replace("export_control", "embargo", 1), "'embargo' is not a label"),
        (lambda text: text.replace('"status"', '"state"', 1), "no axis 'state'"),
        (lambda text: text.replace('"action"', '"status"', 1), r"p\.jsonl:1: no action"),
        (
            lambda text: text.replace('"export_control"', '["relief"]', 1),
            "must be one label",
        ),
        (lambda text: text.replace('"rationales": []', '"rationales": "cyber"', 1), "a list of"),
        (lambda text: text.replace('"id": "1"', '"id": "0"', 1), r"p\.jsonl:2: 0 again"),
    ],
)
def test_tasks_predictions_that_do_not_fit_are_refused(
    labelled: Path, taxonomy: Taxonomy, change: Callable[[str], str], message: str
) -> None:
    examples = corpus.read(labelled)
    path = predicted(labelled.parent / "p.jsonl", examples)
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    with pytest.raises(WhereasError, match=message):
        tasks.predictions(tasks.of_file(labelled), examples, path, taxonomy, None)


def test_tasks_axes_that_are_not_predicted_have_no_figures(
    labelled: Path, taxonomy: Taxonomy
) -> None:
    examples = corpus.read(labelled)
    path = labelled.parent / "p.jsonl"
    lines = [json.dumps({"id": e.id, "labels": {"action": e.one("action")}}) for e in examples]
    path.write_text("\n".join(lines), "utf-8")
    found = tasks.predictions(tasks.of_file(labelled), examples, path, taxonomy, None)
    assert found.record.result.figures["action accuracy"].value == 1.0
    assert not [n for n in found.record.result.figures if "status" in n or "rationales" in n]


# ------------------------------------------------------------------ a model


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(current())


def test_tasks_model_is_measured_with_its_evidence(labelled: Path, model: Model) -> None:
    examples = corpus.read(labelled)
    done = tasks.run(tasks.of_file(labelled), examples, model, None)
    assert done.record.system == model.id
    assert "relevance AP" in done.record.result.figures
    assert done.rows[0].text == examples[0].text
    assert all(row.words for row in done.rows if row.given["action"] != ["none"])


def test_tasks_cross_fitting_does_not_use_the_released_calibration(
    labelled: Path, model: Model
) -> None:
    examples = corpus.read(labelled)
    task = tasks.of_file(labelled)
    fitted = msgspec.structs.replace(task, calibration="cross-fit")
    one, other = (tasks.run(t, examples, model, None) for t in (task, fitted))
    assert one.rows[0].scores != other.rows[0].scores
    assert "|thr:cross-fit|" in other.record.signature


def test_tasks_gate_of_the_command_holds_the_pinned_floors(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "eval" / "tasks"
    folder.mkdir(parents=True)
    monkeypatch.setattr(tasks, "tasks_folder", lambda: folder)
    (folder / "mini.toml").write_text(f'name = "mini"\nversion = "1"\ndata = ["{labelled}"]')
    run = CliRunner()
    assert run.invoke(app, ["evaluate", "mini", "--gate"]).exit_code == 2, "no floors yet"
    assert run.invoke(app, ["evaluate", "mini", "--repin"]).exit_code == 0
    done = run.invoke(app, ["evaluate", "mini", "--gate"])
    assert done.exit_code == 0, done.stderr
    floors = tmp_path / "eval" / "floors.json"
    pinned = json.loads(floors.read_text())
    pinned["mini"]["floors"]["action accuracy"] = 1.01
    floors.write_text(json.dumps(pinned))
    done = run.invoke(app, ["evaluate", "mini", "--gate"])
    assert done.exit_code == 1
    assert "fell: mini: action accuracy" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["gold", "--gate", "--repin"], "exclude each other"),
        (["--data", "x.jsonl", "--gate"], "floors are those of a model on tasks"),
        (["robustness", "--predictions", "p.jsonl"], "measures models only"),
        (["gold", "gold"], "two tasks are named 'gold'"),
    ],
)
def test_tasks_options_that_do_not_go_together_are_refused(
    options: list[str], message: str
) -> None:
    done = CliRunner().invoke(app, ["evaluate", *options])
    assert done.exit_code == 2
    assert message in done.stderr


# ------------------------------------------------------------------ results and comparison


def test_tasks_results_come_back_as_they_were_written(labelled: Path, taxonomy: Taxonomy) -> None:
    done = finished(labelled, "one", 3, taxonomy)
    assert tasks.read(labelled.parent / "one") == done


def test_tasks_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WhereasError, match="holds no results"):
        tasks.read(tmp_path)


def test_tasks_results_of_other_documents_are_not_comparable(
    labelled: Path, taxonomy: Taxonomy
) -> None:
    one = finished(labelled, "one", 3, taxonomy)
    labelled.write_bytes(labelled.read_bytes().replace(b"dissidents", b"commuters!"))
    other = finished(labelled, "other", 3, taxonomy)
    with pytest.raises(WhereasError, match="not comparable"):
        tasks.compare(one, other, report.COMPARED)


def test_tasks_comparison_names_the_documents_that_changed(
    labelled: Path, taxonomy: Taxonomy
) -> None:
    better, worse = (finished(labelled, n, w, taxonomy) for n, w in (("a", 1), ("b", 3)))
    found = tasks.compare(better, worse, ["action accuracy"])
    assert found.changed == [
        ("1", "none", "none", "report"),
        ("2", "export_control", "export_control", "report"),
    ]
    assert found.differences[0].value == pytest.approx(2 / 12)


@pytest.fixture
def both(labelled: Path, taxonomy: Taxonomy) -> Path:
    """Results of system `good` and of `bad` on the same two files, in a folder each."""
    others = [
        msgspec.structs.replace(e, id=f"x{e.id}", event=f"x{e.id}", text=e.text + " Again.")
        for e in corpus.read(labelled)
    ]
    second = labelled.parent / "yours.jsonl"
    second.write_bytes(b"\n".join(map(msgspec.json.encode, others)))
    for system, wrong in (("good", 1), ("bad", 3)):
        for file in (labelled, second):
            examples = corpus.read(file)
            path = predicted(labelled.parent / f"{system}.jsonl", examples, wrong)
            out = labelled.parent / "results" / system / file.stem
            tasks.predictions(tasks.of_file(file), examples, path, taxonomy, out)
    return labelled.parent / "results"


def test_tasks_of_a_folder_are_compared_together(both: Path) -> None:
    good, bad = (tasks.pooled(both / name) for name in ("good", "bad"))
    assert len(good.rows) == 24
    assert good.record.task == "mine, yours"
    found = tasks.compare(good, bad, ["action accuracy"])
    assert found.differences[0].value == pytest.approx(4 / 24)
    done = CliRunner().invoke(app, ["compare", str(both / "good"), str(both / "bad")])
    assert done.exit_code == 0, done.output


def test_tasks_of_a_folder_need_the_same_tasks_of_one_system(both: Path) -> None:
    shutil.rmtree(both / "bad" / "yours")
    with pytest.raises(WhereasError, match="not comparable"):
        tasks.compare(tasks.pooled(both / "good"), tasks.pooled(both / "bad"), [])
    shutil.copytree(both / "bad" / "mine", both / "good" / "another")
    with pytest.raises(WhereasError, match="several systems"):
        tasks.pooled(both / "good")
    shutil.rmtree(both / "good" / "another")
    shutil.copytree(both / "good" / "mine", both / "good" / "again")
    with pytest.raises(WhereasError, match="share documents"):
        tasks.pooled(both / "good")
    with pytest.raises(WhereasError, match="holds no results"):
        tasks.pooled(both)


# ------------------------------------------------------------------ commands


def test_tasks_evaluate_command_measures_predictions_and_compare_compares(
    labelled: Path,
) -> None:
    examples = corpus.read(labelled)
    for name, wrong in (("good", 0), ("bad", 8)):
        path = predicted(labelled.parent / f"{name}.jsonl", examples, wrong)
        done = CliRunner().invoke(
            app,
            [
                *("evaluate", "--data", str(labelled), "--predictions", str(path)),
                *("-o", str(labelled.parent / name)),
            ],
        )
        assert done.exit_code == 0, done.output
        assert "| action accuracy | 12 |" in done.stdout
    folders = [str(labelled.parent / name / "mine") for name in ("good", "bad")]
    done = CliRunner().invoke(app, ["compare", *folders])
    assert done.exit_code == 0, done.output
    assert "8 documents decided otherwise: 8 right only by the" in " ".join(done.stdout.split())


def test_tasks_evaluate_without_anything_says_what_to_give() -> None:
    done = CliRunner().invoke(app, ["evaluate"])
    assert done.exit_code == 2
    assert "Give tasks, or --data FILE" in done.stderr
