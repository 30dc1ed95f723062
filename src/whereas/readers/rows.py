"""Containers of rows: JSON Lines, JSON, CSV, Parquet. One row is one document."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from whereas.readers.inputs import (
    UNPACKED_FACTOR,
    Input,
    UnreadableError,
    decode,
    document,
    library,
    one_line,
    tidy,
)
from whereas.records import Document, Unreadable

ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id",),
    "title": ("title", "headline", "subject", "name"),
    "text": (
        *("text", "body", "content", "event_text", "article", "full_text"),
        *("abstract", "summary", "description"),
    ),
    "url": ("url", "link", "source_url"),
    "date": ("date", "pub_date", "publication_date", "published", "published_at", "event_date"),
    "source": ("source", "publisher", "outlet", "site", "agency"),
    "author": ("author",),
}
"""Column names of each field, whatever their case, best first: the first that has a value."""

WRAPPERS = ("results", "documents", "articles", "items", "data")
"""Fields of a JSON object under which services put their list of documents."""

BATCH_ROWS = 64
"""Rows of a Parquet file in memory at a time."""

MAX_DEPTH = 32
"""Deeper objects and lists in a row are left out: they are no metadata."""

_NOTHING: tuple[Any, ...] = (None, "", [], {})

INT64 = range(-(2**63), 2**63)
"""Integers beyond go to `meta` as strings: other programs' JSON would round them."""


def row(fields: Mapping[str, Any], origin: str) -> Document | Unreadable:
    """One row as a document. What fits no field goes to `meta`, as far as JSON can hold it.

    A field `meta` that is an object is laid into it, so that documents survive a round trip.
    Rows of the Federal Register (`document_number`) get the id `fr:<number>`.
    """
    names = {_column(name): name for name in fields}
    by_name = {_column(name): value for name, value in fields.items()}
    brought = by_name.pop("meta", None)
    if _string(by_name.get("document_number")) and not by_name.get("id"):
        by_name = _register_row(by_name)
    found: dict[str, str] = {}
    used = set()
    for field, aliases in ALIASES.items():
        for name in aliases:
            if value := _string(by_name.get(name), "\n\n" if field == "text" else ", "):
                found[field] = value
                used.add(name)
                break
    meta = {names.get(name, name): value for name, value in by_name.items() if name not in used}
    meta |= brought if isinstance(brought, dict) else {"meta": brought}
    safe = _safe(meta)
    try:
        return document(
            origin,
            title=found.pop("title", None),
            text=found.pop("text", None),
            meta={name: value for name, value in safe.items() if value not in _NOTHING},
            **found,
        )
    except UnreadableError:
        return Unreadable(origin=origin, reason=f"neither title nor text: {_listing(fields)}")


def read_jsonl(source: Input) -> Iterator[Document | Unreadable]:
    """One object a line. A bad line is one `Unreadable`; the others go on."""
    if re.match(rb"\s*(\[|\{\s*\n)", source.head().removeprefix(b"\xef\xbb\xbf")):
        yield from read_json(source)  # pretty-printed JSON under this suffix
        return
    number = 0
    for line_number, line in enumerate(source.lines(), start=1):
        if isinstance(line, str) and not line.strip():
            continue
        number += 1
        origin = f"{source.origin}#{number}"
        try:
            if isinstance(line, UnreadableError):
                raise line
            yield row(_object(_json(line)), origin)
        except UnreadableError as error:
            yield Unreadable(origin=origin, reason=f"line {line_number}: {error}")


def read_json(source: Input) -> Iterator[Document | Unreadable]:
    """An array of documents, one document, or an answer of a service such as the Federal
    Register's, with its documents under one of `WRAPPERS`."""
    text = source.text()
    if not text.strip():
        raise UnreadableError("empty: no documents in it")
    try:
        content = _json(text)
    except UnreadableError:
        try:
            _object(_json(text.lstrip().partition("\n")[0]))
        except UnreadableError:
            pass
        else:  # JSON Lines under this suffix
            stream: io.BufferedReader[Any] = io.BufferedReader(io.BytesIO(text.encode()))
            yield from read_jsonl(Input(source.origin, stream, source.max_bytes))
            return
        raise
    if isinstance(content, dict):
        lists = [content[name] for name in WRAPPERS if isinstance(content.get(name), list)]
        if not lists:
            if content.get("count") == 0:
                raise UnreadableError("empty: a search without results")
            yield row(content, source.origin)
            return
        content = lists[0]
    if not isinstance(content, list):
        raise UnreadableError("JSON without documents: an object or an array of objects is wanted")
    for number, item in enumerate(content, start=1):
        origin = f"{source.origin}#{number}"
        try:
            yield row(_object(item), origin)
        except UnreadableError as error:
            yield Unreadable(origin=origin, reason=str(error))


def read_csv(source: Input) -> Iterator[Document | Unreadable]:
    """A header and rows; the delimiter is the one of `, ; tab |` that makes sense of the header."""
    csv.field_size_limit(max(csv.field_size_limit(), min(source.max_bytes, 2**31 - 1)))
    record = _Record(source)
    first = next(record, "")
    if re.fullmatch(r"sep=.\s*", first):
        first = next(record, "")
    delimiter = max(",;\t|", key=lambda mark: _fit(_cells(first, mark)))
    header = _cells(first, delimiter)
    if not first.strip():
        raise UnreadableError("empty: no rows in it")
    _check_columns(header)
    table = csv.reader(record, delimiter=delimiter, strict=True)
    number = 0
    while True:
        record.start()
        try:
            cells = next(table)
        except StopIteration:
            return
        except UnreadableError as error:
            if record.oversized:
                raise
            number += 1
            yield Unreadable(origin=f"{source.origin}#{number}", reason=f"bad row: {error}")
            table = csv.reader(record, delimiter=delimiter, strict=True)  # the old one is mid-row
            continue
        except csv.Error as error:
            cells = _cells(record.lines[0], delimiter) if len(record.lines) == 1 else []
            if len(cells) != len(header):
                number += 1
                reason = f"bad row: {one_line(error)} (a quote that is not closed or doubled?)"
                yield Unreadable(origin=f"{source.origin}#{number}", reason=reason)
                continue
        if not any(cell.strip() for cell in cells):
            continue
        number += 1
        origin = f"{source.origin}#{number}"
        if any(cell.strip() for cell in cells[len(header) :]):
            reason = (
                f"bad row: {len(cells)} cells under {len(header)} columns; "
                f"put cells that hold {delimiter!r} in quotes"
            )
            yield Unreadable(origin=origin, reason=reason)
        else:
            yield row(dict(zip(header, cells, strict=False)), origin)


def read_parquet(source: Input) -> Iterator[Document | Unreadable]:
    """Rows in batches of `BATCH_ROWS`; a column group is never in memory as a whole."""
    import pyarrow.parquet

    damaged = "damaged or not a Parquet file"
    with library(damaged):
        table = pyarrow.parquet.ParquetFile(
            source.seekable or io.BytesIO(source.data()), pre_buffer=False, buffer_size=1 << 16
        )
        groups = range(table.num_row_groups)
        size = sum(table.metadata.row_group(index).total_byte_size for index in groups)
        columns = table.schema_arrow.names
        batches = table.iter_batches(batch_size=BATCH_ROWS, use_threads=False)
    if size > UNPACKED_FACTOR * source.max_bytes:
        raise UnreadableError(f"unpacks to {size:,} bytes: split it or raise the limit")
    _check_columns(columns)
    number = 0
    while True:
        with library(damaged):
            batch = next(batches, None)
            rows = batch.to_pylist() if batch else []
        if batch is None:
            return
        for fields in rows:
            number += 1
            origin = f"{source.origin}#{number}"
            if any(len(v) > source.max_bytes for v in fields.values() if isinstance(v, str)):
                reason = f"larger than {source.max_bytes:,} bytes"
                yield Unreadable(origin=origin, reason=reason)
            else:
                yield row(fields, origin)


# ------------------------------------------------------------------ columns and values


def is_table(start: str) -> bool:
    """Whether text begins with a CSV header: a title or text column among two or more, every one of
    them a short name, and a second line with as many cells."""
    first, _, rest = start.partition("\n")
    delimiter = max(",;\t|", key=lambda mark: _fit(_cells(first, mark)))
    header = _cells(first, delimiter)
    wanted = {*ALIASES["title"], *ALIASES["text"]}
    named = any(_column(name) in wanted for name in header)
    short = all(re.fullmatch(r"[\w -]{1,30}", name.strip()) for name in header)
    return len(header) > 1 and named and short and delimiter in rest


class _Record:
    """Feeds lines to the csv module and remembers those of the current record; bounds it."""

    def __init__(self, source: Input) -> None:
        self.lines: list[str] = []
        self._feed = source.lines()
        self._max = source.max_bytes
        self._size = 0
        self.oversized = False

    def start(self) -> None:
        self.lines.clear()
        self._size = 0

    def __iter__(self) -> _Record:
        return self

    def __next__(self) -> str:
        line = next(self._feed)
        if isinstance(line, UnreadableError):
            raise line
        self.lines.append(line)
        self._size += len(line)
        if self._size > self._max:
            self.oversized = True
            raise UnreadableError(f"a row is larger than {self._max:,} bytes: a quote left open?")
        return line


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _fit(columns: list[str]) -> tuple[int, int]:
    known = {name for names in ALIASES.values() for name in names}
    return sum(_column(name) in known for name in columns), len(columns)


def _check_columns(columns: Iterable[str]) -> None:
    wanted = {*ALIASES["title"], *ALIASES["text"]}
    if not any(_column(name) in wanted for name in columns):
        raise UnreadableError(
            f"no title or text column: {_listing(columns)}; name one of them "
            f"{', '.join(ALIASES['title'])} (title) or {', '.join(ALIASES['text'])} (text)"
        )


def _column(name: object) -> str:
    return re.sub(r"[\s-]+", "_", tidy(str(name)).strip().lower())


def _listing(columns: Iterable[object]) -> str:
    names = [" ".join(tidy(str(name)).split())[:40] for name in columns]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"the columns are {', '.join(names[:20])}{more}" if names else "it has no columns"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"not valid JSON: {one_line(error)}") from error


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableError(f"a JSON object is wanted, this is of type {type(value).__name__}")
    return value


def _string(value: Any, joint: str = ", ", depth: int = 0) -> str | None:
    """A value as text: lists joined, of objects their name, dates in ISO 8601; None for nothing."""
    if isinstance(value, str):
        return tidy(value).strip() or None
    if isinstance(value, list | tuple):
        if depth > MAX_DEPTH:
            return None
        parts = (_string(item, depth=depth + 1) for item in value)
        return joint.join(part for part in parts if part) or None
    if isinstance(value, dict):
        name = value.get("name")
        return _string(name) if isinstance(name, str) else None
    if isinstance(value, bytes):
        try:
            return decode(value).strip() or None
        except UnreadableError:
            return None
    safe = _safe(value)
    return None if safe is None or isinstance(safe, bool) else str(safe)


def _safe(value: Any, depth: int = 0) -> Any:
    """A value that JSON can hold; None for one that it cannot or that is nested too deep."""
    if isinstance(value, str):
        return tidy(value).strip()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value in INT64 else str(value)
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None  # false for NaN too
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() else value).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, list | tuple):
        return [_safe(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {tidy(str(name)): _safe(item, depth + 1) for name, item in value.items()}
    return None


def _register_row(by_name: dict[str, Any]) -> dict[str, Any]:
    """A row of the Federal Register's API or CSV under our names, sections as in its XML."""
    from whereas.readers.pages import html_to_text

    rest = dict(by_name)
    agencies = rest.pop("agencies", None) or rest.pop("agency_names", None)
    body = _string(rest.pop("body_html", None))
    abstract = _string(rest.pop("abstract", None))
    sections = [
        ("AGENCY:", _string(agencies)),
        ("ACTION:", _string(rest.get("action"))),
        ("SUMMARY:", abstract),
        ("DATES:", _string(rest.get("dates"))),
    ]
    text = ""
    if body:
        with suppress(UnreadableError):
            text = html_to_text(body)
    if text:
        pass
    elif abstract and (sections[1][1] or sections[3][1]):
        text = "\n\n".join(f"{heading}\n\n{words}" for heading, words in sections if words)
    else:
        text = abstract or ""
    number = str(rest.pop("document_number"))
    url = rest.pop("html_url", None) or rest.get("url")
    return {
        **rest,
        "id": f"fr:{number}",
        "text": text or _string(rest.get("text")),
        "url": url,
        "source": "Federal Register",
        "author": _string(agencies),
    }
