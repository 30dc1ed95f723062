"""What a run has read so far, on disk beside its output: outcomes without the texts, so that a run
that is killed goes on where it stopped and memory does not grow with the batch."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from whereas import sinks
from whereas.errors import WhereasError
from whereas.readers import Source
from whereas.records import Outcome, Unreadable
from whereas.sinks import Ranked

SCHEMA = 2
"""Of the journal. Raise it with every change of its tables or of the fingerprints from `triage`."""

_TABLES = """
create table meta (key text primary key, value text);
create table files (id integer primary key, path blob unique, size integer, mtime_ns integer,
    complete integer, place integer);
create table outcomes (file integer, row integer, fingerprint blob, kind text, relevance real,
    scores text, words text, json blob, primary key (file, row));
"""


class Store:
    """The journal of one output, an SQLite database beside it; of none, a temporary one.

    It belongs to one process at a time. Nothing is kept that is not committed. The rollback journal
    of SQLite, rather than WAL, because that needs shared memory, which network drives lack; one
    commit a batch costs little. Use as a context manager.

    Raises:
        WhereasError: the place cannot be written to, an unknown suffix, or another run has it.
    """

    def __init__(self, output: str | Path | None = None) -> None:
        self.path: Path | None = None
        self.outputs: frozenset[str] = frozenset()
        self.fresh = True
        if output is not None:
            self.path = journal_path(output)
            self.outputs = frozenset(os.path.realpath(path) for path in sinks.files(output))
            try:
                if sinks.is_folder(output):
                    Path(output).mkdir(parents=True, exist_ok=True)
                # SQLite says "unable to open database file" to everything.
                self.path.open("ab").close()
            except OSError as error:
                raise WhereasError(
                    f"cannot write to {output}: {error.strerror}", "Give another place with -o"
                ) from error
        self._db = sqlite3.connect(self.path or "", timeout=0, isolation_level=None)
        try:
            self._do("pragma locking_mode = exclusive")  # kept after the commit, until closed
            self._do("begin exclusive")
        except WhereasError:
            self._db.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the journal; what is not committed is gone."""
        self._db.close()

    def begin(self, identity: dict[str, str]) -> str:
        """Starts a run: forgets which inputs the last one had. A journal that was kept under
        another identity is emptied; returns why, or ""."""
        identity = {"schema": str(SCHEMA), **identity}
        tables = [
            name for (name,) in self._do("select name from sqlite_master where type = 'table'")
        ]
        self.fresh = not tables
        kept = dict(self._do("select key, value from meta")) if "meta" in tables else {}
        if kept != identity:
            for name in tables:
                self._do(f"drop table {name}")
            for statement in _TABLES.split(";")[:-1]:
                self._do(statement)
            for pair in identity.items():
                self._do("insert into meta values (?, ?)", *pair)
        self._do("update files set place = null")
        changes = [
            f"{k} was {kept.get(k)}, is {v}" for k, v in identity.items() if kept.get(k) != v
        ]
        return "" if self.fresh else "; ".join(changes)

    def complete(self, source: Source | Unreadable, place: int) -> Counter[str] | None:
        """Takes a file into the run if all of it is stored: how many of each kind; else None."""
        if not isinstance(source, Source) or source.size is None:
            return None
        query = "select id from files where path = ? and size = ? and mtime_ns = ? and complete"
        found = self._do(query, _key(source), source.size, source.mtime_ns).fetchone()
        if found is None:
            return None
        self._do("update files set place = ? where id = ?", place, *found)
        kinds = "select kind, count(*) from outcomes where file = ? group by kind"
        return Counter(dict(self._do(kinds, *found)))

    def open(self, source: Source | Unreadable, place: int) -> int:
        """Takes a file into the run that is to be read; its number for `put` and `end`."""
        size, mtime_ns = (None, None)
        if isinstance(source, Source):
            size, mtime_ns = source.size, source.mtime_ns
        self._do(
            "insert into files (path, size, mtime_ns, complete, place) values (?, ?, ?, 0, ?)"
            " on conflict (path) do update set size = excluded.size, mtime_ns = excluded.mtime_ns,"
            " complete = 0, place = excluded.place",
            *(_key(source), size, mtime_ns, place),
        )
        return int(self._do("select id from files where path = ?", _key(source)).fetchone()[0])

    def kind(self, file: int, row: int, fingerprint: bytes) -> str | None:
        """The kind of the outcome that is stored of this very document, if one is."""
        query = "select kind from outcomes where file = ? and row = ? and fingerprint = ?"
        found = self._do(query, file, row, fingerprint).fetchone()
        return str(found[0]) if found else None

    def put(
        self,
        file: int,
        row: int,
        record: Outcome,
        fingerprint: bytes | None,
        words: str,
        scores: str,
    ) -> None:
        self._do(
            "insert or replace into outcomes values (?, ?, ?, ?, ?, ?, ?, ?)",
            *(file, row, fingerprint, record.outcome, record.relevance, scores, words),
            msgspec.json.encode(record),
        )

    def end(self, file: int, rows: int) -> None:
        """A file has been read to its end. With errors in it, it will be read again next time:
        permissions, limits and memory may have changed, which size and time do not show."""
        self._do("delete from outcomes where file = ? and row >= ?", file, rows)
        self._do(
            "update files set complete = not exists (select 1 from outcomes where file = files.id"
            " and kind = 'error') where id = ?",
            file,
        )

    def commit(self) -> None:
        self._do("commit")
        self._do("begin")

    def count(self) -> Counter[str]:
        """Outcomes of the run by kind."""
        query = (
            "select kind, count(*) from outcomes join files on files.id = file"
            " where place is not null group by kind"
        )
        return Counter(dict(self._do(query)))

    def ranked(
        self,
        focus: Callable[[str], float] | None,
        min_relevance: float,
        top: int | None,
        *,
        finish: Callable[[Outcome, str], Outcome] = lambda record, _: record,
    ) -> Iterator[Ranked]:
        """See `triage.ranked`; `focus` maps the scores JSON of a document to [0, 1], `finish` its
        record and scores JSON to the record to show."""
        self._db.create_function("focus", 1, focus or (lambda _: None), deterministic=True)
        source = "from outcomes join files on files.id = file where place is not null and kind"
        # Only numbers are sorted; SQLite does it on disk where they are many.
        documents = self._do(
            f"select outcomes.rowid, focus(scores) as focused {source} <> 'error'"
            " and relevance >= ? order by focused desc, relevance desc, place, row limit ?",
            *(min_relevance, -1 if top is None else top),
        )
        for rank, (rowid, focused) in enumerate(documents, start=1):
            yield self._record(rowid, rank, focused, finish)
        for (rowid,) in self._do(f"select outcomes.rowid {source} = 'error' order by place, row"):
            yield self._record(rowid, None, None, lambda record, _: record)

    def _record(
        self,
        rowid: int,
        rank: int | None,
        focus: float | None,
        finish: Callable[[Outcome, str], Outcome],
    ) -> Ranked:
        query = "select json, words, scores from outcomes where rowid = ?"
        encoded, words, scores = self._do(query, rowid).fetchone()
        record = finish(msgspec.json.decode(encoded, type=Outcome), scores)
        return Ranked(outcome=record, rank=rank, focus=focus, words=words)

    def _do(self, statement: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of it is detail
            if code not in _OUTSIDE:
                raise
            what, fix = _OUTSIDE[code]
            where = self.path or "in the temporary folder"
            raise WhereasError(f"{what}: {error} (journal {where})", fix) from error


_OUTSIDE = {
    sqlite3.SQLITE_BUSY: (
        "another run is writing here",
        "Wait for it to end, or give another place with -o",
    ),
    **dict.fromkeys(
        (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT),
        ("the journal is damaged", "Delete it and start again"),
    ),
    **dict.fromkeys(
        (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY),
        ("the journal cannot be written", "Free some space, or give another place with -o"),
    ),
}
"""Error codes of SQLite that the user can mend, and how; the others are bugs."""


def journal_path(output: str | Path) -> Path:
    """Where the journal of an output lies. Raises `WhereasError` for an unknown suffix."""
    path = Path(output)
    if sinks.is_folder(output):
        return path / ".whereas.journal"
    return path.with_name(f".{path.name}.journal")


def _key(source: Source | Unreadable) -> bytes:
    """A path as bytes: names need not be UTF-8. What `find` could not find has keys of its own."""
    if isinstance(source, Source):
        return os.fsencode(source.path)
    return b"\0" + source.origin.encode("utf-8", "surrogatepass")
