"""Text that its author wrote as such or marked up: plain text, Markdown, HTML and e-mail."""

from __future__ import annotations

import functools
import html
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import msgspec

from whereas.readers.inputs import Input, UnreadableError, decode, document, library, tidy
from whereas.records import Document, Unreadable

HEADLINE_CHARS = 200
"""A first line up to this long can be a headline; Federal Register titles reach it now and then."""


# ------------------------------------------------------------------ text and Markdown


def read_text(source: Input) -> Iterator[Document | Unreadable]:
    """Text as it is; a first line that looks like a headline is the title."""
    page = headline(source.text())
    yield document(source.origin, title=page.title, text=page.text)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one document."""

    title: str | None = None
    text: str = ""
    date: str | None = None
    author: str | None = None
    url: str | None = None
    source: str | None = None


def headline(text: str) -> Page:
    """A headline is short, has no full stop at its end, and an empty line and text below it."""
    first, _, rest = text.strip().partition("\n")
    first = first.strip()
    blank, _, below = rest.partition("\n")
    is_headline = len(first) <= HEADLINE_CHARS and not first.endswith((".", ":", ",", ";", "。"))
    if is_headline and not blank.strip() and below.strip():
        return Page(title=first, text=below)
    return Page(text=text)


def without_title(title: str | None, text: str) -> str:
    """The text without a first line that repeats the title."""
    first, _, rest = text.strip().partition("\n")
    return rest if title and rest.strip() and _folded(first) == _folded(title) else text


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def read_markdown(source: Input) -> Iterator[Document | Unreadable]:
    """Markdown without its markup. The title is the front matter's, else the first heading."""
    text = source.text()
    front: dict[str, str] = {}
    if match := re.match(r"\s*(---|\+\+\+)[ ]*\n(.*?)\n\1[ ]*(\n|$)", text, re.S):
        front = _front_matter(match[2])
        text = text[match.end() :]
    plain = _unmarked(text)
    title = front.get("title")
    if title:
        plain = without_title(title, plain)
    elif heading := re.search(r"^#{1,6}[ \t]+\S.*$|^\S.*\n(=+|-+)[ \t]*$", text, re.M):
        title = _unmarked(heading[0]).strip()
        plain = re.sub(rf"^{re.escape(title)}[ \t]*$\n?", "", plain, count=1, flags=re.M)
    yield document(
        source.origin,
        title=title,
        text=plain,
        date=front.get("date"),
        author=front.get("author"),
        url=front.get("url") or front.get("link"),
        source=front.get("source") or front.get("publisher"),
    )


def _front_matter(block: str) -> dict[str, str]:
    """The plain `key: value` (YAML) or `key = value` (TOML) lines; nested ones are left out."""
    pairs = re.findall(r"^(\w+)[ ]*[:=](.*)$", block, re.M)
    return {key.lower(): value.strip().strip("\"'") for key, value in pairs}


_MARKUP: tuple[tuple[str, str], ...] = (
    (r"^[ \t]*(```|~~~).*$\n?", ""),  # fences
    (r"<!--(?:(?!<!--)[\s\S])*?-->", ""),
    (r"^[ ]{0,3}([-*_])([ \t]*\1){2,}[ \t]*$", ""),  # rules
    (r"^[ ]{0,3}(=+|-+)[ \t]*$\n?", ""),  # underlines of headings
    (r"^[ ]{0,3}\[[^\]\n]+\]:[ ]*\S+.*$\n?", ""),  # targets of links
    (r"^[ ]{0,3}#{1,6}[ \t]+(.*?)(?:[ \t]#+)?$", r"\1"),
    (r"^[ \t]*(>[ \t]?)+", ""),
    (r"^(?=[ \t:|-]*---)[ \t:|-]+$\n?", ""),  # rule below the head of a table
    (r"^[ \t]*\|[ ]?(.*)\|[ \t]*$", r"\1"),
    (r"!\[([^\[\]\n]*)\]\((?:[^()\n]|\([^()\n]*\))*\)", r"\1"),  # pictures
    (r"\[([^\[\]\n]*)\]\((?:[^()\n]|\([^()\n]*\))*\)", r"\1"),  # links
    (r"!?\[([^\[\]\n]+)\]\[[^\[\]\n]*\]", r"\1"),
    (r"<((?:https?://|mailto:)[^<>\s]+)>", r"\1"),
    (r"</?[A-Za-z][^<>\n]*>", ""),
    (r"(?<!`)`+([^`\n]+)`+", r"\1"),
    (r"(\*\*|__)(?=\S)((?:(?!\1).)+)(?<=\S)\1", r"\2"),
    (r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=\S)\*(?![\w*])", r"\1"),
    (r"(?<!\w)_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)", r"\1"),
    (r"~~([^~\n]+)~~", r"\1"),
)
"""Patterns in the order in which they go. Each takes time linear in the text, also on hostile text:
no two neighbouring repetitions can match the same signs."""


def _unmarked(text: str) -> str:
    # Escaped signs stand aside in the private-use area while the markup goes.
    text = re.sub(r"\\([!-/:-@\[-`{-~])", lambda match: chr(0xE000 + ord(match[1])), text)
    for pattern, plain in _MARKUP:
        text = re.sub(pattern, plain, text, flags=re.M)
    text = re.sub("[\ue021-\ue07e]", lambda match: chr(ord(match[0]) - 0xE000), text)
    lines = (line.rstrip() for line in html.unescape(text).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


# ------------------------------------------------------------------ HTML and e-mail


def read_html(source: Input) -> Iterator[Document | Unreadable]:
    """The article of a page as trafilatura finds it; all text of the page when it finds none."""
    declared = re.search(rb"charset\s*=\s*[\"']?([\w-]+)", source.head()[:4096], re.I)
    markup = source.text(declared[1].decode() if declared else None)
    if not markup.strip():
        raise UnreadableError("empty: no text in it")
    page = _article(markup)
    if not page.text.strip() and not page.title:
        raise UnreadableError("no text in the page: drawn by a script? save it from a browser")
    yield document(source.origin, **msgspec.structs.asdict(page))


def html_to_text(markup: str) -> str:
    """All text of a piece of HTML, an empty line between blocks; raises `UnreadableError`."""
    return _plain(_tree(markup))


_BLOCKS = (
    *("address", "article", "blockquote", "dd", "div", "dl", "dt", "figcaption", "figure"),
    *("footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav"),
    *("ol", "p", "pre", "section", "table", "tr", "ul"),
)


_SPACE = re.compile("[\\s\x00-\x1f\ufffe\uffff]+")
"""White space, and what XML cannot hold."""


@functools.cache
def _hush() -> None:
    """Keeps the libraries' remarks off standard error unless the program asks for them."""
    for name in (
        "trafilatura",
        "htmldate",
        "courlan",
        "justext",
        "readability",
        "charset_normalizer",
    ):
        logging.getLogger(name).addHandler(logging.NullHandler())


def _article(markup: str) -> Page:
    from trafilatura import bare_extraction

    _hush()
    found: Any = None
    try:
        with library("trafilatura"), warnings.catch_warnings(action="ignore"):
            found = bare_extraction(
                markup,
                include_comments=False,
                with_metadata=True,
                date_extraction_params={"original_date": True, "extensive_search": False},
            )
    except UnreadableError:  # broken beyond it; lxml is more patient
        found = None
    tree = _tree(markup)
    heads = [*tree.iter("title"), *tree.iter("h1")]
    title = (found and found.title) or next((h.text_content() for h in heads), None)
    text = found.text if found and found.text and found.text.strip() else _plain(tree)
    title = " ".join(title.split()) if title else None
    return Page(
        title=title,
        text=without_title(title, text),
        date=found.date if found else None,
        author=found.author if found else None,
        url=found.url if found else None,
        source=(found.sitename or found.hostname) if found else None,
    )


def _tree(markup: str) -> Any:
    import lxml.html

    parser = lxml.html.HTMLParser(encoding="utf-8", no_network=True, huge_tree=False)
    with library("damaged HTML"):
        return lxml.html.document_fromstring(markup.encode(), parser=parser)


def _plain(tree: Any) -> str:
    for node in tree.xpath("//head|//script|//style|//noscript|//template|//svg|//comment()"):
        if node.getparent() is not None:  # comments may stand beside the root
            node.drop_tree()
    for node in tree.iter():
        node.text = _SPACE.sub(" ", node.text or "")
        node.tail = _SPACE.sub(" ", node.tail or "")
    for node in tree.iter(*_BLOCKS):
        node.text = "\n\n" + node.text
        node.tail = "\n\n" + node.tail
    for node in tree.iter("br"):
        node.tail = "\n" + node.tail
    for node in tree.iter("td", "th"):
        node.tail = " " + node.tail
    lines = (line.strip() for line in tree.text_content().split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def read_email(source: Input) -> Iterator[Document | Unreadable]:
    """The text of a message, or its HTML when it has no text; attachments are left out."""
    import email
    import email.policy

    with library("damaged e-mail"):
        message = email.message_from_bytes(source.data(), policy=email.policy.default)
        if not any(message[name] for name in ("From", "Subject", "Date", "Received")):
            raise UnreadableError("not an e-mail: it has no From, Subject or Date header")
        parts = [message.get_body(preferencelist=(kind,)) for kind in ("plain", "html")]
        page = Page()
        for part in parts:
            if part is None or page.text.strip():
                continue
            payload = part.get_payload(decode=True)
            text = decode(bytes(payload), part.get_content_charset()) if payload else ""
            page = (
                _article(text) if part.get_content_subtype() == "html" and text else Page(text=text)
            )
        if not page.text.strip():
            names = ", ".join(part.get_filename() or "?" for part in message.iter_attachments())
            if names:
                raise UnreadableError(f"no text in the message: save its attachments ({names})")
        sent = message["Date"].datetime if message["Date"] else None
        sender = message["From"].addresses[:1] if message["From"] else ()
        subject = " ".join(str(message["Subject"] or "").split())
        number = tidy(str(message["Message-ID"] or "")).strip()
    yield document(
        source.origin,
        title=subject,
        text=page.text,
        date=sent.date().isoformat() if sent else None,
        author=(sender[0].display_name or sender[0].addr_spec) if sender else None,
        meta={"message_id": number} if number else None,
    )
