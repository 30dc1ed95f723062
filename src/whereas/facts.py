"""Who, what, when: spans of facts and their values."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from whereas.calibration import Array, softmax
from whereas.encoder import Floats, States
from whereas.records import Document, Fact, Span

SLOTS = (
    "authority",
    "instrument",
    "target",
    "country",
    "count",
    "effective_date",
    "citation",
)
THRESHOLD = 0.5
CONTINUE = 0.15
"""A span needs a piece of the first probability (inside or beginning of its slot), and reaches as
far as pieces on both sides have the second: with .5 alone names are cut in pieces (exact F1 on the
development sets .29 against .36, training/LOG.md)."""

_UNITS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen""".split()
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_NUMBERS = {word: n for n, word in enumerate(_UNITS)}
_NUMBERS |= {word: 10 * n for n, word in enumerate(_TENS, 2)}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000}
_DIGITS = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")
_CONTENT = re.compile(r"\w\w|\d")
_SMALL = "of|the|a|an|and|or|for|in|on|to|by|with|s"
_CUT_OFF = re.compile(rf"^(?:{_SMALL})\b(?! \d)|(?:^|\W)(?:{_SMALL})$", re.I)
"""How a span begins or ends whose rest the head missed."""
_GENERIC = re.compile(
    r"(?:the )?(?:list|act|order|rule|law|section|article|title|part|regulations?|program)s?$",
    re.IGNORECASE,
)
"""What names no instrument and cites nothing by itself."""
_APOSTROPHES = "'’"
_OPENING = tuple("$£€§(\"“‘'")
_CLOSING = tuple(" ,;:-–—\n")


def extract(document: Document, states: States, heads: Mapping[str, Floats]) -> list[Fact]:
    """Facts that the tag head finds, in text order, the title's first.

    Each surface text of a slot comes once, at its most certain mention.
    """
    if not len(states.tokens):
        return []
    tags = softmax((states.tokens @ heads["tags.weight"].T + heads["tags.bias"]).astype(np.float64))
    slots = tags[:, 1::2] + tags[:, 2::2]  # [T, slots]
    found: dict[tuple[str, str], Fact] = {}
    for peak in np.flatnonzero(slots.max(1) >= THRESHOLD):
        slot = int(slots[peak].argmax())
        a, b = _reach(document, states, tags, int(peak), slot)
        sentence = states.reading.sentences[int(states.owner[peak])]
        raw = Span(int(states.start[a]), int(states.end[b - 1]), sentence.field)
        span = _balanced(document, whole_words(document, raw, sentence))
        text = document.quote(span)
        if not _CONTENT.search(text) or _CUT_OFF.search(text) or _GENERIC.match(text):
            continue
        fact = Fact(
            slot=SLOTS[slot],
            value=value(SLOTS[slot], text),
            text=text,
            start=span.start,
            end=span.end,
            score=round(float(slots[a:b, slot].mean()), 4),
            field=span.field,
        )
        key = (fact.slot, text.casefold())
        if key not in found or found[key].score < fact.score:
            found[key] = fact
    return sorted(found.values(), key=lambda f: (f.field == "text", f.start))


def _reach(
    document: Document, states: States, tags: Array, peak: int, slot: int
) -> tuple[int, int]:
    """The half-open run of pieces around a peak that belong to its slot, in its sentence."""
    slots = tags[:, 1 + 2 * slot] + tags[:, 2 + 2 * slot]

    def continues(t: int) -> bool:
        return bool(slots[t] >= CONTINUE and states.owner[t] == states.owner[peak])

    a, b = peak, peak + 1
    while a > 0 and continues(a - 1) and not _begins_anew(document, states, tags, a, slot):
        a -= 1
    while b < len(slots) and continues(b) and not _begins_anew(document, states, tags, b, slot):
        b += 1
    return a, b


def _balanced(document: Document, span: Span) -> Span:
    """A span whose bracket closes right behind it takes it in; else it ends before the bracket."""
    text = document.field(span.field)
    quote = text[span.start : span.end]
    if quote.count("(") <= quote.count(")"):
        return span
    if text[span.end : span.end + 1] == ")":
        return Span(span.start, span.end + 1, span.field)
    cut = quote.rindex("(")
    return Span(span.start, span.start + len(quote[:cut].rstrip()), span.field) if cut else span


def _begins_anew(document: Document, states: States, tags: Array, t: int, slot: int) -> bool:
    """Whether piece `t` opens another span of the same slot: the head says so and something stands
    between ("Belmarsh, Norvane and Ostrava"). A name of several words is one span."""
    if tags[t, 1 + 2 * slot] < tags[t, 2 + 2 * slot]:
        return False
    field = document.field(states.reading.sentences[int(states.owner[t])].field)
    before = field[int(states.start[t - 1]) : int(states.end[t - 1])].casefold()
    return before in {",", ";", "/", "and", "or"}


def value(slot: str, text: str) -> str | int:
    """The integer that a `count` states in digits or English words; the text where it states none,
    and of every other slot."""
    if slot != "count":
        return text
    total, current, seen = 0, 0, False
    for token in re.findall(r"\d[\d,.]*|[a-z]+", text.casefold()):
        digits = _DIGITS.fullmatch(token.rstrip(".,"))
        if token[0].isdigit() and not digits:
            return text
        if digits or token in _NUMBERS:
            current += int(digits.group().replace(",", "")) if digits else _NUMBERS[token]
            seen = True
        elif token in _SCALES:
            current = max(current, 1) * _SCALES[token]
            seen = True
            if _SCALES[token] >= 1000:
                total, current = total + current, 0
        elif seen and token != "and":
            break
    return total + current if seen else text


def whole_words(document: Document, span: Span, within: Span) -> Span:
    """A span grown to whole words inside its sentence, then freed of loose punctuation."""
    text = document.field(span.field)
    start, end = span.start, span.end
    while start > within.start and _joined(text, start):
        start -= 1
    while end < within.end and _joined(text, end):
        end += 1
    while start < end - 1 and not text[start].isalnum() and text[start] not in _OPENING:
        start += 1
    while end > start + 1 and text[end - 1] in _CLOSING:
        end -= 1
    return Span(start, end, span.field)


def _joined(text: str, at: int) -> bool:
    """Whether the characters on both sides of a place belong to one word."""
    if at >= len(text):
        return False
    left, right = text[at - 1], text[at]
    if right in _APOSTROPHES:
        return left.isalnum() and text[at + 1 : at + 2].isalnum()
    if left in _APOSTROPHES:
        return right.isalnum() and text[at - 2 : at - 1].isalnum()
    return left.isalnum() and right.isalnum()
