"""Runs that are killed, repeated or changed give what one undisturbed run gives."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from whereas import sinks, taxonomy, triage
from whereas.errors import WhereasError
from whereas.journal import Store
from whereas.model import Explanation
from whereas.records import Brief, BriefSentence, Document, Label, Outcome, Span, Verdict
from whereas.sinks import Ranked
from whereas.triage import Progress, Sets, Settings, Summary

TAXONOMY = taxonomy.load()


class FakeReader:
    """Reads `relevance=`, `forced_labor=`, `military=` and `doubt=` out of the text.

    `log` gets a line with the origins of each batch, before the answer.
    """

    taxonomy = TAXONOMY

    def __init__(self, *, id: str = "fake-1@0", delay: float = 0, log: Path | None = None) -> None:
        self.id = id
        self.delay = delay
        self.log = log
        self.seen: list[str] = []

    def read(self, documents: Sequence[Document]) -> list[Explanation]:
        self.seen += [d.text for d in documents]
        if self.log:
            with self.log.open("a") as file:
                file.write(" ".join(Path(d.origin).name for d in documents) + "\n")
        time.sleep(self.delay)
        if any("crash" in d.text for d in documents):
            raise RuntimeError("the reader\nbroke")
        return [explanation(d) for d in documents]


class Interrupted(FakeReader):
    """Ctrl-C after eight documents."""

    def read(self, documents: Sequence[Document]) -> list[Explanation]:
        if len(self.seen) >= 8:
            raise KeyboardInterrupt
        return super().read(documents)


def explanation(document: Document) -> Explanation:
    def number(name: str, default: float) -> float:
        found = re.search(rf"{name}=([\d.]+)", document.text)
        return float(found[1]) if found else default

    end = len(document.text.split()[0])
    verdict = Verdict(
        relevance=number("relevance", 0.5),
        labels={
            "action": Label("import_ban", 0.9, [Span(0, end)]),
            "secondary_actions": [],
            "rationales": [Label("forced_labor", 0.8, [Span(0, end)])],
            "background_rationales": [],
            "status": Label("announced", 0.7, []),
        },
        scores={
            "rationales": {n: number(n, 0.0) for n in ("forced_labor", "military")},
        },
        facts=[],
        doubts=["first doubt", "second doubt"] if "doubt=" in document.text else [],
        background=[],
    )
    return Explanation(verdict=verdict, sentences=[Span(0, end)], support={})


def compose(document: Document, _: Explanation) -> Brief | str:
    words = len(document.text.split())
    if words < 3:
        return "too thin"
    return Brief("In brief.", [BriefSentence("In brief.", [Span(0, words)])])


def triaged(
    paths: Iterable[Path | str],
    output: Path | None,
    reader: FakeReader | None = None,
    settings: Settings | None = None,
    **options: Any,
) -> Summary:
    """One whole run as the command line makes it, in batches of 4 unless told otherwise."""
    settings = settings or Settings(batch=4)
    reader = reader or FakeReader()
    with Store(output) as store:
        summary = triage.run(
            [str(path) for path in paths], reader, store, settings, compose=compose, **options
        )
        if output is not None:
            sinks.write(
                output,
                lambda: triage.ranked(store, settings),
                TAXONOMY,
                manifest=triage.manifest(summary, reader, settings),
            )
    return summary


def rankings(path: Path, settings: Settings) -> tuple[list[Ranked], FakeReader]:
    reader = FakeReader()
    with Store() as store:
        triage.run([str(path)], reader, store, settings)
        return list(triage.ranked(store, settings)), reader


def rows(path: Path, texts: Iterable[str]) -> Path:
    lines = (json.dumps({"id": f"d{i}", "title": f"T{i}", "text": t}) for i, t in enumerate(texts))
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def numbered(count: int) -> list[str]:
    return [f"Goods{i} were held, relevance={(i * 37 % 101) / 101:.4f}" for i in range(count)]


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """Single files, a container in their midst, and bad ones: 35 documents, 3 errors."""
    folder = tmp_path / "batch"
    folder.mkdir()
    for name in "abcwxyz":
        (folder / f"{name}.txt").write_text(f"Press {name} was told, relevance=0.{ord(name)}")
    (folder / "bad.pdf").write_bytes(b"no pdf")
    rows(folder / "many.jsonl", numbered(28))
    with (folder / "many.jsonl").open("a") as file:
        file.write('{broken\n{"id": "doubtful", "text": "This one has doubt=1 and no title"}\n')
    (folder / "t.txt").write_text("")
    return folder


def outcomes(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in sinks.FOLDER_FILES}


# ------------------------------------------------------------------ one run


def test_every_input_leaves_one_outcome_and_the_summary_counts_them(
    batch: Path, tmp_path: Path
) -> None:
    summary = triaged([batch, tmp_path / "missing.txt"], tmp_path / "out.jsonl")
    found = outcomes(tmp_path / "out.jsonl")
    assert (summary.ok, summary.review, summary.error) == (35, 1, 4)
    assert (summary.documents, summary.reused, summary.restarted) == (40, 0, "")
    assert len({o["source"] for o in found}) == len(found) == 40
    assert [o["outcome"] for o in found].index("error") == 36
    sources = [o["source"].removeprefix(f"{batch}/") for o in found[36:]]
    assert sources == ["bad.pdf", "many.jsonl#29", "t.txt", f"{tmp_path}/missing.txt"]


def test_outcome_carries_digest_labels_doubts_and_brief() -> None:
    document = Document(
        id="d", title="T", text="Goods held today", origin="f.txt", date="2025-01-02", source="S"
    )
    found = triage.outcome(document, explanation(document), "m@1", Brief("B.", []))
    assert (found.id, found.source, found.outcome, found.model) == ("d", "f.txt", "ok", "m@1")
    assert (found.date, found.publisher, found.reason) == ("2025-01-02", "S", None)
    assert found.digest == "sha256:" + hashlib.sha256(b"Goods held today").hexdigest()
    assert (found.brief, found.no_brief) == (Brief("B.", []), None)
    doubtful = Document(id="d", title="T", text="Goods doubt=1", origin="f.txt")
    found = triage.outcome(doubtful, explanation(doubtful), "m@1", "too thin")
    assert (found.outcome, found.reason) == ("review", "first doubt; second doubt")
    assert (found.brief, found.no_brief) == (None, "too thin")


def test_briefs_are_composed_only_when_wanted(batch: Path, tmp_path: Path) -> None:
    triaged([batch / "a.txt"], tmp_path / "with.jsonl")
    triaged([batch / "a.txt"], tmp_path / "without.jsonl", settings=Settings(briefs=False))
    assert outcomes(tmp_path / "with.jsonl")[0]["brief"]["text"] == "In brief."
    [without] = outcomes(tmp_path / "without.jsonl")
    assert (without["brief"], without["no_brief"]) == (None, None)


def test_exception_of_the_model_costs_one_document(tmp_path: Path) -> None:
    texts = numbered(6)
    texts[2] = "This text will crash it"
    path = rows(tmp_path / "in.jsonl", texts)
    summary = triaged([path], tmp_path / "out.jsonl")
    assert (summary.ok, summary.error) == (5, 1)
    failed = outcomes(tmp_path / "out.jsonl")[-1]
    assert (failed["id"], failed["title"], failed["source"]) == ("d2", "T2", f"{path}#3")
    assert failed["reason"] == "could not be labelled: the reader broke"


def test_exception_of_the_composer_costs_the_brief_alone(batch: Path) -> None:
    def broken(*_: Any) -> Brief:
        raise ValueError("no verb")

    with Store() as store:
        triage.run([str(batch / "a.txt")], FakeReader(), store, Settings(), compose=broken)
        [record] = triage.ranked(store, Settings())
    assert record.outcome.outcome == "ok"
    assert record.outcome.no_brief == "could not be composed: no verb"


def test_error_to_mend_stops_the_run(batch: Path) -> None:
    class Broken(FakeReader):
        def read(self, documents: Sequence[Document]) -> list[Explanation]:
            raise WhereasError("the model is damaged", "Install it again")

    with Store() as store, pytest.raises(WhereasError, match="damaged"):
        triage.run([str(batch)], Broken(), store, Settings())


def test_batches_are_bounded_by_count_and_by_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triage, "BATCH_CHARACTERS", 100)
    texts = ["x " * 15] * 5 + ["y " * 200] + ["z z"] * 7
    log = tmp_path / "log"
    triaged([rows(tmp_path / "in.jsonl", texts)], None, FakeReader(log=log))
    sizes = [len(line.split()) for line in log.read_text().splitlines()]
    assert sizes == [3, 2, 1, 4, 3]


def test_standard_input_is_read(tmp_path: Path) -> None:
    stdin = io.BytesIO(b'{"text": "Piped goods held"}\n{"text": "More goods held"}\n')
    triaged(["-"], tmp_path / "out.jsonl", stdin=stdin)
    assert [o["source"] for o in outcomes(tmp_path / "out.jsonl")] == ["-#1", "-#2"]


def test_progress_comes_to_its_end(batch: Path) -> None:
    steps: list[Progress] = []
    triaged([batch], None, progress=steps.append)
    last = steps[-1]
    assert (last.documents, last.errors, last.reused) == (39, 3, 0)
    assert last.files == last.files_total == 10
    assert last.bytes == last.bytes_total == sum(p.stat().st_size for p in batch.iterdir())
    assert [s.documents for s in steps] == sorted(s.documents for s in steps)
    assert len({s.documents for s in steps}) > 5


# ------------------------------------------------------------------ ranking


def test_rank_is_by_relevance_then_input_order(tmp_path: Path) -> None:
    texts = ["A relevance=0.2", "B relevance=0.9", "C relevance=0.2", "D relevance=0.5"]
    found, _ = rankings(rows(tmp_path / "in.jsonl", texts), Settings())
    assert [(r.rank, r.words) for r in found] == [(1, "B"), (2, "D"), (3, "A"), (4, "C")]


def test_focus_ranks_by_the_smallest_of_its_scores_then_relevance(tmp_path: Path) -> None:
    texts = [
        "A forced_labor=0.9 military=0.1 relevance=0.99",
        "B forced_labor=0.5 military=0.6 relevance=0.4",
        "C forced_labor=0.6 military=0.5 relevance=0.7",
        "D relevance=0.9",
    ]
    path = rows(tmp_path / "in.jsonl", texts)
    one = Settings(focus=(("rationales", "forced_labor"),))
    both = Settings(focus=(("rationales", "forced_labor"), ("rationales", "military")))
    assert [r.words for r in rankings(path, one)[0]] == ["A", "C", "B", "D"]
    found = rankings(path, both)[0]
    assert [r.words for r in found] == ["C", "B", "A", "D"]
    assert [r.focus for r in found] == [0.5, 0.5, 0.1, 0.0]


def test_min_relevance_and_top_bound_documents_but_not_errors(tmp_path: Path) -> None:
    path = rows(tmp_path / "in.jsonl", [f"A{i} relevance=0.{i}" for i in range(1, 8)])
    with path.open("a") as file:
        file.write("{broken\n")
    bounded, reader = rankings(path, Settings(min_relevance=0.35, top=3))
    assert [r.words for r in bounded] == ["A7", "A6", "A5", ""]
    assert bounded[-1].outcome.outcome == "error"
    assert bounded[-1].rank is None
    assert len(reader.seen) == 7
    assert [r.words for r in rankings(path, Settings(min_relevance=0.55))[0]] == ["A7", "A6", ""]
    assert [r.words for r in rankings(path, Settings(top=0))[0]] == [""]


def test_parse_focus_gives_pairs_and_lists_what_is_valid() -> None:
    assert triage.parse_focus(" rationales = forced_labor", TAXONOMY) == (
        "rationales",
        "forced_labor",
    )
    with pytest.raises(WhereasError, match="Did you mean forced_labor"):
        triage.parse_focus("rationales=forced_labour", TAXONOMY)
    with pytest.raises(WhereasError, match="Axes: action, secondary_actions"):
        triage.parse_focus("rationale=forced_labor", TAXONOMY)
    with pytest.raises(WhereasError, match="axis=label"):
        triage.parse_focus("forced_labor", TAXONOMY)


# ------------------------------------------------------------------ going on

KILLED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_triage import FakeReader, triaged
triaged([{batch!r}], Path({output!r}), FakeReader(delay=0.1, log=Path({log!r})))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize(("lines", "committed"), [(1, 4), (4, 4), (9, 19)])
def test_killed_run_goes_on_to_the_same_bytes(
    batch: Path, tmp_path: Path, lines: int, committed: int
) -> None:
    texts = numbered(28)
    texts[5] = "This will crash it"  # its batch is read again one by one: lines 3 to 6
    rows(batch / "A.jsonl", texts)
    triaged([batch], tmp_path / "whole")
    log, output = tmp_path / "log", tmp_path / "out"
    names = {"tests": str(Path(__file__).parent), "batch": str(batch), "output": str(output)}
    process = subprocess.Popen([sys.executable, "-c", KILLED.format(**names, log=str(log))])
    try:
        deadline = time.monotonic() + 30
        while not log.exists() or log.read_text().count("\n") <= lines:
            assert process.poll() is None, "ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    assert not (output / "outcomes.jsonl").exists()
    before = log.read_text().splitlines()

    summary = triaged([batch], output, FakeReader(log=log))

    assert contents(output) == contents(tmp_path / "whole")
    assert summary.reused >= committed
    whole_batches = [k for k, line in enumerate(before) if len(line.split()) == 4]
    in_flight = set(" ".join(before[whole_batches[-1] :]).split())
    after = log.read_text().splitlines()[len(before) :]
    again = set(" ".join(before).split()) & set(" ".join(after).split())
    assert again <= in_flight | {"A.jsonl#6"}, "finished documents were read again"
    assert {p.name for p in output.iterdir()} == {*sinks.FOLDER_FILES, ".whereas.journal"}


def test_second_run_opens_nothing_and_writes_the_same(
    batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (batch / "bad.pdf").unlink()
    (batch / "t.txt").unlink()
    rows(batch / "many.jsonl", numbered(9))
    triaged([batch], tmp_path / "out")
    first = contents(tmp_path / "out")
    monkeypatch.setattr(triage, "read", lambda *_, **__: pytest.fail("a file was opened"))
    reader = FakeReader()
    summary = triaged([batch], tmp_path / "out", reader)
    assert reader.seen == []
    assert (summary.reused, summary.documents) == (16, 16)
    assert contents(tmp_path / "out") == first


def test_interrupt_keeps_the_batches_that_were_committed(batch: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        triaged([batch], tmp_path / "out", Interrupted())
    reader = FakeReader()
    assert triaged([batch], tmp_path / "out", reader).reused == 8
    assert len(reader.seen) == 36 - 8
    triaged([batch], tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_changed_container_that_is_interrupted_mixes_no_old_rows_in(tmp_path: Path) -> None:
    path = rows(tmp_path / "in.jsonl", numbered(20))
    triaged([path], tmp_path / "out")
    rows(path, [f"Later {text}" for text in numbered(20)])
    with pytest.raises(KeyboardInterrupt):
        triaged([path], tmp_path / "out", Interrupted())
    assert triaged([path], tmp_path / "out").reused == 8
    triaged([path], tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_changed_file_is_read_again_and_only_what_changed_is_labelled(tmp_path: Path) -> None:
    path = rows(tmp_path / "in.jsonl", ["One text", "Two text", "Three text", "Four text"])
    triaged([path], tmp_path / "out.jsonl")
    rows(path, ["One text", "Other text", "Three text"])
    reader = FakeReader()
    summary = triaged([path], tmp_path / "out.jsonl", reader)
    assert reader.seen == ["Other text"]
    assert (summary.documents, summary.reused) == (3, 2)
    digests = {o["id"]: o["digest"] for o in outcomes(tmp_path / "out.jsonl")}
    assert digests.keys() == {"d0", "d1", "d2"}
    assert digests["d1"] == "sha256:" + hashlib.sha256(b"Other text").hexdigest()


@pytest.mark.parametrize(("words", "later"), [("New words", 1), ("Newer words", 0)])
def test_file_of_another_size_or_time_is_read_again_once(
    tmp_path: Path, words: str, later: int
) -> None:
    path, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    path.write_text("Old words")
    changed = path.stat().st_mtime_ns
    triaged([path], out)
    path.write_text(words)
    os.utime(path, ns=(changed + later, changed + later))
    reader = FakeReader()
    triaged([path], out, reader)
    assert reader.seen == [words]
    with Store(out) as store:
        [source] = triage.find([str(path)])
        assert store.complete(source, 0) == {"ok": 1}


def test_removed_file_disappears_and_its_outcome_is_kept_for_its_return(
    batch: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    triaged([batch / "a.txt", batch / "b.txt"], out)
    triaged([batch / "b.txt"], out)
    assert [o["source"] for o in outcomes(out)] == [str(batch / "b.txt")]
    reader = FakeReader()
    triaged([batch / "b.txt", batch / "a.txt"], out, reader)
    assert reader.seen == []
    assert len(outcomes(out)) == 2


def test_order_of_equals_follows_the_inputs_of_the_present_run(batch: Path, tmp_path: Path) -> None:
    for name in "ab":
        (batch / f"{name}.txt").write_text("Equal texts")
    out = tmp_path / "out.jsonl"
    for order in ("ab", "ba"):
        triaged([batch / f"{name}.txt" for name in order], out)
        assert [o["source"][-5] for o in outcomes(out)] == list(order)


@pytest.mark.parametrize(
    ("id", "briefs", "why"),
    [
        ("fake-2@0", True, "model was fake-1@0, is fake-2@0"),
        ("fake-1@0", False, "briefs was True, is False"),
    ],
)
def test_other_model_or_briefs_start_anew(
    batch: Path, tmp_path: Path, id: str, briefs: bool, why: str
) -> None:
    out = tmp_path / "out.jsonl"
    triaged([batch], out)
    reader = FakeReader(id=id)
    summary = triaged([batch], out, reader, Settings(batch=4, briefs=briefs))
    assert (summary.restarted, summary.reused) == (why, 0)
    assert len(reader.seen) == 36
    assert {o["model"] for o in outcomes(out) if o["outcome"] != "error"} == {id}


def test_other_focus_or_bounds_need_no_reading(batch: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    triaged([batch], out)
    reader = FakeReader()
    focus = (("rationales", "military"),)
    summary = triaged([batch], out, reader, Settings(batch=4, focus=focus, top=2))
    assert (reader.seen, summary.restarted) == ([], "")
    assert len(outcomes(out)) == 2 + 3


def test_files_with_errors_are_tried_again_and_their_good_rows_kept(tmp_path: Path) -> None:
    path = rows(tmp_path / "in.jsonl", ["One text", "Two texts that crash", "A long text" * 20])
    out = tmp_path / "out.jsonl"
    small = Settings(max_bytes=200)
    assert triaged([path], out, settings=small).error == 2
    reader = FakeReader()
    assert triaged([path], out, reader).error == 1  # the limit is gone, the crash is not
    assert reader.seen == ["Two texts that crash", "A long text" * 20]


def test_standard_input_is_matched_by_row_and_content(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    triaged(["-"], out, stdin=io.BytesIO(b'{"text": "One text"}\n{"text": "Two text"}\n'))
    reader = FakeReader()
    triaged(["-"], out, reader, stdin=io.BytesIO(b'{"text": "One text"}\n{"text": "New text"}\n'))
    assert reader.seen == ["New text"]
    assert len(outcomes(out)) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
def test_names_that_are_not_utf8_are_journaled(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/n\xff.txt")
    Path(name).write_text("Goods held")
    out = tmp_path / "out.jsonl"
    triaged([name], out)
    reader = FakeReader()
    triaged([name], out, reader)
    assert reader.seen == []
    assert outcomes(out)[0]["source"].endswith("n�.txt")


# ------------------------------------------------------------------ where it is written


@pytest.mark.parametrize("output", ["", "out.jsonl"])
def test_outputs_in_the_input_folder_are_not_inputs(batch: Path, output: str) -> None:
    assert triaged([batch], batch / output).documents == 39
    assert triaged([batch], batch / output).documents == 39


def test_output_alone_is_no_input(batch: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    triaged([batch], out)
    before = out.read_bytes()
    with pytest.raises(WhereasError, match="would be overwritten"):
        triaged([out], out)
    assert out.read_bytes() == before


def test_input_is_never_overwritten(tmp_path: Path) -> None:
    path = rows(tmp_path / "in.jsonl", numbered(2))
    (tmp_path / "other.txt").write_text("Another input")
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(WhereasError, match="would be overwritten"):
            triaged([tmp_path], path)
    assert path.read_bytes() == before


def test_full_disk_is_an_error_to_mend_and_loses_no_batch(tmp_path: Path) -> None:
    path, out = rows(tmp_path / "in.jsonl", numbered(200)), tmp_path / "out.jsonl"
    with Store(out) as store:
        store._db.execute("pragma max_page_count = 30")
        with pytest.raises(WhereasError, match=r"cannot be written: .* full .*Free some space"):
            triage.run([str(path)], FakeReader(), store, Settings(batch=4), compose=compose)
    summary = triaged([path], out)
    assert 0 < summary.reused < 200
    assert summary.documents == 200


def test_run_without_output_leaves_no_file(
    batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    triaged([batch], None)
    assert sorted(tmp_path.rglob("*")) == before


def test_memory_does_not_grow_with_the_batch(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = tmp_path / f"{count}.jsonl"
        rows(path, numbered(count))
        reader = FakeReader()
        reader.seen = Forgetful()
        tracemalloc.start()
        triaged([path], tmp_path / f"out{count}.jsonl", reader, Settings(batch=64))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)  # what is loaded once
    few, many = peak(500), peak(5_000)
    assert many < 1.5 * few + 200_000, (few, many)


class Forgetful(list[str]):
    def __iadd__(self, other: Iterable[str]) -> Forgetful:  # type: ignore[misc,override]
        return self


def test_journal_holds_no_text_of_the_documents(tmp_path: Path) -> None:
    path = rows(tmp_path / "in.jsonl", ["Evidence then words that stay in the document"])
    triaged([path], tmp_path / "out.jsonl")
    assert b"stay in the document" not in (tmp_path / ".out.jsonl.journal").read_bytes()


def test_error_has_a_stable_id() -> None:
    unreadable = triage.Unreadable(origin="a.pdf", reason="damaged")
    digest = hashlib.sha256(b"a.pdf").hexdigest()[:16]
    expected = Outcome(id=digest, source="a.pdf", outcome="error", reason="damaged")
    assert triage.failure(unreadable, "damaged") == expected


# ------------------------------------------------------------------ label sets


class Scored(FakeReader):
    """Gives probabilities of action and status too."""

    def read(self, documents: Sequence[Document]) -> list[Explanation]:
        more = {
            "action": {"import_ban": 0.6, "relief": 0.3, "report": 0.1},
            "status": {"announced": 0.7, "proposed": 0.2},
        }
        return [
            msgspec.structs.replace(
                e, verdict=msgspec.structs.replace(e.verdict, scores=e.verdict.scores | more)
            )
            for e in super().read(documents)
        ]


def test_triage_adds_label_sets_when_asked_and_reads_nothing_for_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("one two three")
    (tmp_path / "in" / "b.pdf").write_text("no document")
    output = tmp_path / "out.jsonl"
    reader = Scored()
    triaged([tmp_path / "in"], output, reader)
    assert all("sets" not in json.loads(line) for line in output.read_text().splitlines())
    for least, expected in [
        (
            {"action": 0.3, "status": 0.5},
            {"action": ["import_ban", "relief"], "status": ["announced"]},
        ),
        ({"action": 0.9}, {"action": ["import_ban"]}),
    ]:
        settings = Settings(batch=4, sets=Sets(level=0.9, least=least))
        triaged([tmp_path / "in"], output, reader, settings)
        good, bad = map(json.loads, output.read_text().splitlines())
        assert good["sets"] == expected
        assert "sets" not in bad
    assert len(reader.seen) == 1
