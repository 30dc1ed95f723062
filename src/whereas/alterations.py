"""What the web, scanners and content spinners do to a document, with its annotations kept in place.

An alteration finds edits of one field, title or text. `apply` makes them in a text; `altered` makes
them in a labelled example and moves every quote and fact along. The robustness suite alters what a
model is measured on, training what it is taught: each with words of its own, so that what is
measured is not what was learned by heart.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import msgspec

from whereas.records import Example, Field, GoldFact, Span

OCR_RATE = 0.03
"""Share, 0-1, of the letters in `CONFUSIONS` that a scan takes for others, and of the words of at
least seven letters that it breaks."""
CONFUSIONS = {"l": "1", "I": "l", "O": "0", "o": "0", "e": "c", "h": "b", "S": "5", "m": "rn"}


class Edit(NamedTuple):
    """`new` in place of code points `start` to `end` of a field."""

    start: int
    end: int
    new: str


Edits = list[Edit]
"""In order, none overlapping another."""
Alteration = Callable[[str, random.Random], Edits]
"""From a text to the edits that alter it; what is random in it is drawn from the generator."""


def apply(text: str, edits: Sequence[Edit]) -> str:
    """The text with edits made; they are in order, none overlapping another."""
    parts, at = [], 0
    for edit in edits:
        parts += [text[at : edit.start], edit.new]
        at = edit.end
    return "".join([*parts, text[at:]])


@cache
def spun_words() -> dict[str, list[str]]:
    """Words of this field and what spinners make of them (`data/spun.toml`)."""
    data = (resources.files("whereas") / "data" / "spun.toml").read_text("utf-8")
    words: dict[str, list[str]] = tomllib.loads(data)["words"]
    return words


@cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    longest = sorted(words, key=len, reverse=True)
    return re.compile("|".join(rf"\b{re.escape(word)}\b" for word in longest))


def spun(words: dict[str, list[str]]) -> Alteration:
    """Each of `words` replaced by one of its variants."""

    def edits(text: str, rng: random.Random) -> Edits:
        found = _pattern(tuple(words)).finditer(text)
        return [Edit(m.start(), m.end(), rng.choice(words[m[0]])) for m in found]

    return edits


def scanned(rate: float = OCR_RATE) -> Alteration:
    """As recognised from a bad scan: letters confused and words broken at `rate` (`OCR_RATE`)."""

    def edits(text: str, rng: random.Random) -> Edits:
        broken = {m.start() + 4 for m in re.finditer(r"\w{7,}", text) if rng.random() < rate}
        result = []
        for at, letter in enumerate(text):
            if at in broken:
                result.append(Edit(at, at, "- "))
            if letter in CONFUSIONS and rng.random() < rate:
                result.append(Edit(at, at + 1, CONFUSIONS[letter]))
        return result

    return edits


def cased(change: Callable[[str], str]) -> Alteration:
    """Letters in another case, where that keeps their number (ß has no single capital)."""

    def edits(text: str, _: random.Random) -> Edits:
        return [
            Edit(at, at + 1, change(letter))
            for at, letter in enumerate(text)
            if change(letter) != letter and len(change(letter)) == 1
        ]

    return edits


def cut(words: int) -> Alteration:
    """The first `words` words, one at least."""

    def edits(text: str, _: random.Random) -> Edits:
        ends = [m.end() for m in re.finditer(r"\S+", text)]
        return [] if len(ends) <= words else [Edit(ends[words - 1], len(text), "")]

    return edits


def surrounded(before: Sequence[str], after: Sequence[str], lines: int = 3) -> Alteration:
    """As scraped: `lines` lines of a page before the text and as many after it, at most all."""

    def edits(text: str, rng: random.Random) -> Edits:
        head = "".join(f"{line}\n\n" for line in rng.sample(before, min(lines, len(before))))
        tail = "".join(f"\n\n{line}" for line in rng.sample(after, min(lines, len(after))))
        return [Edit(0, 0, head), Edit(len(text), len(text), tail)]

    return edits


def altered(example: Example, field: Field, edits: Sequence[Edit]) -> Example:
    """The example with a field edited, its quotes and facts moved along.

    What lies wholly in text that is gone is dropped, a quote with a part left keeps that part. A
    fact's `text` becomes the words that now stand there. Evidence whose last span is dropped loses
    its key; labels stay.
    """
    if not edits:
        return example
    old = getattr(example, field)
    new = apply(old, edits)

    def moved(span: Span | GoldFact) -> tuple[int, int] | None:
        start, end = _place(edits, span.start, after=True), _place(edits, span.end, after=False)
        return (start, end) if start < end else None

    evidence = {}
    for key, spans in example.evidence.items():
        kept = []
        for span in spans:
            place = (span.start, span.end) if span.field != field else moved(span)
            if place:
                kept.append(Span(*place, span.field))
        if kept:
            evidence[key] = kept
    facts = []
    for fact in example.facts:
        if fact.field != field:
            facts.append(fact)
        elif place := moved(fact):
            a, b = place
            facts.append(msgspec.structs.replace(fact, start=a, end=b, text=new[a:b]))
    return msgspec.structs.replace(example, **{field: new}, evidence=evidence, facts=facts)


def _place(edits: Sequence[Edit], at: int, *, after: bool) -> int:
    """Where the start (`after`) or the end of a span, at `at` in the old text, is in the new one.

    Words that replace others are taken whole: a start among the old ones goes before the new, an
    end behind them. What is inserted right at a start or an end stays outside the span."""
    shift = 0
    for start, end, new in edits:
        if end < at or (end == at and (start < end or after)):
            shift += len(new) - (end - start)
        elif start < at:  # inside what was replaced
            return start + shift + (0 if after else len(new))
        else:
            break
    return at + shift
