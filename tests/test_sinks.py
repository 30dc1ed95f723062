"""Each format holds what the outcomes say, spreadsheets stay safe, files are whole or absent."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from whereas import sinks, taxonomy
from whereas.errors import WhereasError
from whereas.records import Brief, Label, Outcome, Span
from whereas.sinks import Ranked

TAXONOMY = taxonomy.load()
LABELS = {
    "action": Label("import_ban", 0.91, [Span(0, 9)]),
    "secondary_actions": [],
    "rationales": [Label("forced_labor", 0.8, [Span(4, 9, "title")]), Label("human_rights", 0.6)],
    "background_rationales": [],
    "status": None,
}
GOOD = Ranked(
    outcome=Outcome(
        id="d1",
        source="a.jsonl#1",
        title="Port détient le squid",
        outcome="ok",
        relevance=0.97,
        labels=LABELS,
        brief=Brief("Customs held it.", []),
        date="2025-11-03",
        url="https://example.org/1",
        model="m-1@0",
    ),
    rank=1,
    words="held at the port",
)
BAD = Ranked(outcome=Outcome(id="x", source="b.pdf", outcome="error", reason="damaged"))


def records() -> Iterator[Ranked]:
    return iter([GOOD, BAD])


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cell(title: str) -> str:
    file = io.BytesIO()
    outcome = Outcome(id="1", source="s", outcome="ok", title=title)
    sinks.write_csv(file, [Ranked(outcome=outcome)], TAXONOMY)
    [row] = csv.DictReader(io.StringIO(file.getvalue().decode(), newline=""))
    return row["title"]


def test_jsonl_is_the_outcome_and_marks_only_spans_in_the_title(tmp_path: Path) -> None:
    [path] = sinks.write(tmp_path / "out.jsonl", records, TAXONOMY)
    first, second = map(json.loads, path.read_text("utf-8").splitlines())
    assert first["labels"]["action"]["evidence"] == [{"start": 0, "end": 9}]
    assert first["labels"]["rationales"][0]["evidence"] == [
        {"start": 4, "end": 9, "field": "title"}
    ]
    assert first["labels"]["status"] is None
    assert first["labels"]["background_rationales"] == []
    assert first["reason"] is None
    assert "rank" not in first
    assert second["outcome"] == "error"
    assert [msgspec.convert(o, Outcome) for o in (first, second)] == [GOOD.outcome, BAD.outcome]


def test_csv_is_flat(tmp_path: Path) -> None:
    [path] = sinks.write(tmp_path / "out.CSV", records, TAXONOMY)
    first, second = csv_rows(path)
    assert first == {
        "rank": "1",
        "relevance": "0.97",
        "outcome": "ok",
        "action": "import_ban",
        "action_score": "0.91",
        "secondary_actions": "",
        "rationales": "forced_labor; human_rights",
        "background_rationales": "",
        "status": "",
        "title": "Port détient le squid",
        "evidence": "held at the port",
        "brief": "Customs held it.",
        "reason": "",
        "source": "a.jsonl#1",
        "id": "d1",
        "date": "2025-11-03",
        "url": "https://example.org/1",
        "model": "m-1@0",
    }
    assert (second["rank"], second["relevance"], second["action"]) == ("", "", "")
    assert second["reason"] == "damaged"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＠", "\t=", "\r=", " =", "\n\x00="])
def test_csv_defuses_formulas(start: str) -> None:
    assert cell(start + "cmd|' /C calc'!A0") == f"'{start[-1]}cmd|' /C calc'!A0"


def test_csv_has_one_line_a_cell_and_no_control_characters() -> None:
    assert cell("a\x1b[31m\r\nb\u2028c\x85 'd' = \"e\", ü") == "a [31m b c 'd' = \"e\", ü"


def test_csv_quotes_all_text_against_locales_that_split_at_semicolons(tmp_path: Path) -> None:
    [path] = sinks.write(tmp_path / "out.csv", records, TAXONOMY)
    assert ',"forced_labor; human_rights",' in path.read_text("utf-8")
    assert '"Port détient' in path.read_text("utf-8")


def test_csv_columns_follow_the_taxonomy() -> None:
    other = taxonomy.parse(
        b"""
        name = "t"
        version = "1"
        irrelevant = { axis = "title", label = "no" }
        axis = [
            { name = "title", title = "", kind = "one", labels = { yes = "", no = "" } },
            { name = "mood", title = "", kind = "many", labels = { glad = "", sad = "" } },
        ]
        """,
        "test",
    )
    outcome = Outcome(
        id="1",
        source="s",
        outcome="ok",
        title="A title",
        labels={"title": Label("yes", 0.7), "mood": [Label("glad", 0.6)]},
    )
    file = io.BytesIO()
    sinks.write_csv(file, [Ranked(outcome=outcome)], other)
    [row] = csv.DictReader(io.StringIO(file.getvalue().decode(), newline=""))
    assert list(row)[3:7] == ["title_label", "title_score", "mood", "title"]
    assert [row[c] for c in list(row)[3:7]] == ["yes", "0.7", "glad", "A title"]


def test_parquet_is_typed_and_keeps_the_whole_outcome(tmp_path: Path) -> None:
    [path] = sinks.write(tmp_path / "out.parquet", records, TAXONOMY)
    first, second = pq.read_table(path).to_pylist()
    assert (first["rank"], first["action_score"]) == (1, 0.91)
    assert first["rationales"] == ["forced_labor", "human_rights"]
    assert first["status"] is None
    assert second["rank"] is None
    assert msgspec.json.decode(first["json"], type=Outcome) == GOOD.outcome


def test_parquet_is_written_in_row_batches(tmp_path: Path) -> None:
    many = [GOOD] * (sinks.PARQUET_ROWS + 1)
    [path] = sinks.write(tmp_path / "out.parquet", lambda: iter(many), TAXONOMY)
    metadata = pq.read_metadata(path)
    assert (metadata.num_rows, metadata.num_row_groups) == (sinks.PARQUET_ROWS + 1, 2)


def test_empty_results_are_valid_files(tmp_path: Path) -> None:
    for suffix in sinks.FORMATS:
        sinks.write(tmp_path / f"out{suffix}", lambda: iter(()), TAXONOMY)
    assert (tmp_path / "out.jsonl").read_bytes() == b""
    assert csv_rows(tmp_path / "out.csv") == []
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


def test_folder_gets_jsonl_csv_and_manifest(tmp_path: Path) -> None:
    sinks.write(tmp_path, records, TAXONOMY, manifest={"model": "m-1@0"})
    assert {path.name for path in tmp_path.iterdir()} == set(sinks.FOLDER_FILES)
    assert len((tmp_path / "outcomes.jsonl").read_bytes().splitlines()) == 2
    assert len(csv_rows(tmp_path / "outcomes.csv")) == 2
    assert json.loads((tmp_path / "run.json").read_text()) == {"model": "m-1@0"}


@pytest.mark.parametrize(
    ("output", "folder"),
    [("out", True), ("out.d/", True), ("out.jsonl/", True), ("out.jsonl", False), ("o.CSV", False)],
)
def test_suffix_or_slash_tells_files_from_folders(output: str, folder: bool) -> None:
    assert sinks.is_folder(output) is folder


def test_folder_that_exists_is_one_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "2025.csv").mkdir()
    assert sinks.is_folder(tmp_path / "2025.csv")


def test_unknown_suffix_lists_the_formats() -> None:
    with pytest.raises(WhereasError, match=r"\.xlsx.*\.jsonl, \.csv, \.parquet"):
        sinks.is_folder("out.xlsx")


@pytest.mark.parametrize("output", ["out.jsonl", "out.csv", "out.parquet", "."])
def test_failure_in_the_middle_leaves_what_was_there(tmp_path: Path, output: str) -> None:
    names = [path.name for path in sinks.files(tmp_path / output)]
    for name in names:
        (tmp_path / name).write_text("old")

    def failing() -> Iterator[Ranked]:
        yield GOOD
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        sinks.write(tmp_path / output, failing, TAXONOMY)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == dict.fromkeys(names, "old")


def test_folder_changes_no_file_when_its_second_one_fails(tmp_path: Path) -> None:
    (tmp_path / "outcomes.jsonl").write_text("old")
    calls = iter([records(), None])
    with pytest.raises(TypeError):
        sinks.write(tmp_path, lambda: next(calls), TAXONOMY)  # type: ignore[arg-type,return-value]
    assert (tmp_path / "outcomes.jsonl").read_text() == "old"


def test_full_disk_is_an_error_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(WhereasError, match=r"out\.csv: No space left on device\. Free"):
        sinks.write(tmp_path / "out.csv", records, TAXONOMY)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"out.csv": "old"}


def test_missing_place_is_an_error_to_mend(tmp_path: Path) -> None:
    with pytest.raises(WhereasError, match="cannot write"):
        sinks.write(tmp_path / "nowhere" / "out.csv", records, TAXONOMY)


def test_leftover_of_a_killed_run_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".out.jsonl.part").write_text("half")
    sinks.write(tmp_path / "out.jsonl", records, TAXONOMY)
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_have_the_permissions_of_ordinary_ones(tmp_path: Path) -> None:
    [path] = sinks.write(tmp_path / "out.jsonl", records, TAXONOMY)
    (tmp_path / "ordinary").touch()
    assert path.stat().st_mode == (tmp_path / "ordinary").stat().st_mode
