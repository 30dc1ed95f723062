"""Whether decisions follow what a document says, and nothing else.

Tests in the manner of CheckList (Ribeiro et al. 2020, arXiv 2005.04118). Invariance: a document
and its altered copy (spun, scanned, cut, in web noise) tell the same, so they must get the same
labels. Direction: a few changed words change the measure, so the label must change with them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import msgspec

from whereas import alterations, corpus, sentences
from whereas.alterations import Alteration, Edit, apply
from whereas.calibration import choose, probabilities
from whereas.errors import WhereasError
from whereas.evaluation import CORE, DRAWS, SEED, Figure
from whereas.metrics import draws_of, interval, mean
from whereas.model import Model
from whereas.records import Document, Example
from whereas.taxonomy import BACKGROUND_PREFIX, Taxonomy

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
FIRST_WORDS = 150

Alter = Callable[[Example, random.Random], Document]
"""From an example to its document, altered; what is random in it is drawn from the generator."""


def _edited(alteration: Alteration, *, title: bool = True) -> Alter:
    """The text, and with `title` the title too, altered."""

    def alter(example: Example, rng: random.Random) -> Document:
        document = example.document()
        head = alteration(document.title, rng) if title else []
        return msgspec.structs.replace(
            document,
            title=apply(document.title, head),
            text=apply(document.text, alteration(document.text, rng)),
        )

    return alter


def shuffled(example: Example, rng: random.Random) -> Document:
    """The sentences behind the last quote of the news in another order."""
    document = example.document()
    news = [
        span.end
        for key, spans in example.evidence.items()
        for span in spans
        if span.field == "text" and not key.startswith(BACKGROUND_PREFIX)
    ]
    rest = [s for s in sentences.split(document.text) if s.start >= max(news, default=0)]
    if not news or len(rest) < 2:
        return document
    order = rng.sample(rest, len(rest))
    moved = [
        Edit(old.start, old.end, document.text[new.start : new.end])
        for old, new in zip(rest, order, strict=True)
    ]
    return msgspec.structs.replace(document, text=apply(document.text, moved))


ALTERATIONS: dict[str, Alter] = {
    "spun wording": _edited(alterations.spun(alterations.spun_words())),
    "bad scan": _edited(alterations.scanned()),
    "upper case": _edited(alterations.cased(str.upper)),
    "lower case": _edited(alterations.cased(str.lower)),
    "first 150 words": _edited(alterations.cut(FIRST_WORDS), title=False),
    "web noise": _edited(alterations.surrounded(NOISE_BEFORE, NOISE_AFTER), title=False),
    "background shuffled": shuffled,
    "no title": lambda example, _: msgspec.structs.replace(example.document(), title=""),
}


def invariance(model: Model, examples: Sequence[Example]) -> dict[str, Figure]:
    """Share of documents that keep their decisions when altered, by alteration: the primary label,
    and the core grounds (of documents that have one, before or after). Documents that an
    alteration leaves as they were, or without text, do not count.

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
            altered = alter(example, random.Random(f"{SEED}/{name}/{example.id}"))
            if altered == document or not altered.text.strip():
                continue
            now, was = _decide(model, altered), before[example.id]
            same.append(now[primary] == was[primary])
            events.append(corpus.event_of(example))
            a, b = ({g for g in d.get("rationales", []) if g in CORE} for d in (now, was))
            if a or b:
                core.append(a == b)
                core_events.append(events[-1])
        for what, kept, of in ((primary, same, events), ("core grounds", core, core_events)):
            figures[f"{name}: {what} kept"] = _share(kept, of)
    return figures


class Wording(msgspec.Struct, frozen=True):
    """Title and text of one document of a pair."""

    title: str
    text: str


class Change(msgspec.Struct, frozen=True, kw_only=True, rename={"was": "from"}):
    """Two documents that differ in a few words. On `axis` the first has the label `was` (`from` in
    JSON); the second has `to` instead, or, where that is empty, no longer has `was`. `kind` names
    the sort of change.
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
    """Pairs of a directional test, one JSON object a line, blank lines ignored.

    Raises:
        WhereasError: a file cannot be read; or, named by file and line, one that is not a pair, has
            a label that is not of its axis, or asks for no change.
    """
    found = []
    for path in paths:
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise WhereasError(f"cannot read {path}: {error.strerror}", "Check the path") from error
        for number, line in enumerate(lines, 1):
            if line.strip():
                found.append(_change(line, f"{path}:{number}", taxonomy))
    return found


def _change(line: bytes, where: str, taxonomy: Taxonomy) -> Change:
    try:
        change = msgspec.json.decode(line, type=Change)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WhereasError(
            f"{where} is not a pair: {error}",
            "Fields: " + ", ".join(Change.__struct_encode_fields__),
        ) from error
    if change.was == change.to:
        raise WhereasError(f"{where}: from and to are both {change.was!r}", "Give two labels")
    try:
        taxonomy.check_label(change.axis, change.was)
        if change.to:
            taxonomy.check_label(change.axis, change.to)
    except WhereasError as error:
        raise WhereasError(f"{where}: {error.what}", error.fix) from error
    return change


def directional(model: Model, changes: Sequence[Change]) -> dict[str, Figure]:
    """Share of changes that the decision follows, of those whose first document is decided rightly.
    A set follows when it loses `was` and, unless that is empty, gains `to`.

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
        follows = change.was not in after and (not change.to or change.to in after)
        followed.setdefault(change.kind, []).append(follows)
    figures = {
        f"{kind}: followed": _share(found, range(len(found))) for kind, found in followed.items()
    }
    every = [follows for found in followed.values() for follows in found]
    figures["all kinds: followed"] = _share(every, range(len(every)))
    figures["all kinds: right before"] = _share(right, range(len(right)))
    return figures


def _document(id: str, wording: Wording) -> Document:
    return Document(id=id, title=wording.title, text=wording.text, origin="-")


def _decide(model: Model, document: Document) -> dict[str, list[str]]:
    """Labels by axis."""
    states = model.encoder.encode([model.encoder.cut(document)])[0]
    calibration = model.card.calibration
    scores = probabilities(model.taxonomy, model.logits(document, states).total[None], calibration)
    return choose(
        model.taxonomy, {axis: p[0] for axis, p in scores.items()}, calibration.thresholds
    )


def _share(kept: Sequence[bool], events: Sequence[Hashable]) -> Figure:
    """The share of `kept` that is true, 0-1, with an interval clustered by `events`."""
    weights = draws_of(events, DRAWS, seed=SEED)
    found = interval(mean(kept)(weights))
    return Figure(value=found.value, n=len(kept), low=found.low, high=found.high)
