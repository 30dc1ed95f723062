"""Paths and streams to documents: `find` lists what is there, `read` reads one of them.

Every input, also a bad one, gives at least one record: a `Document`, or an `Unreadable` that says
in one line what is wrong and what to do. Nothing is ever fetched, no entity is ever resolved, and
memory is bounded by `max_bytes`.
"""

from __future__ import annotations

import glob
import gzip
import io
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import msgspec

from whereas.readers.inputs import UNPACKED_FACTOR, Feed, Input, UnreadableError, kind
from whereas.readers.pages import read_email, read_html, read_markdown, read_text
from whereas.readers.printed import read_docx, read_pdf
from whereas.readers.register import read_register_xml
from whereas.readers.rows import WRAPPERS, is_table, read_csv, read_json, read_jsonl, read_parquet
from whereas.records import Document, Unreadable

__all__ = ["Source", "find", "read"]

READERS: dict[str, Callable[[Input], Iterator[Document | Unreadable]]] = {
    ".txt": read_text,
    ".text": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".eml": read_email,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
    ".xml": read_register_xml,
}
"""Suffix to reader. Each may also stand before `.gz`."""

NO_DOCUMENTS = re.compile(
    r"""\.(
    # code and its settings
    pyc? | pyi | ipynb | [mc]?js | jsx | tsx? | s?css | [cho] | cc | [ch]pp | rs | go | java |
    class | jar | rb | php | pl | sh | bat | ps1 | sql | r | toml | ya?ml | ini | cfg |
    conf | lock | map | wasm | so | dll | exe | a |
    # pictures, sound, film, type
    png | jpe?g | gif | webp | bmp | svg | ico | tiff? | heic | mp[34] | wav | ogg | flac | m4a |
    mov | avi | mkv | webm | ttf | otf | woff2? |
    # databases, models and leftovers
    db | sqlite3? | np[yz] | pkl | pt | onnx | safetensors | bin | bak | tmp | swp | part | journal
    )$""",
    re.I | re.X,
)
"""In a folder, files of these suffixes are passed over without a word. Every other file is either
read or reported, so that nothing which might be a document goes missing in silence."""


_MAIL = re.compile(
    r"(?:(?:return-path|received|delivered-to|mime-version|message-id|from|to|subject|date"
    r"|content-type|x-[\w-]+|dkim-signature): .*\n(?:[ \t].*\n)*){3}",
    re.I,
)
"""Three header fields in a row: an e-mail. One or two may open a memo."""


class Source(msgspec.Struct, frozen=True):
    """One file to read, or `-` for standard input.

    `path` is the path as the user gave it, joined with the part below it, with `/` between.
    `size` (bytes) and `mtime_ns` are None where the file has none: streams, pipes.
    """

    path: str
    size: int | None
    mtime_ns: int | None


def find(paths: Sequence[str]) -> Iterator[Source | Unreadable]:
    """The files behind the paths a user gave, each once, in a stable order.

    A path is a file, a folder (searched to the bottom in the order of names; hidden files and
    those of `NO_DOCUMENTS` are passed over, links are followed), a pattern that the shell left
    alone, or `-`. What is missing, forbidden, a loop, or empty of documents comes as `Unreadable`.
    """
    seen = set()
    for path in paths:
        for found in _expand(path):
            name = found.path if isinstance(found, Source) else found.origin
            key = name if name == "-" or "\0" in name else os.path.realpath(name)
            if key not in seen:
                seen.add(key)
                yield found


def read(
    source: Source, *, max_bytes: int = 50_000_000, stdin: BinaryIO | None = None
) -> Iterator[Document | Unreadable]:
    """The documents of one source, lazily; never raises for bad content.

    Rows of JSON Lines, CSV and Parquet come one by one; `max_bytes` bounds each row of them, and
    the whole of every other file, after unpacking. The suffix picks the reader; standard input
    (`stdin`, or the process's) and unknown suffixes are told apart by their first bytes.
    """
    empty = True
    try:
        with _opened(source, max_bytes, stdin) as opened:
            for record in READERS[_format(source.path, opened)](opened):
                empty = False
                yield record
            if empty:
                raise UnreadableError("empty: no documents in it")
    except UnreadableError as error:
        yield Unreadable(origin=_printable(source.path), reason=str(error))
    except OSError as error:
        yield Unreadable(origin=_printable(source.path), reason=_why(error))


# ------------------------------------------------------------------ finding


def _expand(path: str) -> Iterator[Source | Unreadable]:
    if path == "-":
        yield Source("-", None, None)
    elif any(mark in path for mark in "*?[") and "\0" not in path and not os.path.lexists(path):
        matches = sorted(glob.glob(path, recursive=True))
        for match in matches:
            yield from _named(match)
        if not matches:
            yield Unreadable(origin=_printable(path), reason="no file matches this pattern")
    else:
        yield from _named(path)


def _named(path: str) -> Iterator[Source | Unreadable]:
    path = path.replace(os.sep, "/")
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        yield Unreadable(origin=_printable(path), reason=_why(error))
        return
    if not stat.S_ISDIR(status.st_mode):
        yield _source(path, status)
        return
    empty = True
    for found in _walk(path, frozenset({(status.st_dev, status.st_ino)})):
        empty = False
        yield found
    if empty:
        yield Unreadable(origin=_printable(path), reason="no documents in this folder")


def _walk(folder: str, above: frozenset[tuple[int, int]]) -> Iterator[Source | Unreadable]:
    """Everything below a folder; `above` holds it and those that it is in (device, inode)."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        yield Unreadable(origin=_printable(folder), reason=_why(error))
        return
    for name in names:
        if name.startswith((".", "~$")):
            continue
        path = f"{folder.rstrip('/')}/{name}"
        passed_over = NO_DOCUMENTS.search(name) is not None
        try:
            status = os.stat(path)
        except OSError as error:
            if not passed_over:
                yield Unreadable(origin=_printable(path), reason=_why(error))
            continue
        here = (status.st_dev, status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            if here in above:
                reason = "a loop: this link leads back to a folder that it is in"
                yield Unreadable(origin=_printable(path), reason=reason)
            else:
                yield from _walk(path, above | {here})
        elif passed_over:
            continue
        elif stat.S_ISREG(status.st_mode):
            yield _source(path, status)
        else:
            yield Unreadable(origin=_printable(path), reason="not a file but a pipe or a device")


def _source(path: str, status: os.stat_result) -> Source:
    regular = stat.S_ISREG(status.st_mode)
    return Source(
        path, status.st_size if regular else None, status.st_mtime_ns if regular else None
    )


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, IsADirectoryError):
        return "a folder, not a file"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _printable(path: str) -> str:
    """A path that can be written as JSON, whatever bytes its name has."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


# ------------------------------------------------------------------ opening


@contextmanager
def _opened(source: Source, max_bytes: int, stdin: BinaryIO | None) -> Iterator[Input]:
    piped = source.path == "-"
    raw: Any = (stdin or sys.stdin.buffer) if piped else open(source.path, "rb")  # noqa: SIM115
    stream = io.BufferedReader(Feed(raw, owns=not piped), 1 << 16)
    origin = _printable(source.path)
    with stream:
        head = stream.peek()
        found = kind(head)
        if source.path.lower().endswith(".gz") or (found and found.suffix == ".gz"):
            feed = Feed(gzip.GzipFile(fileobj=stream), limit=UNPACKED_FACTOR * max_bytes)
            with io.BufferedReader(feed, 1 << 16) as unpacked:
                yield Input(origin, unpacked, max_bytes)
        else:
            plain = None if piped or source.size is None else raw
            yield Input(origin, stream, max_bytes, plain)


def _format(path: str, opened: Input) -> str:
    """The suffix under which to read; raises `UnreadableError` for what cannot be read."""
    head = opened.head()
    if not head:
        raise UnreadableError("empty file")
    name = PurePosixPath(path.lower().removesuffix(".gz"))
    suffix = name.suffix
    found = kind(head)
    if suffix not in READERS:
        suffix = found.suffix if found else _sniffed(head)
    if found and found.suffix != suffix:
        raise UnreadableError(f"not a {suffix} file but {found.name}: {found.fix}")
    if found and found.suffix not in READERS:
        raise UnreadableError(f"this is {found.name}: {found.fix}")
    return suffix


def _sniffed(head: bytes) -> str:
    """The suffix of text that has none, from how it begins."""
    start = head.decode("utf-8", "replace").removeprefix("\ufeff").lstrip()
    if re.match(r"<(\?xml|!--|FEDREG|RULE|PRORULE|NOTICE|PRESDOCU)\b", start):
        return ".html" if re.search(r"<html\b", start, re.I) else ".xml"
    if re.match(
        r"<(!doctype html|html|head|body|title|meta|div|article|section|h1|p)\b", start, re.I
    ):
        return ".html"
    if re.match(r"\[\s*[\[{\]]", start):
        return ".json"
    if re.match(r'\{\s*["}]', start):
        try:
            first = json.loads(start.partition("\n")[0])
        except (ValueError, RecursionError):
            return ".json"
        return ".json" if any(isinstance(first.get(name), list) for name in WRAPPERS) else ".jsonl"
    if _MAIL.match(start):
        return ".eml"
    return ".csv" if is_table(start) else ".txt"
