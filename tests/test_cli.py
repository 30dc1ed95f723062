"""The command line end to end, with the released model."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from whereas import cli

LISTED = (
    "Commerce adds nine camera makers to the Entity List\n\n"
    "The Commerce Department added nine companies to the Entity List on Tuesday, saying they "
    "supplied cameras used for the mass surveillance of an ethnic minority. The department cited "
    "arbitrary detention and other human rights abuses. Exporters will need a licence for any "
    "shipment to the nine, among them Belmarsh Optics of Ostrava.\n"
)
HARVEST = (
    "Late rain delays the harvest\n\nGrowers in the valley expect to pick their apples two weeks "
    "later than usual. Prices at the cooperative's auction have not moved, its chairman said.\n"
)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "harvest.txt").write_text(HARVEST)
    (folder / "listed.txt").write_text(LISTED)
    (folder / "empty.txt").write_text("")
    return folder


def whereas(
    *args: str | Path, width: int = 160, **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whereas.cli", *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": str(width), "NO_COLOR": "1"},
        **options,
    )


def outcomes(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("width", [80, 160])
def test_cli_triage_prints_a_ranked_table(inbox: Path, width: int) -> None:
    done = whereas("triage", inbox, width=width)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= width
    text = done.stdout
    assert text.index("export control") < text.index("none") < text.index("empty.txt")
    assert "3 documents" in done.stderr
    assert "1 error;" in done.stderr


def test_cli_triage_writes_outcomes_in_the_documented_shape(inbox: Path, tmp_path: Path) -> None:
    assert whereas("triage", inbox, "-o", tmp_path / "out.jsonl").returncode == 0
    first, second, third = outcomes(tmp_path / "out.jsonl")
    wanted = {"id", "source", "digest", "title", "outcome", "reason", "relevance", "labels"}
    wanted |= {"facts", "brief", "model"}
    assert wanted <= set(first)
    axes = ["action", "secondary_actions", "rationales", "background_rationales", "status"]
    assert list(first["labels"]) == axes
    assert first["labels"]["action"]["label"] == "export_control"
    text = LISTED.split("\n\n", 1)[1].strip()
    for sentence in first["brief"]["sentences"][1:]:
        at = sentence["citations"][0]
        assert text[at["start"] : at["end"]] == sentence["text"]
    assert second["labels"]["action"]["label"] == "none"
    assert second["no_brief"] == "no brief: action is none"
    assert third["outcome"] == "error"
    assert third["reason"]


def test_cli_triage_the_same_command_again_reads_nothing_again(inbox: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whereas("triage", inbox, "-o", out)
    before = (out / "outcomes.jsonl").read_bytes()
    again = whereas("triage", inbox, "-o", out)
    assert (out / "outcomes.jsonl").read_bytes() == before
    assert "2 were done before" in again.stderr or "3 were done before" in again.stderr


def test_cli_triage_reads_standard_input(tmp_path: Path) -> None:
    done = whereas("triage", "-", "--format", "jsonl", input=LISTED)
    assert json.loads(done.stdout)["labels"]["action"]["label"] == "export_control"


def test_cli_triage_focus_ranks_by_a_label(inbox: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = whereas("triage", inbox, "--focus", "rationales=forced_labor", "-o", out)
    assert done.returncode == 0, done.stderr
    wrong = whereas("triage", inbox, "--focus", "rationales=forced_labour")
    assert wrong.returncode == 2
    assert "Did you mean forced_labor?" in wrong.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["triage", "no-such-folder"], "nothing could be read"),
        (["triage", "listed.txt", "-o", "out.xlsx"], "no output format for .xlsx"),
        (["triage", "listed.txt", "--format", "yaml"], "Formats: table, jsonl, none"),
        (["triage", "listed.txt", "--model", "nowhere"], "holds no model"),
        (["triage", "listed.txt", "--sets", "0.5"], "no label sets"),
        (["explain", "no-such.txt"], "no-such.txt"),
        (["brief", "empty.txt"], "empty"),
        (["train", "no-recipe.toml", "-o", "run"], "no-recipe.toml"),
    ],
)
def test_cli_wrong_input_gets_one_clear_line_and_exit_code_2(
    inbox: Path, args: list[str], message: str
) -> None:
    if args[0] == "train":
        pytest.importorskip("torch")
    done = whereas(*args, cwd=inbox)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_cli_explain_shows_evidence_scores_and_what_spoke_against(inbox: Path) -> None:
    done = whereas("explain", inbox / "listed.txt", width=100)
    assert done.returncode == 0, done.stderr
    for needed in ("relevance", "export control", "human rights", "marked:", "Belmarsh Optics"):
        assert needed in done.stdout


def test_cli_explain_takes_rows_as_the_table_names_them(inbox: Path) -> None:
    rows = [{"title": "one", "text": HARVEST}, {"title": "two", "text": LISTED}]
    (inbox / "feed.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    done = whereas("explain", inbox / "feed.jsonl#2", inbox / "harvest.txt")
    assert "two" in done.stdout
    assert "Late rain" in done.stdout
    assert whereas("explain", f"{inbox}/feed.jsonl#9").returncode == 2


def test_cli_triage_does_not_replace_a_file_of_others(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("precious")
    done = whereas("triage", inbox, "-o", tmp_path / "mine.jsonl")
    assert done.returncode == 2
    assert "no run of whereas has left it" in done.stderr
    assert (tmp_path / "mine.jsonl").read_text() == "precious"


def test_cli_explain_text_prints_what_offsets_count_in(inbox: Path) -> None:
    done = whereas("explain", "--text", inbox / "listed.txt")
    assert done.stdout.strip() == LISTED.split("\n\n", 1)[1].strip()


def test_cli_brief_cites_its_sources(inbox: Path) -> None:
    done = whereas("brief", inbox / "listed.txt", width=100)
    assert "[1" in done.stdout
    assert "Export control" in done.stdout


def test_cli_brief_says_why_there_is_none(inbox: Path) -> None:
    assert "no brief: action is none" in whereas("brief", inbox / "harvest.txt").stdout


def test_cli_triage_opens_no_socket(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(sys, "argv", ["whereas", "triage", str(inbox), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert "export control" in capsys.readouterr().out


def test_cli_interrupt_exits_with_130(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "triage_batch", interrupt)
    monkeypatch.setattr(sys, "argv", ["whereas", "triage", str(inbox)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 130


@pytest.mark.parametrize("verb", ["triage", "explain", "brief"])
def test_cli_a_closed_pipe_is_no_failure(inbox: Path, verb: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "whereas.cli", verb, str(inbox / "listed.txt")]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
