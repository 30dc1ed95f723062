"""Labelled data looked through before it teaches or measures anything.

`inspect` checks files of labelled examples against the taxonomy and against the `Rules` of a
corpus (`lint.toml` beside the files): label rules, spans, duplicates, splits, quotas, diversity,
agreement of annotators. What it finds wrong are breaches, one line each with the place; what it
counts are tables.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from whereas import corpus
from whereas.composition import (
    Diversity,
    Pair,
    Quota,
    agreement_table,
    check_pair,
    diversity_table,
    jaccard,
    label_table,
    quota_table,
    shingles,
)
from whereas.errors import WhereasError
from whereas.facts import SLOTS
from whereas.files import read_toml
from whereas.records import Example, Table
from whereas.taxonomy import Taxonomy, nearest

RULES_FILE = "lint.toml"
PERMUTATIONS = 128
RECALL = 0.99
"""Least share of the pairs exactly at the near-duplicate threshold that hashing must propose; more
alike pairs are missed less. datasketch's own bands propose about half of them."""
_WORD = re.compile(r"\w+")
_SEPARATORS = re.compile(r"[\s_-]+")


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a corpus promises. Paths and globs are relative to the folder of the rules.

    `axes`: those that every document has, besides what a file must agree on (`axis_breaches`).
    `examples`: what is trained and tuned on. `gold`: what is only measured on: `gold_share`
    of all events, chosen by hash, and frozen: `gold_digest` is `corpus.digest` of it. `contrast`:
    trained and tuned on too, but copies of other documents with a few words changed that change the
    labels (Gardner et al. 2020, arXiv 2004.02709): they count for no quota and no diversity.
    `near_duplicate`: similarity by 5-word shingles (0-1) from which two documents of different
    events are one too many. `agreement`: files of `Pair`s.
    """

    axes: list[str] = []
    examples: list[str] = msgspec.field(default_factory=lambda: ["*.jsonl"])
    contrast: list[str] = []
    gold: list[str] = []
    gold_share: float = 0.0
    gold_digest: str | None = None
    agreement: list[str] = []
    near_duplicate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    quota: list[Quota] = []
    diversity: Diversity | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted and what is wrong."""

    documents: int
    tables: list[Table]
    breaches: list[str]


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """An example, the file and line it stands in, whether it is gold and whether a contrast."""

    example: Example
    where: str
    gold: bool = False
    contrast: bool = False

    @property
    def file(self) -> str:
        """The name of its file, marked if that is gold."""
        return self.where.rpartition(":")[0] + (" (gold)" if self.gold else "")


def load_rules(path: Path) -> Rules:
    """Raises `WhereasError` when the file cannot be read, is not TOML or has unknown keys."""
    sections: dict[str, type[msgspec.Struct]] = {"quota": Quota, "diversity": Diversity}
    return read_toml(path, Rules, "rule file", sections)


def inspect(paths: Sequence[Path], taxonomy: Taxonomy) -> Report:
    """Lints files, or the folder of a corpus with its rules.

    Args:
        paths: JSONL files of examples, or folders; the rules of the only folder given apply, other
            files are checked by themselves.

    Raises:
        WhereasError: a file cannot be read, a line is not a labelled document, or rules or
            agreement name axes or labels that the taxonomy lacks.
    """
    rules, folder = Rules(), None
    if len(paths) == 1 and paths[0].is_dir():
        folder = paths[0]
        if (folder / RULES_FILE).exists():
            rules = load_rules(folder / RULES_FILE)
    found: list[Located] = []
    for path in paths:
        if path.is_dir():
            for names, gold, contrast in (
                (rules.examples, False, False),
                (rules.contrast, False, True),
                (rules.gold, True, False),
            ):
                for file in _files(path, names):
                    found += _located(file, gold=gold, contrast=contrast)
        else:
            found += _located(path)
    if not found:
        raise WhereasError("no labelled documents", "Give labelled JSONL files or their folder")
    examples = [item.example for item in found if not item.contrast]
    breaches = [
        *label_breaches(found, taxonomy),
        *axis_breaches(found, taxonomy, rules.axes),
        *contrast_breaches(found, taxonomy),
        *duplicate_breaches(found, rules.near_duplicate),
        *split_breaches(found, rules),
    ]
    tables = [file_table(found)]
    if not rules.quota:
        tables.append(label_table(examples, taxonomy))
    else:
        table, broken = quota_table(examples, rules.quota, taxonomy)
        tables.append(table)
        breaches += broken
    if rules.diversity:
        table, broken = diversity_table(examples, rules.diversity)
        tables.append(table)
        breaches += broken
    for file in _files(folder, rules.agreement) if folder else []:
        tables.append(agreement_table(_pairs(file, taxonomy), taxonomy, file.stem))
    return Report(documents=len(found), tables=tables, breaches=breaches)


def _files(folder: Path, names: Iterable[str]) -> list[Path]:
    files = [p for name in names for p in sorted(folder.glob(name))] if names else []
    for name in names:
        if "*" not in name and not (folder / name).exists():
            raise WhereasError(f"{folder / name} is missing", f"{RULES_FILE} names it")
    return files


def _located(path: Path, *, gold: bool = False, contrast: bool = False) -> list[Located]:
    return [
        Located(example=example, where=f"{path.name}:{number}", gold=gold, contrast=contrast)
        for number, example in corpus.numbered(path)
    ]


def _pairs(path: Path, taxonomy: Taxonomy) -> list[Pair]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise WhereasError(f"cannot read {path}: {error.strerror}", "Check the path") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            pair = msgspec.json.decode(line, type=Pair)
            check_pair(pair, taxonomy)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            fix = "One {id, first, second} a line"
            raise WhereasError(f"{path}:{number}: {error}", fix) from error
        except WhereasError as error:
            raise WhereasError(f"{path}:{number}: {error.what}", error.fix) from error
        pairs.append(pair)
    return pairs


# ------------------------------------------------------------------ labels


def label_breaches(found: Sequence[Located], taxonomy: Taxonomy) -> Iterator[str]:
    """Label rules, span bounds, labels without words that say so, unknown slots, spellings.

    Every label of the news layer and of the background layer needs a quote, except those of axes
    read off the primary label's words, further actions, and labels that `presumed` examples have.
    Names of events, sources and annotators that differ only in case or in separators (space,
    hyphen, underscore) are one name spelled twice; ids may differ in no more than that.
    """
    first: dict[str, str] = {}
    for item in found:
        example = item.example
        if example.id in first:
            yield f"{item.where} {example.id}: id appears twice (first {first[example.id]})"
        first.setdefault(example.id, item.where)
        for problem in corpus.problems([example], taxonomy):
            yield f"{item.where} {problem}"
        for key in _unquoted(example, taxonomy):
            yield f"{item.where} {example.id}: no evidence for {key!r}"
        for slot in sorted({fact.slot for fact in example.facts} - set(SLOTS)):
            hint = nearest(slot, SLOTS)
            yield (
                f"{item.where} {example.id}: no fact slot {slot!r}. {hint}Slots: {', '.join(SLOTS)}"
            )
    examples = [item.example for item in found]
    for kind, names in (
        ("event", Counter(e.event for e in examples if e.event)),
        ("source", Counter(e.source for e in examples if e.source)),
        ("annotator", Counter(e.annotator for e in examples if e.annotator)),
    ):
        spellings: dict[str, list[str]] = defaultdict(list)
        for name in names:
            spellings[_SEPARATORS.sub(" ", name.casefold()).strip()].append(name)
        for same in spellings.values():
            if len(same) > 1:
                counted = " and ".join(f"{n!r} ({names[n]} times)" for n in sorted(same))
                yield f"{kind} spelled {len(same)} ways: {counted}"


def _unquoted(example: Example, taxonomy: Taxonomy) -> Iterator[str]:
    if example.confidence == "presumed":
        return
    primary = taxonomy.primary.name
    if example.labels.get(primary) != taxonomy.irrelevant.label and not example.evidence.get(
        primary
    ):
        yield primary
    for axis in taxonomy.axis:
        if axis.kind == "many" and axis.labels_of != primary:
            for label in example.many(axis.name):
                key = axis.evidence_key(label, primary)
                if not example.evidence.get(key):
                    yield key


def axis_breaches(
    found: Sequence[Located], taxonomy: Taxonomy, demanded: Sequence[str]
) -> Iterator[str]:
    """Axes that documents should have and have not, a line a file and axis.

    A taxonomy may gain an axis that older documents were never asked; training takes it as unknown
    there. Forgotten on some documents it would look the same, so one file has an axis on all of its
    documents or on none, and a corpus says which axes it has everywhere.

    Raises:
        WhereasError: `demanded` names what is no axis.
    """
    files: dict[str, list[Located]] = defaultdict(list)
    for item in found:
        files[item.file].append(item)
    for name in demanded:
        taxonomy[name]
    for file, items in files.items():
        for name in taxonomy.axis_names:
            missing = [item for item in items if name not in item.example.labels]
            if missing and (name in demanded or len(missing) < len(items)):
                first = missing[0]
                yield (
                    f"{first.where} {first.example.id}: no {name} "
                    f"({len(missing)} of {len(items)} in {file})"
                )


def contrast_breaches(found: Sequence[Located], taxonomy: Taxonomy) -> Iterator[str]:
    """Contrasts whose original (`meta.contrasts`) is missing, of another event, or labelled alike.

    Of another event, the two could stand on different sides of a split; labelled alike, the copy
    teaches that the changed words do not matter, when they were changed because they do.
    """
    originals = {item.example.id: item.example for item in found if not item.contrast}
    for item in found:
        if not item.contrast:
            continue
        example, name = item.example, item.example.meta.get("contrasts")
        original = originals.get(str(name))
        if original is None:
            yield f"{item.where} {example.id}: contrasts {name!r}, which is no document here"
        elif corpus.event_of(original) != corpus.event_of(example):
            yield f"{item.where} {example.id}: of another event than {original.id}"
        elif all(
            set(original.many(axis)) == set(example.many(axis)) for axis in taxonomy.axis_names
        ):
            yield f"{item.where} {example.id}: has the labels of {original.id}"


# ------------------------------------------------------------------ duplicates


def duplicate_breaches(found: Sequence[Located], threshold: float) -> Iterator[str]:
    """Equal texts (of stubs without text: equal titles), and near-duplicates of different events.

    Candidates come from MinHash signatures of 5-word shingles by locality-sensitive hashing (Broder
    1997; Leskovec, Rajaraman & Ullman, ch. 3); their Jaccard similarity is then computed exactly.
    A document without event is an event of its own.
    """
    from datasketch import MinHash, MinHashLSH

    texts: dict[tuple[str, str], Located] = {}
    kept: list[Located] = []
    for item in found:
        said = _words(item.example.text)
        key = (said, "" if said else _words(item.example.title))
        if key in texts:
            other = texts[key]
            same = item.example.labels == other.example.labels
            yield (
                f"{item.where} {item.example.id}: the text of {other.example.id} ({other.where})"
                + ("" if same else ", with other labels")
            )
        else:
            texts[key] = item
            kept.append(item)
    sets = [shingles(item.example.text) for item in kept]
    rows = band_rows(threshold)
    index = MinHashLSH(num_perm=PERMUTATIONS, params=(PERMUTATIONS // rows, rows))
    hashed = MinHash.bulk(
        ([s.encode("utf-8", "surrogatepass") for s in grams] for grams in sets),
        num_perm=PERMUTATIONS,
    )
    for k, signature in enumerate(hashed):
        if not sets[k]:
            continue
        for other_k in sorted(index.query(signature)):
            one, two = kept[k], kept[other_k]
            if corpus.event_of(one.example) == corpus.event_of(two.example):
                continue
            alike = jaccard(sets[k], sets[other_k])
            if alike >= threshold:
                yield (
                    f"{one.where} {one.example.id}: {alike:.0%} like {two.example.id} "
                    f"({two.where}), of another event"
                )
        index.insert(k, signature)


def band_rows(threshold: float) -> int:
    """Most rows in a band with which a pair at the threshold is a candidate with p >= `RECALL`;
    1 where none suffices (thresholds below .04).

    Signatures in b bands of r rows propose a pair of similarity s with p = 1 - (1 - s^r)^b.
    """
    rows = 1
    while (
        rows < PERMUTATIONS
        and 1 - (1 - threshold ** (rows + 1)) ** (PERMUTATIONS // (rows + 1)) >= RECALL
    ):
        rows += 1
    return rows


def _words(text: str) -> str:
    """The words of a text, case and punctuation aside."""
    return " ".join(_WORD.findall(text.casefold()))


# ------------------------------------------------------------------ splits


def split_breaches(found: Sequence[Located], rules: Rules) -> Iterator[str]:
    """Events on both sides, events on the side that their hash does not give, changed gold.

    Beside gold every example must name its event: a retelling without one may fall on either side.
    """
    if not rules.gold:
        return
    sides: dict[str, set[bool]] = defaultdict(set)
    for item in found:
        event = item.example.event
        if event is None:
            yield f"{item.where} {item.example.id}: no event"
            continue
        sides[event].add(item.gold)
        if corpus.held_out(event, rules.gold_share) != item.gold:
            side = "training" if item.gold else "gold"
            yield f"{item.where} {item.example.id}: event {event} belongs to {side} by its hash"
    for event, both in sides.items():
        if len(both) > 1:
            yield f"event {event} stands in training and in gold"
    digest = corpus.digest(item.example for item in found if item.gold)
    if rules.gold_digest and digest != rules.gold_digest:
        yield f"gold was changed: {digest} instead of {rules.gold_digest}"


def file_table(found: Sequence[Located]) -> Table:
    """Documents, events and words of each file."""
    files: dict[str, list[Example]] = defaultdict(list)
    for item in found:
        files[item.file].append(item.example)
    rows = []
    for name, examples in files.items():
        words = sorted(len(e.text.split()) for e in examples)
        rows.append(
            [
                name,
                f"{len(examples):,}",
                f"{len({corpus.event_of(e) for e in examples}):,}",
                f"{sum(words):,}",
                f"{words[len(words) // 2]}",
                f"{sum(e.confidence == 'unsure' for e in examples):,}",
                f"{sum(e.brief is not None for e in examples):,}",
            ]
        )
    columns = ["file", "documents", "events", "words", "median", "unsure", "briefs"]
    return Table(title="Files", columns=columns, rows=rows)
