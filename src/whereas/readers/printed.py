"""Files that are laid out for print: PDF and Word. Their paragraphs and titles are found again."""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

from whereas.readers.inputs import Input, UnreadableError, document, library, tidy
from whereas.readers.pages import Page, headline, without_title
from whereas.records import Document, Unreadable

FULL_LINE = 0.7
"""A line of a PDF at least this share of the usual width goes on in the next one."""


def read_pdf(source: Input) -> Iterator[Document | Unreadable]:
    """The text layer of a PDF as paragraphs, without running heads and page numbers."""
    import pypdfium2

    data = source.data()
    with library("damaged or not a PDF"):
        try:
            pdf = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                raise UnreadableError("encrypted PDF: save it without a password") from error
            raise
        try:
            facts = pdf.get_metadata_dict()
            pages = []
            for index in range(len(pdf)):
                page = pdf[index]
                words = page.get_textpage()
                pages.append(tidy(words.get_text_range()).replace("\ufffe", "-\n"))
                words.close()
                page.close()
        finally:
            pdf.close()
    text = _paragraphs(_without_furniture(pages))
    if not text.strip():
        raise UnreadableError("PDF without a text layer: scanned? run OCR first")
    found = headline(text)
    title = facts.get("Title", "")
    if _sensible(title):
        found = Page(title=title, text=without_title(title, text))
    yield document(
        source.origin, title=found.title, text=found.text, author=facts.get("Author", "").strip()
    )


def _sensible(title: str) -> bool:
    """Whether a title in a file's properties was given by a person."""
    automatic = (
        r"\W*|untitled.*|document\s*\d*|microsoft word - .*|.*\.(docx?|pdf|indd|rtf|txt|html?)"
    )
    return len(title.split()) > 1 and not re.fullmatch(automatic, title.strip(), re.I)


def _without_furniture(pages: list[str]) -> list[str]:
    """The lines of all pages without page numbers and, from three pages on, without first and
    last lines that most pages share but for numbers."""
    split = [[line.strip() for line in page.split("\n") if line.strip()] for page in pages]
    edges = Counter(
        edge for lines in split for edge in {_edge(line) for line in lines[:1] + lines[-1:]}
    )
    number = re.compile(r"[-–—\s]*(page\s+)?\d{1,4}(\s+of\s+\d{1,4})?[-–—\s]*", re.I)
    kept = []
    for lines in split:
        for index, line in enumerate(lines):
            at_edge = index in (0, len(lines) - 1)
            shared = len(pages) >= 3 and edges[_edge(line)] > len(pages) / 2
            if not (at_edge and (shared or number.fullmatch(line))):
                kept.append(line)
    return kept


def _edge(line: str) -> str:
    return re.sub(r"\d+", "0", line)


def _paragraphs(lines: list[str]) -> str:
    """Lines of print joined to paragraphs, words divided at their ends to whole ones.

    A hyphen at the end of a line stays where the same compound occurs elsewhere in the text.
    """
    compounds = set(re.findall(r"\w+-\w+", " ".join(lines).lower()))
    lengths = sorted(map(len, lines))
    width = lengths[len(lengths) * 9 // 10] if lengths else 0
    parts: list[str] = []
    before = ""
    for line in lines:
        hyphen = re.search(r"(\w+)[-\xad]$", before)
        first = re.match(r"[a-zà-ÿ]\w*", line)
        if hyphen and first:
            if f"{hyphen[1]}-{first[0]}".lower() not in compounds:
                parts[-1] = parts[-1][:-1]
        elif parts:
            full = len(before) >= FULL_LINE * width
            goes_on = (full or first) and not re.match(r"[•▪●*–—-]\s", line)
            parts.append(" " if goes_on else "\n\n")
        parts.append(line)
        before = line
    return re.sub("[\xad\uffff]", "", "".join(parts))


_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def read_docx(source: Input) -> Iterator[Document | Unreadable]:
    """Paragraphs and table rows of a Word file in order; deleted text and notes are left out."""
    import docx

    data = source.data()
    with library("damaged or not a Word file"):
        size = sum(entry.file_size for entry in zipfile.ZipFile(io.BytesIO(data)).infolist())
        if size > 4 * source.max_bytes:  # pictures count, too
            raise UnreadableError(f"unpacks to {size:,} bytes: raise the limit if you trust it")
        file = docx.Document(io.BytesIO(data))
        lines = [line for line in _word_lines(file.element.body) if line]
        facts = file.core_properties
        title, author = facts.title, facts.author
    text = "\n\n".join(lines)
    found = headline(text)
    if _sensible(title):
        found = Page(title=title, text=without_title(title, text))
    author = "" if author == "python-docx" else author
    yield document(source.origin, title=found.title, text=found.text, author=author)


def _word_lines(parent: Any) -> Iterator[str]:
    for node in parent:
        if node.tag == f"{_WORD}p":
            yield _word_text(node)
        elif node.tag == f"{_WORD}tr":
            cells = (" ".join(filter(None, _word_lines(cell))) for cell in node.iter(f"{_WORD}tc"))
            yield " | ".join(filter(None, cells))
        elif isinstance(node.tag, str):  # tables, content controls, tracked insertions
            yield from _word_lines(node)


def _word_text(paragraph: Any) -> str:
    signs = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
    parts = []
    skipped = {
        inner
        for node in paragraph.iter(f"{_WORD}moveFrom", "{*}Fallback")  # text that stands elsewhere
        for inner in node.iter()
    }
    for node in paragraph.iter():
        if isinstance(node.tag, str) and node.tag.startswith(_WORD) and node not in skipped:
            name = node.tag.removeprefix(_WORD)
            parts.append((node.text or "") if name == "t" else signs.get(name, ""))
    return "".join(parts).strip()
