"""Whether decisions survive what feeds do to documents: spinning, scanning, cutting, web noise.

Invariance tests in the manner of CheckList (Ribeiro et al. 2020, arXiv 2005.04118): a document and
its altered copy tell the same, so they must get the same labels.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Sequence
from importlib import resources

import msgspec
import numpy as np

from whereas.calibration import choose, probabilities
from whereas.evaluation import CORE, DRAWS, Figure, draws_of
from whereas.model import Model
from whereas.records import Document, Example

SEED = 13
NOISE_BEFORE = (
    "Skip to content | Sign in | Subscribe",
    "We and our partners use cookies to remember what you like. Accept all | Manage",
    "Listen to this article, 4 minutes",
    "Photograph: a cargo ship at the quay in 2017",
)
NOISE_AFTER = (
    "Read next: Mayor of Odense opens second harbour bath",
    "Also popular: Treasury freezes two arms brokers' accounts; Ottawa bars tuna from three ships",
    "Sign up for our morning letter. You can leave at any time.",
    "Share this story | 41 comments | Report an error",
)
CONFUSIONS = {"l": "1", "I": "l", "O": "0", "o": "0", "e": "c", "h": "b", "S": "5", "m": "rn"}
OCR_RATE = 0.03

Alter = Callable[[Document, random.Random], Document]


def _text(change: Callable[[str, random.Random], str], *, title: bool = True) -> Alter:
    def alter(document: Document, rng: random.Random) -> Document:
        return msgspec.structs.replace(
            document,
            title=change(document.title, rng) if title else document.title,
            text=change(document.text, rng),
        )

    return alter


def spin(text: str, rng: random.Random) -> str:
    """The text with words of the field replaced as content spinners do (`data/spun.toml`)."""
    words = _spun_words()
    pattern = "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True))
    return re.sub(rf"\b(?:{pattern})\b", lambda m: rng.choice(words[m[0]]), text)


def _spun_words() -> dict[str, list[str]]:
    data = (resources.files("whereas") / "data" / "spun.toml").read_text("utf-8")
    words: dict[str, list[str]] = tomllib.loads(data)["words"]
    return words


def scan(text: str, rng: random.Random) -> str:
    """The text as recognised from a bad scan: confused letters, words broken over lines."""
    read = "".join(
        CONFUSIONS[c] if c in CONFUSIONS and rng.random() < OCR_RATE else c for c in text
    )
    return re.sub(
        r"(\w{4})(\w{3,})", lambda m: f"{m[1]}- {m[2]}" if rng.random() < OCR_RATE else m[0], read
    )


def first_words(text: str, rng: random.Random, words: int = 150) -> str:
    ends = [m.end() for m in re.finditer(r"\S+", text)]
    return text if len(ends) <= words else text[: ends[words - 1]]


def surround(text: str, rng: random.Random) -> str:
    """The text as scraped: lines of the page before and after, other stories' headlines too."""
    before = rng.sample(NOISE_BEFORE, 3)
    after = rng.sample(NOISE_AFTER, 3)
    return "\n\n".join([*before, text, *after])


ALTERATIONS: dict[str, Alter] = {
    "spun wording": _text(spin),
    "bad scan": _text(scan),
    "upper case": _text(lambda text, _: text.upper()),
    "lower case": _text(lambda text, _: text.lower()),
    "first 150 words": _text(first_words, title=False),
    "web noise": _text(surround, title=False),
    "no title": lambda document, _: msgspec.structs.replace(document, title=""),
}


def invariance(model: Model, examples: Sequence[Example]) -> dict[str, Figure]:
    """Share of documents that keep their decisions when altered, by alteration: the primary label,
    and the core grounds. Documents that an alteration leaves as they were do not count.

    Returns:
        `<alteration>: <axis> kept` and `<alteration>: core grounds kept`, with 95 % intervals.
    """
    primary = model.taxonomy.primary.name
    figures = {}
    before = {e.id: _decide(model, e.document()) for e in examples}
    for name, alter in ALTERATIONS.items():
        same, core, events = [], [], []
        for example in examples:
            document = example.document()
            altered = alter(document, random.Random(f"{SEED}/{name}/{example.id}"))
            if (altered.title, altered.text) == (document.title, document.text):
                continue
            if not altered.text.strip():
                continue
            now, was = _decide(model, altered), before[example.id]
            same.append(now[primary] == was[primary])
            core.append(
                {g for g in now.get("rationales", []) if g in CORE}
                == {g for g in was.get("rationales", []) if g in CORE}
            )
            events.append(example.event or example.id)
        for what, kept in ((primary, same), ("core grounds", core)):
            figures[f"{name}: {what} kept"] = _share(kept, events)
    return figures


def _decide(model: Model, document: Document) -> dict[str, list[str]]:
    states = model.encoder.encode([model.encoder.cut(document)])[0]
    calibration = model.card.calibration
    scores = probabilities(model.taxonomy, model.logits(states)[0][None], calibration)
    return choose(
        model.taxonomy, {axis: p[0] for axis, p in scores.items()}, calibration.thresholds
    )


def _share(kept: Sequence[bool], events: Sequence[str]) -> Figure:
    if not kept:
        return Figure(value=None, n=0)
    values = np.array(kept, float)
    weights = draws_of(events, DRAWS)
    shares = weights @ values / weights.sum(1)
    low, high = np.quantile(shares[1:], [0.025, 0.975]).tolist()
    return Figure(value=float(shares[0]), n=len(kept), low=low, high=high)
