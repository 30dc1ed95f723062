"""Text → sentences with offsets.

nupunkt splits (it keeps "15 C.F.R. § 744.11" and "Acme Co. Ltd." in one piece); what it cannot
know is layout, so lines that stand alone (headings, list items, table rows, one-line paragraphs)
end a sentence too.
"""

from __future__ import annotations

import itertools
import re

from whereas.records import Span

MAX_CHARS = 700
"""A longer "sentence" is a table or a list without full stops; it is cut at line ends, semicolons
or, failing these, spaces. About 180 word pieces, so that it fits a window with the title."""

_BLANK = re.compile(r"\n\s*\n")
_BEFORE_ITEM = re.compile(r"\n(?=[ \t]*(?:[-*•–]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,4})[.)])[ \t])")
MIN_WIDTH = 50
"""Text is hard-wrapped at this many columns or more; narrower lines of one length are a list."""
_WORDLIKE = re.compile(r"\w")
_CUTS = (re.compile(r"\n"), re.compile(r";\s"), re.compile(r",\s"), re.compile(r"\s"))


def split(text: str) -> list[Span]:
    """Sentences of a text in order, whitespace at their ends left out.

    Spans do not overlap, and together hold every word character of the text.
    """
    spans: list[Span] = []
    for start, end in _blocks(text):
        for a, b in _nupunkt(text[start:end]):
            for piece in _pieces(text, start + a, start + b):
                trimmed = _trim(text, *piece)
                if trimmed is not None:
                    spans.append(trimmed)
    return spans


def _nupunkt(block: str) -> list[tuple[int, int]]:
    import nupunkt

    if len(block) < 3:
        return [(0, len(block))]
    ends = [b for _, b in nupunkt.sent_spans(block)] or [len(block)]
    ends[-1] = len(block)
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _blocks(text: str) -> list[tuple[int, int]]:
    """Ranges that no sentence crosses."""
    cuts = {m.end() for pattern in (_BLANK, _BEFORE_ITEM) for m in pattern.finditer(text)}
    cuts |= _line_ends(text)
    edges = sorted(cuts | {0, len(text)})
    return list(itertools.pairwise(edges))


def _line_ends(text: str) -> set[int]:
    """Ends of lines that were not wrapped: clearly shorter than the text's usual line.

    In text hard-wrapped at some width nearly all lines are about that wide and none is wider, so a
    short one ends a paragraph. Where lines have no common width (one paragraph a line), every line
    end counts.
    """
    lengths = sorted(len(line) for line in text.split("\n") if line.strip())
    if len(lengths) < 2:
        return set()
    width = lengths[int(0.9 * (len(lengths) - 1))]
    even = lengths[len(lengths) // 2] >= 0.8 * width and lengths[-1] <= 1.15 * width
    wrapped = MIN_WIDTH <= width <= 100 and even
    ends: set[int] = set()
    position = 0
    for line in text.split("\n"):
        position += len(line) + 1
        if position <= len(text) and (not wrapped or len(line) < 0.7 * width):
            ends.add(position)
    return ends


def _pieces(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Cuts a range that is too long at the most meaningful place near its limit."""
    pieces = []
    while end - start > MAX_CHARS:
        limit = start + MAX_CHARS
        cut = limit
        for pattern in _CUTS:
            places = [m.end() for m in pattern.finditer(text, start + MAX_CHARS // 3, limit)]
            if places:
                cut = places[-1]
                break
        pieces.append((start, cut))
        start = cut
    pieces.append((start, end))
    return pieces


def _trim(text: str, start: int, end: int) -> Span | None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end) if _WORDLIKE.search(text, start, end) else None
