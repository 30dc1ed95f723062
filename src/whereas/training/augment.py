"""Training documents as they come from the web, scanners and spinners, another way each epoch."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from functools import cache

from whereas import alterations
from whereas.alterations import Alteration, altered
from whereas.records import Example

BEFORE = (
    "Home > World > Business",
    "Log in or create an account",
    "This site stores data on your device. OK, I understand",
    "Reading time: 3 min",
    "Image: file photo",
    "Text size A A A",
    "Published earlier today, updated an hour ago",
    "Our correspondents report from forty countries",
    "Advertisement",
    "Menu  Search  Latest  Opinion  Video",
)
AFTER = (
    "Comments are closed.",
    "Follow us for more.",
    "All rights reserved. No part of this page may be copied.",
    "You have read one of five free articles this month.",
    "Contact the editor | Imprint | Privacy",
    "Get the week's reading by mail every Friday",
    "Advertisement",
    "Print this page",
)
LINKS = ("Related: {}", "More on this site: {}", "{}", "Earlier: {}", "Most read: {}")
"""How a page points to other stories, which are titles of other training documents. The lines of
the robustness suite are others (`whereas.robustness`)."""


@cache
def taught_words() -> dict[str, list[str]]:
    """The half of the spinners' words that training sees; the robustness suite spins all."""
    every = alterations.spun_words()
    return {word: found for word, found in every.items() if zlib.crc32(word.encode()) % 2}


def augmented(example: Example, rng: random.Random, titles: Sequence[str]) -> Example:
    """The example altered in one way, chosen at random; its labels still hold.

    Of 100 examples, 35 come in a page around them, 25 spun, 15 scanned, 10 in one case and 15 cut
    short.

    Args:
        titles: of training documents, for the links on a page; none gives a page without links.
    """
    draw = rng.random()
    if draw < 0.35:
        links = [rng.choice(LINKS).format(rng.choice(titles)) for _ in range(3) if titles]
        around = alterations.surrounded(BEFORE, [*AFTER, *links], rng.randint(1, 4))
        return _each(example, around, rng, title=False)
    if draw < 0.60:
        return _each(example, alterations.spun(taught_words()), rng)
    if draw < 0.75:
        return _each(example, alterations.scanned(rng.uniform(0.01, 0.05)), rng)
    if draw < 0.85:
        return _each(example, alterations.cased(rng.choice((str.lower, str.upper))), rng)
    return _each(example, alterations.cut(_enough(example, rng)), rng, title=False)


def _each(
    example: Example, alteration: Alteration, rng: random.Random, *, title: bool = True
) -> Example:
    """Text and, with `title`, title altered, in this order."""
    example = altered(example, "text", alteration(example.text, rng))
    return altered(example, "title", alteration(example.title, rng)) if title else example


def _enough(example: Example, rng: random.Random) -> int:
    """How many words to keep: 60 to 200, or more where evidence lies further on."""
    last = max(
        (s.end for spans in example.evidence.values() for s in spans if s.field == "text"),
        default=0,
    )
    return max(rng.randint(60, 200), len(example.text[:last].split()) + 1)
