"""Whether decisions follow what a document says, and nothing else.

Tests in the manner of CheckList (Ribeiro et al. 2020, arXiv 2005.04118). Invariance: a document
and its altered copy (spun, scanned, cut, in web noise) tell the same, so they must get the same
labels. Direction: a few changed words change the measure, so the label must change with them.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import msgspec

from whereas.calibration import choose, probabilities
from whereas.errors import WhereasError
from whereas.evaluation import CORE, DRAWS, SEED, Figure
from whereas.metrics import draws_of, interval, mean
from whereas.model import Model
from whereas.records import Document, Example
from whereas.taxonomy import Taxonomy

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
    and the core grounds (of documents that have one, before or after). Documents that an
    alteration leaves as they were do not count.

    Returns:
        `<alteration>: <axis> kept` and `<alteration>: core grounds kept`, with 95 % intervals.
    """
    primary = model.taxonomy.primary.name
    figures = {}
    before = {e.id: _decide(model, e.document()) for e in examples}
    for name, alter in ALTERATIONS.items():
        same: list[bool] = []
        core: list[bool] = []
        events: list[str] = []
        core_events: list[str] = []
        for example in examples:
            document = example.document()
            altered = alter(document, random.Random(f"{SEED}/{name}/{example.id}"))
            if (altered.title, altered.text) == (document.title, document.text):
                continue
            if not altered.text.strip():
                continue
            now, was = _decide(model, altered), before[example.id]
            same.append(now[primary] == was[primary])
            events.append(example.event or example.id)
            a, b = ({g for g in d.get("rationales", []) if g in CORE} for d in (now, was))
            if a or b:
                core.append(a == b)
                core_events.append(events[-1])
        for what, kept, of in ((primary, same, events), ("core grounds", core, core_events)):
            figures[f"{name}: {what} kept"] = _share(kept, of)
    return figures


class Wording(msgspec.Struct, frozen=True):
    title: str
    text: str


class Change(msgspec.Struct, frozen=True, kw_only=True, rename={"was": "from"}):
    """Two documents that differ in a few words. On `axis` the first has the label `was`; the second
    has `to` instead, or, where that is empty, no longer has `was`. `kind` names the sort of change.
    """

    id: str
    kind: str
    before: Wording
    after: Wording
    axis: str
    was: str
    to: str
    note: str = ""


def read_changes(paths: Sequence[Path], taxonomy: Taxonomy) -> list[Change]:
    """Pairs of a directional test. Raises `WhereasError` naming the line that does not fit."""
    found = []
    for path in paths:
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise WhereasError(f"cannot read {path}: {error.strerror}", "Check the path") from error
        for number, line in enumerate(lines, 1):
            try:
                change = msgspec.json.decode(line, type=Change)
            except msgspec.MsgspecError as error:
                raise WhereasError(
                    f"{path}:{number}: {error}", "Fields: " + ", ".join(Change.__struct_fields__)
                ) from error
            for label in filter(None, (change.was, change.to)):
                taxonomy.check_label(change.axis, label)
            found.append(change)
    return found


def directional(model: Model, changes: Sequence[Change]) -> dict[str, Figure]:
    """Share of changes that the decision follows, of those whose first document is decided rightly.

    Returns:
        `<kind>: followed` for each kind, `all kinds: followed`, and `all kinds: right before`, the
        share that could be tested; with 95 % intervals.
    """
    right: list[bool] = []
    followed: dict[str, list[bool]] = {}
    for change in changes:
        before = _decide(model, _document(change.id, change.before))[change.axis]
        right.append(change.was in before)
        if not right[-1]:
            continue
        after = _decide(model, _document(change.id, change.after))[change.axis]
        ok = (change.to in after) if change.to else (change.was not in after)
        followed.setdefault(change.kind, []).append(ok and change.was not in after)
    figures = {
        f"{kind}: followed": _share(kept, [str(n) for n in range(len(kept))])
        for kind, kept in followed.items()
    }
    every = [ok for kept in followed.values() for ok in kept]
    figures["all kinds: followed"] = _share(every, [str(n) for n in range(len(every))])
    figures["all kinds: right before"] = _share(right, [str(n) for n in range(len(right))])
    return figures


def _document(id: str, wording: Wording) -> Document:
    return Document(id=id, title=wording.title, text=wording.text, origin="-")


def _decide(model: Model, document: Document) -> dict[str, list[str]]:
    states = model.encoder.encode([model.encoder.cut(document)])[0]
    calibration = model.card.calibration
    scores = probabilities(model.taxonomy, model.logits(states)[0][None], calibration)
    return choose(
        model.taxonomy, {axis: p[0] for axis, p in scores.items()}, calibration.thresholds
    )


def _share(kept: Sequence[bool], events: Sequence[str]) -> Figure:
    weights = draws_of(events, DRAWS, seed=SEED)
    found = interval(mean(kept)(weights))
    return Figure(value=found.value, n=len(kept), low=found.low, high=found.high)
