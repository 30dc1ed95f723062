"""The bytes of one input: opened once, bounded, unpacked, told apart and decoded."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from whereas.records import Document, content_id

HEAD_BYTES = 65_536
"""What is looked at to tell formats and encodings apart. Also the read buffer."""

UNPACKED_FACTOR = 50
"""A packed stream of rows may unpack to this many times `max_bytes` in all; each of its rows, and
every packed file that is read whole, to `max_bytes`."""

JUNK_SHARE = 0.05
"""More control and replacement characters than this: not text. Damaged text that can still be
read has well under 1 %, bytes of images and archives decoded by force over 20 %."""

DETECT_BYTES = 200_000
"""What charset-normalizer sees of a long text: its time grows with it, its answer hardly."""


CODE_PAGES = ("cp1252", "cp1251", "cp1250")
"""The ones in use: preferred to Macintosh and other rare ones that explain a text as well."""

ALIKE = 0.05
"""So close in charset-normalizer's coherence (0 to 1) is as well. Of one-sentence samples, cp1251
and mac_cyrillic differ by .03 on Russian; cp1254 and cp1252 by .11 on Turkish, rightly."""


class UnreadableError(Exception):
    """Why an input or one row of it cannot be read, in one line.

    `read` turns it into an `Unreadable` record; it never leaves the package.
    """


@contextmanager
def library(what: str) -> Iterator[None]:
    """The boundary to one file-format library: whatever it raises becomes `what: its message`."""
    try:
        yield
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(f"{what}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """The message of an exception on one line of at most 200 characters, or its type's name."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def document(
    origin: str,
    *,
    title: str | None,
    text: str | None,
    id: str | None = None,
    date: str | None = None,
    source: str | None = None,
    url: str | None = None,
    author: str | None = None,
    meta: dict[str, Any] | None = None,
) -> Document:
    """A document with title and text tidied and stripped; without an id it gets `content_id`.

    Raises `UnreadableError` when there is neither title nor text.
    """
    title, text = tidy(title or "").strip(), tidy(text or "").strip()
    if not title and not text:
        raise UnreadableError("empty: no text in it")
    return Document(
        id=id or content_id(title, text),
        title=title,
        text=text,
        origin=origin,
        date=tidy(date or "").strip() or None,
        source=tidy(source or "").strip() or None,
        url=tidy(url or "").strip() or None,
        author=tidy(author or "").strip() or None,
        meta=meta or {},
    )


# ------------------------------------------------------------------ bytes


@dataclass(frozen=True)
class Input:
    """An open input. It is read once, forwards: either `data`/`text`, or `lines`.

    `seekable` is the file itself where it is a plain one, for libraries that jump about in it.
    """

    origin: str
    stream: io.BufferedReader[Any]
    max_bytes: int
    seekable: BinaryIO | None = None

    def head(self) -> bytes:
        """The bytes ahead, not consumed: at least the first line or `HEAD_BYTES`, if there."""
        return self.stream.peek(HEAD_BYTES)

    def data(self) -> bytes:
        """Everything, at most `max_bytes`; raises `UnreadableError` when there is more."""
        data = self.stream.read(self.max_bytes + 1)
        if len(data) > self.max_bytes:
            raise UnreadableError(
                f"larger than {self.max_bytes:,} bytes (unpacked): split it or raise the limit"
            )
        return data

    def text(self, declared: str | None = None) -> str:
        return decode(self.data(), declared)

    def lines(self) -> Iterator[str | UnreadableError]:
        """Line by line, newlines kept; a line that is too long or not text comes as its error."""
        head = self.head()
        wide = next((name for bom, name in _BOMS if head.startswith(bom) and "8" not in name), None)
        if wide:
            yield from self._wide_lines(wide)
            return
        if len(_BINARY.findall(head)) > JUNK_SHARE * len(head):
            raise UnreadableError(_NOT_TEXT)
        guess = _guess(head) if _utf8(head, cut=True) is None else None
        while line := self.stream.readline(self.max_bytes + 1):
            if len(line) > self.max_bytes:
                while line and not line.endswith(b"\n"):
                    line = self.stream.readline(HEAD_BYTES)
                yield UnreadableError(f"larger than {self.max_bytes:,} bytes")
                continue
            try:
                text = decode(line, guess)
            except UnreadableError as error:
                yield error
            else:  # lines that end in a lone \r are found only now
                yield from (f"{part}\n" for part in text.removesuffix("\n").split("\n"))

    def _wide_lines(self, encoding: str) -> Iterator[str | UnreadableError]:
        reader = io.TextIOWrapper(self.stream, encoding, newline="")
        while True:
            with library(f"broken {encoding.upper()}"):
                line = reader.readline(self.max_bytes + 1)
            if not line:
                return
            if len(line) > self.max_bytes:
                raise UnreadableError(f"a line is larger than {self.max_bytes:,} characters")
            yield tidy(line)


class Feed(io.RawIOBase):
    """A stream that gives its first line whole, is bounded, and says what is wrong with gzip.

    `limit` bounds the bytes given in all. Closing it closes `source` only if it `owns` it.
    """

    def __init__(self, source: Any, *, limit: int | None = None, owns: bool = True) -> None:
        self._source = source
        self._limit = limit
        self._owns = owns
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        room = len(buffer)
        chunk = self._more(room)
        while not self._given and chunk and b"\n" not in chunk and len(chunk) < room:
            more = self._more(room - len(chunk))
            if not more:
                break
            chunk += more
        self._given += len(chunk)
        if self._limit is not None and self._given > self._limit:
            raise UnreadableError(f"unpacks to more than {self._limit:,} bytes: a gzip bomb?")
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _more(self, room: int) -> bytes:
        try:
            return bytes(self._source.read1(room))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UnreadableError(f"damaged or not a gzip file: {one_line(error)}") from error

    def close(self) -> None:
        if self._owns and not self.closed:
            self._source.close()
        super().close()


class Kind(msgspec.Struct, frozen=True):
    """What the first bytes of a binary file say: the suffix to read it as ("" for none)."""

    suffix: str
    name: str
    fix: str


_OOXML = b"PK\x03\x04"
_MAGIC: dict[bytes, Kind] = {
    b"%PDF-": Kind(".pdf", "a PDF", "name it .pdf"),
    b"PAR1": Kind(".parquet", "a Parquet file", "name it .parquet"),
    b"\x1f\x8b": Kind(".gz", "gzip data", "name it .gz"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": Kind(
        "",
        "a legacy Office file (.doc, .xls, .msg) or one with a password",
        "save it as .docx without a password",
    ),
    b"{\\rtf": Kind("", "an RTF file", "save it as .docx or .txt"),
    b"\x89PNG": Kind("", "an image", "run OCR first"),
    b"\xff\xd8\xff": Kind("", "an image", "run OCR first"),
    b"GIF8": Kind("", "an image", "run OCR first"),
}


def kind(head: bytes) -> Kind | None:
    """The kind of a binary file, None when its first bytes are not among those known."""
    if head.startswith(_OOXML):
        if b"xl/" in head:
            return Kind("", "a spreadsheet", "save it as CSV")
        if b"word/" in head or b"[Content_Types].xml" in head:
            return Kind(".docx", "a Word file", "name it .docx")
        return Kind("", "a zip archive", "unpack it first")
    return next((found for magic, found in _MAGIC.items() if head.startswith(magic)), None)


# ------------------------------------------------------------------ text

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_JUNK = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd]")
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_NOT_TEXT = (
    "not text: full of control characters (binary data? UTF-16 without a mark? save it as UTF-8)"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def tidy(text: str) -> str:
    """Newlines as `\\n`, without NUL and byte-order mark; lone surrogates become U+FFFD."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATE.sub("\ufffd", text.replace("\x00", "").removeprefix("\ufeff"))


def decode(data: bytes, declared: str | None = None) -> str:
    """Bytes to tidy text: byte-order mark, UTF-8, the `declared` encoding, charset-normalizer.

    Raises `UnreadableError` when no encoding fits or the result is not text.
    """
    text = _decoded(data, declared)
    sample = text[:100_000]
    if len(_JUNK.findall(sample)) > max(JUNK_SHARE * len(sample), 2):  # a short line may have one
        raise UnreadableError(_NOT_TEXT)
    return tidy(text)


def _decoded(data: bytes, declared: str | None) -> str:
    for bom, name in _BOMS:
        if data.startswith(bom):
            with library(f"broken {name.upper()}"):
                return data.decode(name)
    if declared and re.match(r"iso-?2022|hz", declared, re.I):  # 7 bits: they pass for UTF-8
        first, then = _strict(data, declared), None
    else:
        first, then = _utf8(data), declared
    if first is not None:
        return first
    if then and (text := _strict(data, then)) is not None:
        return text
    guess = _guess(data[:DETECT_BYTES])
    if guess and (text := _strict(data, guess)) is not None:
        return text
    raise UnreadableError("not text: no encoding fits (binary data? else save it as UTF-8)")


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (LookupError, ValueError):
        return None


def _utf8(data: bytes, *, cut: bool = False) -> str | None:
    """UTF-8, also with a few bad bytes among many good ones; None when it is another encoding.

    With `cut`, the data may end inside a character.
    """
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data, final=not cut)
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        bad = text.count("\ufffd")
        good = sum(char > "\x7f" for char in text) - bad
        return text if good > 10 * bad else None


def _guess(data: bytes) -> str | None:
    from charset_normalizer import from_bytes

    matches = list(from_bytes(data))
    if not matches:
        return None
    best = matches[0]
    alike = {
        match.encoding
        for match in matches
        if match.chaos <= best.chaos and match.coherence >= best.coherence - ALIKE
    }
    return next((name for name in CODE_PAGES if name in alike), best.encoding)
