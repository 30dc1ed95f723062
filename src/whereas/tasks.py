"""Evaluation tasks as data, and the folder of results that a run of one leaves.

A task names labelled documents and how decisions are taken on them. A result folder holds
`results.json` (`Record`) and `rows.jsonl` (one `Row` a document): all that comparisons and reports
need, whatever system gave the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from whereas import __version__, corpus, evaluation, robustness
from whereas import recipe as recipes
from whereas.errors import WhereasError
from whereas.evaluation import Result, Row
from whereas.files import read_toml, write, write_json
from whereas.model import Model
from whereas.recipe import Data
from whereas.records import Example, text_digest
from whereas.taxonomy import Taxonomy

FORMAT = 1
RESULTS, ROWS = "results.json", "rows.jsonl"


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a system is measured on.

    `data` are paths or globs relative to the task's file, or under `$WHEREAS_DATA/`. `kind`:
    `labels`, how good they are; `invariance`, whether they survive alterations; `direction`,
    whether they follow changes (both in `whereas.robustness`; the data of the latter are pairs).
    `holdout` > 0 takes that development split of the data. `digest` is `corpus.digest` of the
    documents: others are refused. `calibration`: `released`, the model's own; or `cross-fit`, for
    documents on which the model's own was fitted.
    """

    name: str
    version: str
    data: list[str]
    kind: Literal["labels", "invariance", "direction"] = "labels"
    holdout: float = 0.0
    digest: str | None = None
    calibration: Literal["released", "cross-fit"] = "released"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """`results.json`. `signature` says, in the manner of SacreBLEU, what must be equal for two
    results to be comparable, and what was measured; `comparable` is its first half. `taxonomy` is
    that of the labels."""

    format: int
    signature: str
    comparable: str
    task: str
    system: str
    taxonomy: Taxonomy
    result: Result


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A result folder as read."""

    record: Record
    rows: list[Row]


def tasks_folder() -> Path:
    """Where the tasks lie that come with the sources."""
    return Path(__file__).resolve().parents[2] / "eval" / "tasks"


class _Prediction(msgspec.Struct, frozen=True):
    id: str
    labels: dict[str, str | list[str]]


def find(name: str) -> Path:
    """The file of a task: a path, or the name of one that comes with the sources."""
    if name.endswith(".toml"):
        return Path(name)
    path = tasks_folder() / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in tasks_folder().glob("*.toml"))) or "none here"
        raise WhereasError(f"no task {name!r}", f"Tasks: {known}; or give a TOML, or --data FILE")
    return path


def load(path: Path) -> Task:
    """Raises `WhereasError` when the file cannot be read, is not TOML or has unknown keys."""
    return read_toml(path, Task, "task")


def of_file(path: Path) -> Task:
    """The task of measuring on a labelled file of the user's."""
    return Task(name=path.stem, version="0", data=[str(path.resolve())])


def examples(task: Task, path: Path, taxonomy: Taxonomy) -> list[Example]:
    """The documents of a task.

    Raises:
        WhereasError: data that is missing, mislabelled or not that of the task's digest.
    """
    found = [e for file in _files(task, path) for e in corpus.read(file)]
    if task.holdout:
        found = corpus.split(found, task.holdout)[1]
    faults = list(corpus.problems(found, taxonomy))
    if faults or not found:
        raise WhereasError(
            f"task {task.name}: {faults[0] if faults else 'no documents'}",
            "Mend the labels; whereas label lint shows every problem",
        )
    _frozen(task, corpus.digest(found))
    return found


def _files(task: Task, path: Path) -> list[Path]:
    files: list[Path] = []
    for place in task.data:
        found = recipes.locate(Data(name=task.name, path=place), path)
        if not found:
            raise WhereasError(
                f"task {task.name} needs data that does not come with whereas",
                f"Set {recipes.DATA_VARIABLE} to its folder",
            )
        files += found
    return files


def _frozen(task: Task, digest: str) -> None:
    if task.digest and task.digest != digest:
        raise WhereasError(
            f"task {task.name}: its documents are not the frozen ones ({digest})",
            f"The task says {task.digest}: bring them back",
        )


def run_changes(task: Task, path: Path, model: Model, folder: Path | None) -> Finished:
    """Measures a model on a task of kind `direction`."""
    files = _files(task, path)
    changes = robustness.read_changes(files, model.taxonomy)
    digest = text_digest("\n".join(sorted(f.read_text("utf-8") for f in files)))
    _frozen(task, digest)
    result = Result(
        system=model.id,
        data=task.name,
        documents=len(changes),
        digest=digest,
        figures=robustness.directional(model, changes),
        labels={},
    )
    return sign(task, result, [], model.taxonomy, folder)


def run(task: Task, found: Sequence[Example], model: Model, folder: Path | None) -> Finished:
    """Measures a model on a task; leaves the results in a folder if one is given."""
    if task.kind == "invariance":
        result = Result(
            system=model.id,
            data=task.name,
            documents=len(found),
            digest=corpus.digest(found),
            figures=robustness.invariance(model, found),
            labels={},
        )
        return sign(task, result, [], model.taxonomy, folder)
    logits, verdicts = evaluation.judged(model, found)
    if task.calibration == "cross-fit":
        calibrations = evaluation.crossfitted(model.taxonomy, logits, found)
    else:
        calibrations = [model.card.calibration] * len(found)
    rows = evaluation.rows(model.taxonomy, logits, found, calibrations, verdicts)
    return finish(task, found, rows, model.taxonomy, model.id, folder)


def predictions(
    task: Task, found: Sequence[Example], path: Path, taxonomy: Taxonomy, folder: Path | None
) -> Finished:
    """Measures the predictions of another tool: JSONL, `{"id": …, "labels": {axis: …}}` a line.
    Axes that it does not predict get no figures; the primary axis it must.

    Raises:
        WhereasError: a line that does not fit, or a document without prediction.
    """
    labels_only(task)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise WhereasError(f"cannot read {path}: {error.strerror}", "Check the path") from error
    given: dict[str, dict[str, list[str]]] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                each = msgspec.json.decode(line, type=_Prediction)
            except msgspec.MsgspecError as error:
                raise WhereasError(
                    f"{path}:{number}: {error}", "One {id, labels} a line"
                ) from error
            if each.id in given:
                raise WhereasError(f"{path}:{number}: {each.id} again", "One line a document")
            given[each.id] = _checked(each, taxonomy, f"{path}:{number}")
    missing = [e.id for e in found if e.id not in given]
    if missing:
        raise WhereasError(
            f"{path} has no prediction for {missing[0]} ({len(missing)} in all)",
            f"Predict every document of {task.name}",
        )
    rows = [
        Row(
            id=example.id,
            event=example.event or example.id,
            gold=example.answers(taxonomy.axis_names),
            given=given[example.id],
            slices=evaluation.slices(example),
            title=example.title,
            text=example.text,
        )
        for example in found
    ]
    return finish(task, found, rows, taxonomy, path.stem, folder)


def _checked(each: _Prediction, taxonomy: Taxonomy, where: str) -> dict[str, list[str]]:
    """Predicted labels by axis, or an error that says where they do not fit."""
    if taxonomy.primary.name not in each.labels:
        raise WhereasError(f"{where}: no {taxonomy.primary.name}", "Predict that axis at least")
    for name, value in each.labels.items():
        one = taxonomy[name].kind == "one"
        if one != isinstance(value, str):
            kind = "one label" if one else "a list of labels"
            raise WhereasError(f"{where}: {name} must be {kind}", "See the taxonomy")
        for label in [value] if isinstance(value, str) else value:
            taxonomy.check_label(name, label)
    return {n: [v] if isinstance(v, str) else v for n, v in each.labels.items()}


def labels_only(task: Task) -> None:
    """Raises `WhereasError` for a task that asks a model itself, not its labels."""
    if task.kind != "labels":
        raise WhereasError(f"task {task.name} measures models only", "Give --model")


def finish(
    task: Task,
    found: Sequence[Example],
    rows: list[Row],
    taxonomy: Taxonomy,
    system: str,
    folder: Path | None,
) -> Finished:
    """Figures of rows, signed, and written if a folder is given."""
    digest = corpus.digest(found)
    result = evaluation.result(taxonomy, rows, system=system, data=task.name, digest=digest)
    return sign(task, result, rows, taxonomy, folder)


def sign(
    task: Task, result: Result, rows: list[Row], taxonomy: Taxonomy, folder: Path | None
) -> Finished:
    """A result with its signature, written if a folder is given."""
    axes = text_digest(msgspec.json.encode(taxonomy).decode("utf-8"))
    comparable = "|".join(
        [
            f"{task.name}@{task.version}",
            f"kind:{task.kind}",
            f"data:{result.digest.removeprefix('sha256:')[:8]}",
            f"n:{result.documents}",
            f"taxonomy:{taxonomy.name}@{taxonomy.version}:{axes.removeprefix('sha256:')[:8]}",
        ]
    )
    signature = "|".join(
        [
            comparable,
            f"system:{result.system}",
            f"thr:{task.calibration}",
            f"boot:{evaluation.DRAWS}",
            f"seed:{evaluation.SEED}",
            f"whereas:{__version__}",
        ]
    )
    record = Record(
        format=FORMAT,
        signature=signature,
        comparable=comparable,
        task=task.name,
        system=result.system,
        taxonomy=taxonomy,
        result=result,
    )
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / ROWS, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        write_json(folder / RESULTS, record)
    return Finished(record=record, rows=rows)


def read(folder: Path) -> Finished:
    """A result folder. Raises `WhereasError` when it is not one."""
    try:
        record = msgspec.json.decode((folder / RESULTS).read_bytes(), type=Record)
        lines = (folder / ROWS).read_bytes().splitlines()
        rows = [msgspec.json.decode(line, type=Row) for line in lines]
    except (OSError, msgspec.MsgspecError) as error:
        raise WhereasError(
            f"{folder} holds no results: {error}", "Give a folder that whereas evaluate -o wrote"
        ) from error
    if record.format != FORMAT:
        raise WhereasError(
            f"{folder} has results of format {record.format}; this version reads {FORMAT}",
            "Evaluate again",
        )
    return Finished(record=record, rows=rows)


def pooled(folder: Path) -> Finished:
    """A result folder; or one that holds those of several tasks, their documents taken together.
    Tasks without documents to pair (robustness, direction) are left out.

    Raises:
        WhereasError: there are no such results, they are of several systems or taxonomies, or a
            document is in two of them.
    """
    if (folder / RESULTS).exists():
        return read(folder)
    found = [read(path.parent) for path in sorted(folder.glob(f"*/{RESULTS}"))]
    parts = [one for one in found if one.rows]
    if not parts:
        return read(folder)
    records = [one.record for one in parts]
    if any((r.system, r.taxonomy) != (records[0].system, records[0].taxonomy) for r in records):
        raise WhereasError(
            f"{folder} holds results of several systems or taxonomies", "Give each its own folder"
        )
    rows = [row for one in parts for row in one.rows]
    if len({row.id for row in rows}) < len(rows):
        raise WhereasError(
            f"{folder} holds tasks that share documents", "Compare these task by task"
        )
    figures = {name: f for record in records for name, f in record.result.figures.items()}
    record = msgspec.structs.replace(
        records[0],
        task=", ".join(r.task for r in records),
        comparable=" + ".join(r.comparable for r in records),
        result=msgspec.structs.replace(records[0].result, figures=figures),
    )
    return Finished(record=record, rows=rows)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two systems on one task: differences of figures, and documents decided otherwise on the
    primary axis: (id, right label, label of the first, label of the second)."""

    first: str
    second: str
    differences: list[evaluation.Difference]
    changed: list[tuple[str, str, str, str]]


def compare(one: Finished, other: Finished, names: Sequence[str]) -> Comparison:
    """Raises `WhereasError` when the two were not measured on the same documents, or have none."""
    if one.record.comparable != other.record.comparable:
        raise WhereasError(
            f"not comparable: {one.record.comparable} and {other.record.comparable}",
            "Evaluate both on the same version of one task",
        )
    if not one.rows:
        raise WhereasError(
            f"results of {one.record.task} have no documents to pair", "Put them into a report"
        )
    second = {row.id: row for row in other.rows}
    taxonomy = one.record.taxonomy
    primary = taxonomy.primary.name
    changed = [
        (row.id, row.gold[primary][0], row.given[primary][0], second[row.id].given[primary][0])
        for row in one.rows
        if row.id in second and row.given[primary] != second[row.id].given[primary]
    ]
    return Comparison(
        first=one.record.system,
        second=other.record.system,
        differences=evaluation.compare(taxonomy, one.rows, other.rows, names),
        changed=changed,
    )
