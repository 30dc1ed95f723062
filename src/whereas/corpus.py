"""Labelled examples: read, validate, split by event, digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from whereas.errors import WhereasError
from whereas.records import Example, Span, text_digest
from whereas.taxonomy import Taxonomy, nearest


def read(path: Path) -> list[Example]:
    """The examples of a labelled JSONL file (one object a line, blank lines ignored).

    Raises `WhereasError` naming file and line when a line is not a labelled document.
    """
    return [example for _, example in numbered(path)]


def numbered(path: Path) -> Iterator[tuple[int, Example]]:
    """The examples of a file with their line numbers, from 1; raises as `read`."""
    decoder = msgspec.json.Decoder(Example)
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    yield number, decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise WhereasError(
                        f"{path}:{number} is not a labelled document: {error}",
                        "Fields: " + ", ".join(Example.__struct_fields__),
                    ) from error
    except OSError as error:
        raise WhereasError(f"cannot read {path}: {error.strerror}", "Check the path") from error


def problems(examples: Iterable[Example], taxonomy: Taxonomy) -> Iterator[str]:
    """What is wrong with labelled examples, one line each: labels, label rules, span bounds, ids.

    A span must lie in its field, facts must equal the text they point at, a digest must be the
    text's, a label must be known, sets must not repeat, the irrelevant label leaves the sets of the
    news layer empty, and evidence must be for a label the example has. Every axis but the primary
    may be left out, and is then unknown: so an axis can be added to a taxonomy without labelling
    all older documents anew. Which axes a corpus or a file must have is for `whereas.lint` to hold.
    """
    seen: set[str] = set()
    for example in examples:
        where = example.id
        if where in seen:
            yield f"{where}: id appears twice"
        seen.add(where)
        if example.digest is not None and example.digest != text_digest(example.text):
            yield f"{where}: digest is not that of the text"
        yield from (f"{where}: {problem}" for problem in _label_problems(example, taxonomy))
        yield from (f"{where}: {problem}" for problem in _span_problems(example))


def _label_problems(example: Example, taxonomy: Taxonomy) -> Iterator[str]:
    for name in example.labels:
        if name not in taxonomy.axis_names:
            axes = taxonomy.axis_names
            yield f"no axis {name!r}. {nearest(name, axes)}Axes: {', '.join(axes)}"
    known: set[str] = {taxonomy.primary.name}
    for axis in taxonomy.axis:
        if axis.name not in example.labels and axis.name != taxonomy.primary.name:
            continue
        value = example.labels.get(axis.name)
        if axis.kind == "one" and not isinstance(value, str):
            yield f"{axis.name} must be one label"
            continue
        if axis.kind == "many" and isinstance(value, str):
            yield f"{axis.name} must be a list of labels"
            continue
        labels = example.many(axis.name)
        if len(set(labels)) < len(labels):
            yield f"{axis.name} repeats a label"
        if axis.max is not None and len(labels) > axis.max:
            yield f"{axis.name} has more than {axis.max} labels"
        for label in labels:
            try:
                taxonomy.check_label(axis.name, label)
            except WhereasError as error:
                yield f"{error.what}. {error.fix}"
            known.add(axis.evidence_key(label, taxonomy.primary.name))
    if example.labels.get(taxonomy.primary.name) == taxonomy.irrelevant.label:
        for axis in taxonomy.axis:
            if axis.kind == "many" and axis.layer == "news" and example.many(axis.name):
                yield f"{taxonomy.irrelevant.label} excludes {axis.name}"
    for key in example.evidence:
        if key not in known:
            hint = nearest(key, known)
            problem = f"evidence for {key!r}, which is not among its labels. {hint}"
            yield f"{problem}Its keys: {', '.join(sorted(known))}"


def _span_problems(example: Example) -> Iterator[str]:
    document = example.document()
    for key, spans in example.evidence.items():
        for span in spans:
            if not 0 <= span.start < span.end <= len(document.field(span.field)):
                yield f"evidence {key}: {span.start}-{span.end} lies outside the {span.field}"
    for fact in example.facts:
        if not 0 <= fact.start < fact.end <= len(document.field(fact.field)):
            yield f"fact {fact.slot}: {fact.start}-{fact.end} lies outside the {fact.field}"
        elif document.quote(Span(fact.start, fact.end, fact.field)) != fact.text:
            yield f"fact {fact.slot}: {fact.start}-{fact.end} is not {fact.text!r}"


def evidence_for(example: Example, taxonomy: Taxonomy) -> dict[tuple[str, str], list[Span]]:
    """Quotes by (axis, label), for every label of the example that has one.

    Some axes of one label (`status`) have the quotes of the primary label (`Axis.evidence_key`).
    """
    found: dict[tuple[str, str], list[Span]] = {}
    for axis in taxonomy.axis:
        for label in example.many(axis.name):
            spans = example.evidence.get(axis.evidence_key(label, taxonomy.primary.name))
            if spans:
                found[axis.name, label] = spans
    return found


def event_of(example: Example) -> str:
    """The event of an example; one without is an event of its own, under its id."""
    return example.event or example.id


def held_out(event: str, share: float, salt: str = "") -> bool:
    """Whether an event falls into the held-out share of a split. Fixed for ever by its hash."""
    value = int.from_bytes(hashlib.sha256(f"{salt}:{event}".encode()).digest()[:8], "big")
    return value < share * 2**64


def split(
    examples: Sequence[Example], share: float, salt: str = ""
) -> tuple[list[Example], list[Example]]:
    """Examples kept and examples held out, all of one event (`event_of`) on one side.

    Args:
        share: expected share of events held out, 0-1.
    """
    kept: list[Example] = []
    out: list[Example] = []
    for example in examples:
        (out if held_out(event_of(example), share, salt) else kept).append(example)
    return kept, out


def digest(examples: Iterable[Example]) -> str:
    """`sha256:` of all that examples say, whatever their order: the same data, the same digest."""
    lines = sorted(json.dumps(msgspec.to_builtins(e), sort_keys=True) for e in examples)
    return text_digest("\n".join(lines))
