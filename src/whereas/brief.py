"""A short brief in which every statement points at its source.

The first statement is put together from the labels and from facts, each cited where it stands; the
others are sentences of the document, word for word. Nothing else is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from whereas.model import THIN_WORDS, Explanation
from whereas.records import Brief, BriefSentence, Document, Fact, Label, Span
from whereas.taxonomy import Taxonomy, readable

MIN_WORDS = 40
MAX_WORDS = 90
MAX_TARGETS = 3
LEAD_WORDS = 45
"""The lead may take half of the longest brief; targets beyond that are "others"."""

_SPACE = re.compile(r"\s+")
_DANGLING = re.compile(
    r"(?:he|she|it|they|his|her|their|its|this|that|these|those|such|both|also|but|and|however|"
    r"meanwhile|moreover|in addition|the (?:move|step|measure|decision|action|latter|former)s?)\b",
    re.IGNORECASE,
)
"""Openers whose antecedent stands in a sentence before."""


def compose(document: Document, explanation: Explanation, taxonomy: Taxonomy) -> Brief | str:
    """A brief of 40-90 words, or the reason why there is none.

    None for documents with the irrelevant label, for texts under 40 words, and where what was
    composed does not pass `faults`.
    """
    verdict = explanation.verdict
    action = verdict.labels[taxonomy.primary.name]
    assert isinstance(action, Label)
    if action.label == taxonomy.irrelevant.label:
        return f"no brief: {taxonomy.primary.name} is {action.label}"
    words = len(document.text.split())
    if words < THIN_WORDS:
        return f"no brief: {words} words are too few"
    lead = _lead(document, explanation, taxonomy)
    chosen = _body(document, explanation, taxonomy, MAX_WORDS - _count(lead.text))
    sentences = [lead, *(BriefSentence(_clean(document.quote(s)), [s]) for s in chosen)]
    brief = Brief(" ".join(s.text for s in sentences), sentences)
    if (length := _count(brief.text)) < MIN_WORDS:
        return f"no brief: {length} words of it are worth repeating, fewer than {MIN_WORDS}"
    if problems := list(faults(brief, document, taxonomy)):
        return f"no brief: {problems[0]}"
    return brief


def faults(brief: Brief, document: Document, taxonomy: Taxonomy) -> Iterator[str]:
    """What keeps a brief from being shown, one line each.

    Every statement cites spans inside the document; a quoted sentence equals its span; every number
    and every capitalised word of the lead stands in a span it cites, but for names of labels.
    """
    own = {
        word.casefold()
        for axis in taxonomy.axis
        for name in axis.names
        for word in name.replace("_", " ").split()
    }
    for number, sentence in enumerate(brief.sentences):
        if not sentence.citations:
            yield f"statement {number + 1} cites nothing"
        for span in sentence.citations:
            if not 0 <= span.start < span.end <= len(document.field(span.field)):
                yield f"statement {number + 1} cites {span.start}-{span.end}, outside the document"
        cited = " ".join(document.quote(s) for s in sentence.citations)
        if number and sentence.text != _clean(cited):
            yield f"statement {number + 1} is not the sentence it cites"
        if not number:
            known = {w.casefold() for w in re.findall(r"\w+", cited)} | own
            for word in re.findall(r"\w+", sentence.text):
                special = word[0].isupper() or word[0].isdigit()
                if special and word.casefold() not in known:
                    yield f"{word!r} in the lead is not in what it cites"
    if not brief.sentences[1:]:
        yield "no sentence of the document carries it"


def _lead(document: Document, explanation: Explanation, taxonomy: Taxonomy) -> BriefSentence:
    """Action and status, then who, whom, under what, why: a missing fact drops its clause.

    Targets stand in a sentence with words of the action, other facts there or in the next one on
    either side: farther off they are often those of an earlier measure.
    """
    verdict = explanation.verdict
    action = verdict.labels[taxonomy.primary.name]
    assert isinstance(action, Label)
    citations = list(action.evidence)
    status = verdict.labels.get("status")
    head = readable([action.label]).capitalize()
    if isinstance(status, Label):
        head += f" ({readable([status.label])})"
    beside = _beside(document, explanation, action)
    clauses: list[str] = []
    for slot, form in (("authority", "by {}"), ("instrument", "under {}")):
        fact = next((f for f, _ in beside if f.slot == slot), None)
        if fact is not None:
            clauses.append(form.format(_clean(fact.text)))
            citations.append(fact.span)
    targets = [f for f, distance in beside if f.slot == "target" and not distance]
    count = next((f for f, _ in beside if f.slot == "count"), None)
    named: list[Fact] = []
    for fact in targets:
        again = any(fact.text in f.text or f.text in fact.text for f in named)
        if again or len(named) == MAX_TARGETS:
            continue
        if sum(_count(f.text) for f in [*named, fact]) <= LEAD_WORDS // 2:
            named.append(fact)
    named.sort(key=lambda f: (f.field == "text", f.start))
    if named:
        more = any(not any(t.text in f.text for f in named) for t in targets)
        names = ", ".join(_clean(f.text) for f in named)
        clauses.append(f"concerning {names}" + (" and others" if more else ""))
        citations += [f.span for f in named]
    elif count is not None:
        clauses.append(f"concerning {_clean(count.text)} parties")
        citations.append(count.span)
    for axis in taxonomy.axis:
        found = verdict.labels.get(axis.name)
        if (
            axis.name in ("rationales", "background_rationales")
            and isinstance(found, list)
            and found
        ):
            word = "recalling" if axis.layer == "background" else "over"
            clauses.append(f"{word} {readable(label.label for label in found)}")
            citations += [s for label in found for s in label.evidence]
    text = head + (" " + ", ".join(clauses) if clauses else "") + "."
    return BriefSentence(text, _distinct(citations))


def _body(
    document: Document, explanation: Explanation, taxonomy: Taxonomy, room: int
) -> list[Span]:
    """Sentences in document order: those of the action, of each ground, then what the action's
    attention ranks next, until the brief has its least length; at most `room` words."""
    sentences = [s for s in explanation.sentences if s.field == "text"]
    wanted: list[Span] = []
    verdict = explanation.verdict
    for axis in taxonomy.axis:
        found = verdict.labels.get(axis.name)
        labels = found if isinstance(found, list) else [found] if found else []
        if axis.layer == "news" and axis.name != "status":
            wanted += [span for label in labels for span in label.evidence]
    chosen: list[Span] = []
    used = 0
    evidence = [s for span in wanted for s in sentences if span.field == "text" and s.meets(span)]
    ranked = sorted(sentences, key=lambda s: -_weight(explanation, taxonomy, s))
    for sentence, must in [*((s, True) for s in evidence), *((s, False) for s in ranked)]:
        words = _count(document.quote(sentence))
        enough = used >= MIN_WORDS and chosen
        if sentence in chosen or used + words > room or words < 4 or (enough and not must):
            continue
        if _clean(document.quote(sentence)) in {_clean(document.quote(s)) for s in chosen}:
            continue
        if _DANGLING.match(document.quote(sentence)) and _before(sentences, sentence) not in chosen:
            continue
        if must and len(chosen) >= 3:
            continue
        chosen.append(sentence)
        used += words
    if not chosen and evidence:
        # One endless sentence: its deciding words stand for it.
        chosen = [s for s in _distinct(wanted) if s.field == "text"][:1]
    return sorted(chosen, key=lambda s: s.start)


def _weight(explanation: Explanation, taxonomy: Taxonomy, sentence: Span) -> float:
    action = explanation.verdict.labels[taxonomy.primary.name]
    assert isinstance(action, Label)
    row = explanation.sentences.index(sentence)
    return explanation.support[taxonomy.primary.name, action.label][row]


def _beside(document: Document, explanation: Explanation, action: Label) -> list[tuple[Fact, int]]:
    """Facts with a mention in a sentence of the action's words (distance 0) or in the next one on
    either side (1): nearest first, then the most certain, each moved to that mention.

    What does not look like the name of an authority or a target is left out.
    """
    sentences = explanation.sentences
    own = [k for k, s in enumerate(sentences) if any(s.meets(e) for e in action.evidence)]
    found = []
    for fact in explanation.verdict.facts:
        if fact.slot in ("authority", "target") and fact.text == fact.text.casefold():
            continue
        mentions = []
        for row, sentence in enumerate(sentences):
            distance = min((abs(row - k) for k in own), default=2)
            if distance > 1:
                continue
            quote = document.quote(sentence)
            for match in re.finditer(rf"(?<!\w){re.escape(fact.text)}(?!\w)", quote):
                at = sentence.start + match.start()
                mentions.append((distance, at != fact.start, at, sentence.field))
        if mentions:
            distance, _, at, field = min(mentions)
            moved = msgspec.structs.replace(fact, start=at, end=at + len(fact.text), field=field)
            found.append((moved, distance))
    return sorted(found, key=lambda pair: (pair[1], -pair[0].score))


def _before(sentences: Sequence[Span], sentence: Span) -> Span | None:
    index = sentences.index(sentence)
    return sentences[index - 1] if index else None


def _distinct(spans: Sequence[Span]) -> list[Span]:
    return list(dict.fromkeys(spans))


def _clean(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _count(text: str) -> int:
    return len(text.split())
