"""Ranked outcomes → JSON Lines, CSV, Parquet or a folder; each file whole or not at all."""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from whereas.errors import WhereasError
from whereas.files import replacing
from whereas.records import Label, Outcome
from whereas.taxonomy import Taxonomy

FOLDER_FILES = ("outcomes.jsonl", "outcomes.csv", "run.json")
"""What a folder gets."""

FORMULA = "=+-@＝＋－＠"
"""First characters from which spreadsheets make formulas, the full-width ones in some locales
(OWASP, CSV Injection). Tab and CR, also on that list, are gone by then: see `_cell`."""

PARQUET_ROWS = 1024
"""Rows in memory at a time."""

_CONTROL = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_BEFORE_AXES = ("rank", "relevance", "outcome")
_AFTER_AXES = ("title", "evidence", "brief", "reason", "source", "id", "date", "url", "model")


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome in its place.

    `rank` starts at 1; None for an error. `focus` is what it was ranked by where a focus was given,
    in [0, 1]. `words` are the deciding ones: the evidence of the primary label, as quoted.
    """

    outcome: Outcome
    rank: int | None = None
    focus: float | None = None
    words: str = ""


Records = Callable[[], Iterable[Ranked]]
"""Gives the records in rank order, from the first again at each call."""


# ------------------------------------------------------------------ formats


def write_jsonl(file: BinaryIO, records: Iterable[Ranked], taxonomy: Taxonomy) -> None:
    """One `Outcome` a line, in the shape of the outcome JSON."""
    encoder = msgspec.json.Encoder()
    for record in records:
        file.write(encoder.encode(record.outcome) + b"\n")


def write_csv(file: BinaryIO, records: Iterable[Ranked], taxonomy: Taxonomy) -> None:
    """A header and one row an outcome, UTF-8, CRLF (RFC 4180), sets joined by `; `.

    Cells are safe to open in a spreadsheet: one line each, no control characters, and a leading
    apostrophe before what would be a formula. Text is always quoted, so that a locale that splits
    at semicolons does not open new cells inside it.
    """
    text = io.TextIOWrapper(file, "utf-8", errors="replace", newline="", write_through=True)
    try:
        table = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
        table.writerow(_columns(taxonomy))
        for record in records:
            table.writerow([_cell(value) for value in _row(record, taxonomy).values()])
    finally:
        text.detach()  # the file stays open: it is the caller's


def write_parquet(file: BinaryIO, records: Iterable[Ranked], taxonomy: Taxonomy) -> None:
    """The columns of the CSV, typed: axes of a set are lists of strings, nothing is defused.

    A last column `json` holds the whole outcome as in JSON Lines: scores, spans, facts, citations.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    many = {column for column, name in _axes(taxonomy) if taxonomy[name].kind == "many"}
    numbers = {"rank": pa.int32(), "relevance": pa.float64()}
    numbers[f"{taxonomy.primary.name}_score"] = pa.float64()
    schema = pa.schema(
        (name, pa.list_(pa.string()) if name in many else numbers.get(name, pa.string()))
        for name in (*_columns(taxonomy), "json")
    )
    rows = (
        _row(record, taxonomy) | {"json": msgspec.json.encode(record.outcome).decode()}
        for record in records
    )
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while chunk := list(itertools.islice(rows, PARQUET_ROWS)):
            writer.write_table(pa.Table.from_pylist(chunk, schema))


FORMATS: dict[str, Callable[[BinaryIO, Iterable[Ranked], Taxonomy], None]] = {
    ".jsonl": write_jsonl,
    ".csv": write_csv,
    ".parquet": write_parquet,
}
"""Suffix to writer."""


# ------------------------------------------------------------------ files


def is_folder(output: str | Path) -> bool:
    """Whether an output is a folder: it is one, ends in a slash, or has no suffix.

    Raises `WhereasError` for a suffix that is not one of `FORMATS`.
    """
    path = Path(output)
    if path.is_dir() or str(output).endswith(("/", os.sep)) or not path.suffix:
        return True
    if path.suffix.lower() not in FORMATS:
        raise WhereasError(
            f"no output format for {path.suffix} ({path})",
            f"Formats: {', '.join(FORMATS)}; or a folder, with / at its end",
        )
    return False


def files(output: str | Path) -> list[Path]:
    """The files that `write` makes or replaces."""
    path = Path(output)
    return [path / name for name in FOLDER_FILES] if is_folder(output) else [path]


def write(
    output: str | Path,
    records: Records,
    taxonomy: Taxonomy,
    *,
    manifest: dict[str, Any] | None = None,
) -> list[Path]:
    """Writes a file in the format of its suffix, or `FOLDER_FILES` into a folder; returns them.

    Every file is complete on disk before the first of them takes its name; what was there before
    stays when anything fails. `manifest` becomes `run.json` of a folder.

    Raises:
        WhereasError: unknown suffix, or the place cannot be written to.
    """
    paths = files(output)
    try:
        with ExitStack() as stack:
            for path in paths:
                file = stack.enter_context(replacing(path))
                if path.name == "run.json":
                    pretty = msgspec.json.format(msgspec.json.encode(manifest or {}), indent=2)
                    file.write(pretty + b"\n")
                else:
                    FORMATS[path.suffix.lower()](file, records(), taxonomy)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise WhereasError(
            f"cannot write {output}: {error.strerror or error}",
            "Free some space, or give another place with -o",
        ) from error
    return paths


# ------------------------------------------------------------------ flat rows


def _axes(taxonomy: Taxonomy) -> list[tuple[str, str]]:
    """Column and axis name of each axis; an axis that is called like another column gives way."""
    taken = {*_BEFORE_AXES, *_AFTER_AXES, f"{taxonomy.primary.name}_score", "json"}
    return [(f"{n}_label" if n in taken else n, n) for n in taxonomy.axis_names]


def _columns(taxonomy: Taxonomy) -> list[str]:
    names = [*_BEFORE_AXES]
    for column, axis in _axes(taxonomy):
        names.append(column)
        if axis == taxonomy.primary.name:
            names.append(f"{axis}_score")
    return [*names, *_AFTER_AXES]


def _row(record: Ranked, taxonomy: Taxonomy) -> dict[str, Any]:
    """Column to value, in the order of `_columns`."""
    outcome = record.outcome
    row: dict[str, Any] = {
        "rank": record.rank,
        "relevance": outcome.relevance,
        "outcome": outcome.outcome,
    }
    for column, axis in _axes(taxonomy):
        found = outcome.labels.get(axis)
        if taxonomy[axis].kind == "many":
            row[column] = [label.label for label in found] if isinstance(found, list) else []
            continue
        one = found if isinstance(found, Label) else None
        row[column] = one and one.label
        if axis == taxonomy.primary.name:
            row[f"{axis}_score"] = one and one.score
    return row | {
        "title": outcome.title,
        "evidence": record.words,
        "brief": outcome.brief and outcome.brief.text,
        "reason": outcome.reason,
        "source": outcome.source,
        "id": outcome.id,
        "date": outcome.date,
        "url": outcome.url,
        "model": outcome.model,
    }


def _cell(value: Any) -> Any:
    """A value as a spreadsheet may have it."""
    if isinstance(value, list):
        value = "; ".join(value)
    if not isinstance(value, str):
        return value
    value = _CONTROL.sub(" ", value).strip()
    return f"'{value}" if value.startswith(tuple(FORMULA)) else value
