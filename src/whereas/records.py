"""The records that travel through the program and their JSON.

All of them are frozen `msgspec.Struct`s: immutable, compared by value, decoded with full type
checks. Offsets count Unicode code points of the field they point into (`text` unless a span says
`"field": "title"`); `end` is exclusive, so `document.text[span.start:span.end]` is what is shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

Field = Literal["text", "title"]
OutcomeKind = Literal["ok", "review", "error"]


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """A half-open range of code points in one field of a document."""

    start: int
    end: int
    field: Field = "text"

    def meets(self, other: Span) -> bool:
        """Whether two spans share a code point."""
        return self.field == other.field and self.start < other.end and other.start < self.end


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document as read.

    `id` is the source's own id or a digest of the content (`content_id`). `origin` says where it
    was read from: a path, `path#row` inside a container (row numbers start at 1), or `-`.
    `source` is who published it, as far as the input says.
    """

    id: str
    title: str
    text: str
    origin: str
    date: str | None = None
    source: str | None = None
    url: str | None = None
    author: str | None = None
    meta: dict[str, Any] = {}

    def field(self, name: Field) -> str:
        return self.title if name == "title" else self.text

    def quote(self, span: Span) -> str:
        """The characters a span points at."""
        return self.field(span.field)[span.start : span.end]


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """An input that could not be read: where it is, and why in one line."""

    origin: str
    reason: str


class Label(msgspec.Struct, frozen=True):
    """A label with its calibrated probability in [0, 1] and the words that say so."""

    label: str
    score: float
    evidence: list[Span] = []


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to who, what, when: a surface span and its normalised value.

    `value` is an integer for `count` and the surface text otherwise; `score` in [0, 1].
    """

    slot: str
    value: str | int
    text: str
    start: int
    end: int
    score: float
    field: Field = "text"

    @property
    def span(self) -> Span:
        return Span(self.start, self.end, self.field)


class BriefSentence(msgspec.Struct, frozen=True):
    """One statement of a brief and the spans it rests on (at least one)."""

    text: str
    citations: list[Span]


class Brief(msgspec.Struct, frozen=True):
    """A grounded brief; `text` is its sentences joined by one space."""

    text: str
    sentences: list[BriefSentence]


Labels = dict[str, Label | list[Label] | None]
"""Axis name to its label (axes of one choice) or to a list of labels, best first."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the model says of one document.

    `relevance` is 1 - p(action = none), calibrated, in [0, 1]. `scores` holds every label of every
    axis with its calibrated probability; `labels` only those that pass their threshold.
    `background` lists the sentences that carry background-layer grounds. `doubts` says why a person
    should look at the document.
    """

    relevance: float
    labels: Labels
    scores: dict[str, dict[str, float]]
    facts: list[Fact]
    doubts: list[str]
    background: list[Span]
    unread: int = 0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The one record that every input leaves behind, whatever happens to it. `sets`, where asked
    for: by axis of one label the labels that cannot be ruled out, the one given first."""

    id: str
    source: str
    digest: str | None = None
    title: str = ""
    outcome: OutcomeKind
    reason: str | None = None
    relevance: float | None = None
    labels: Labels = {}
    facts: list[Fact] = []
    brief: Brief | None = None
    no_brief: str | None = None
    model: str = ""
    date: str | None = None
    publisher: str | None = None
    url: str | None = None
    unread_sentences: int = 0
    sets: dict[str, list[str]] | msgspec.UnsetType = msgspec.UNSET


class GoldFact(msgspec.Struct, frozen=True, kw_only=True):
    """A fact as annotated."""

    slot: str
    text: str
    start: int
    end: int
    field: Field = "text"


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled document: one line of a labelled JSONL file.

    `labels` maps an axis to its label or list of labels; an axis that is not there was not asked of
    this document, so what it would say is unknown, while an empty list says none. `evidence` maps
    `action` (the primary label), a label of a set axis, or `background:<label>` to the quotes that
    say so. Documents of one `event` stay on one side of every split. `confidence` is `sure`,
    `unsure` or `presumed` (labelled by a rule, never read). `key_facts` are what a complete brief
    must state.
    """

    id: str
    title: str
    text: str
    labels: dict[str, str | list[str]]
    date: str | None = None
    source: str | None = None
    url: str | None = None
    evidence: dict[str, list[Span]] = {}
    facts: list[GoldFact] = []
    confidence: Literal["sure", "unsure", "presumed"] = "sure"
    event: str | None = None
    digest: str | None = None
    licence: str | None = None
    brief: str | None = None
    key_facts: list[str] = []
    annotator: str | None = None
    labelled_at: str | None = None
    meta: dict[str, Any] = {}

    def one(self, axis: str) -> str:
        value = self.labels[axis]
        assert isinstance(value, str)
        return value

    def many(self, axis: str) -> list[str]:
        value = self.labels.get(axis, [])
        return [value] if isinstance(value, str) else value

    def answers(self, axes: Iterable[str]) -> dict[str, list[str]]:
        """Labels by axis, of those axes that the example was asked."""
        return {axis: self.many(axis) for axis in axes if axis in self.labels}

    def document(self, origin: str = "") -> Document:
        return Document(
            id=self.id,
            title=self.title,
            text=self.text,
            origin=origin,
            date=self.date,
            source=self.source,
            url=self.url,
        )


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of text under `columns`; `bad` holds the rows that break a rule, by their number."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    bad: list[int] = []


def text_digest(text: str) -> str:
    """`sha256:` and the hex digest of the UTF-8 bytes of a text."""
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def content_id(title: str, text: str) -> str:
    """An id for a document that brings none: 16 hex digits of the digest of title and text."""
    joined = f"{title}\x00{text}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:16]
