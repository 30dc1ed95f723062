"""Documents of the Federal Register in the XML of its publisher."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from whereas.readers.inputs import Input, UnreadableError, document, library
from whereas.records import Document, Unreadable

REGISTER_DOCUMENTS = ("RULE", "PRORULE", "NOTICE", "PRESDOCU")

_SECTIONS = {
    "AGY": "AGENCY:",
    "ACT": "ACTION:",
    "SUM": "SUMMARY:",
    "DATES": "DATES:",
    "EFFDATE": "DATES:",
    "ADD": "ADDRESSES:",
    "FURINF": "FOR FURTHER INFORMATION CONTACT:",
    "SUPLINF": "SUPPLEMENTARY INFORMATION:",
}
"""Sections and the heading they get where they bring none."""

_LEFT_OUT = frozenset(
    ("PRTPAGE", "FRDOC", "FILED", "BILCOD", "LRH", "RRH", "GPH", "MATH", "AGENCY", "SUBAGY")
)
_LINES = frozenset(
    (
        *("P", "FP", "HD", "HED", "HD1", "HD2", "HD3", "SUBJECT", "SECTNO", "AMDPAR", "AUTH"),
        *("CFR", "DEPDOC", "RIN", "ROW", "BOXHD", "LI", "NAME", "TITLE", "DATE", "PLACE"),
        *("TTITLE", "EXECORDR", "PROC", "PRES", "DETNO"),
    )
)
"""Elements whose whole text is one line."""


def read_register_xml(source: Input) -> Iterator[Document | Unreadable]:
    """The documents of a Federal Register file: one by itself, or those of a day's issue."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    data = source.data()
    with library("damaged XML"):
        root = etree.fromstring(data, parser)
        dtd = root.getroottree().docinfo.internalDTD
        if dtd is not None and next(iter(dtd.iterentities()), None) is not None:
            raise UnreadableError("XML that declares entities of its own: refused as unsafe")
    found = [root] if root.tag in REGISTER_DOCUMENTS else list(root.iter(*REGISTER_DOCUMENTS))
    if not found and root.tag != "FEDREG":
        tag = str(root.tag)[:60]
        raise UnreadableError(f"XML of another kind (<{tag}>): only Federal Register XML is read")
    day = _long_date(root.findtext("DATE"))
    for number, node in enumerate(found, start=1):
        origin = source.origin if node is root else f"{source.origin}#{number}"
        try:
            yield _register_document(node, origin, day)
        except UnreadableError as error:
            yield Unreadable(origin=origin, reason=str(error))


def _register_document(node: Any, origin: str, day: str | None) -> Document:
    subjects = [*node.iterfind("./PREAMB/SUBJECT")] or [*node.iterfind("./SUBJECT")]
    if not subjects:
        heads = (head for head in node.iter("HD") if head.get("SOURCE") == "HED")
        subjects = [head for head in heads if not _words(head).endswith(":")][:1]
    agencies = [_words(part) for part in node.iter("AGENCY", "SUBAGY")]
    lines = list(_register_lines(node, frozenset(subjects)))
    if agencies and node.find(".//AGY") is None:
        lines = ["AGENCY:", ", ".join(agencies), *lines]
    closing = " ".join(_words(part) for part in node.iter("FRDOC")).replace("–", "-")
    number = re.search(r"FR\s+Doc\.?\s*(\w[\w-]*\d)", closing, re.I)
    return document(
        origin,
        id=f"fr:{number[1]}" if number else None,
        title="; ".join(_words(part) for part in subjects),
        text="\n\n".join(lines),
        date=day,
        source="Federal Register",
        author=", ".join(agencies),
        meta={"type": node.tag},
    )


def _register_lines(node: Any, titles: frozenset[Any]) -> Iterable[str]:
    """Headings and paragraphs, one a line, in order; without the titles and running matter."""
    if heading := _SECTIONS.get(node.tag):
        first = next((child for child in node if isinstance(child.tag, str)), None)
        if first is None or first.tag not in ("HD", "HED"):
            yield heading
    if own := " ".join((node.text or "").split()):
        yield own
    for child in node:
        if isinstance(child.tag, str) and child not in titles and child.tag not in _LEFT_OUT:
            if child.tag in _LINES:
                if words := _words(child):
                    yield words
            else:
                yield from _register_lines(child, titles)
        if tail := " ".join((child.tail or "").split()):
            yield tail


def _words(node: Any) -> str:
    """The text of an element with its inline markup; page breaks leave a space, cells a bar."""
    return " ".join(_raw_words(node).split()).removesuffix(" |")


def _raw_words(node: Any) -> str:
    from lxml import etree

    parts = [node.text or ""]
    for child in node:
        if isinstance(child, etree._Entity):
            parts.append(html.unescape(child.text))
        elif isinstance(child.tag, str) and child.tag not in _LEFT_OUT:
            parts.append(_raw_words(child) + (" | " if child.tag in ("ENT", "CHED") else ""))
        else:
            parts.append(" ")
        parts.append(child.tail or "")
    return "".join(parts)


def _long_date(text: str | None) -> str | None:
    """`Tuesday, January 2, 2024` as `2024-01-02`."""
    match = re.search(r"([A-Z][a-z]+) (\d{1,2}), (\d{4})", text or "")
    if not match:
        return None
    try:
        return datetime.strptime(match[0], "%B %d, %Y").date().isoformat()
    except ValueError:
        return None
