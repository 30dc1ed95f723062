"""Labelled data looked through before it teaches or measures anything.

`inspect` checks files of labelled examples against the taxonomy and against the `Rules` of a
corpus (`lint.toml` beside the files): label rules, spans, duplicates, splits, quotas, diversity,
agreement of annotators. What it finds wrong are breaches, one line each with the place; what it
counts are tables.
"""

from __future__ import annotations

import difflib
import itertools
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from whereas import corpus
from whereas.errors import WhereasError
from whereas.facts import SLOTS
from whereas.files import read_toml
from whereas.metrics import cohen_kappa
from whereas.records import Example
from whereas.taxonomy import Axis, Taxonomy

RULES_FILE = "lint.toml"
SHINGLE = 5
"""Words in a shingle: short enough to survive a changed word in ten, long enough to be rare."""
PERMUTATIONS = 128
RECALL = 0.99
"""Least share of the pairs exactly at the near-duplicate threshold that hashing must propose; more
alike pairs are missed less. datasketch's own bands propose about half of them."""
SAMPLE = 2500
"""Documents on which the mean similarity of pairs is measured, at most."""
_WORD = re.compile(r"\w+")
_SEPARATORS = re.compile(r"[\s_-]+")


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many documents must, or may, be of a kind.

    A document counts when it meets every condition given: `labels` of `axis` (any of them; without
    `labels` any label of the axis), `meta` (key to value), `words` (fewest and most words of text)
    and `brief`. With `each`, every label of the axis (or of `labels`) must have that many; without,
    the documents that count must be `least` or more, and a share of all within `share`. `labels`
    and `each` need an `axis`.
    """

    name: str
    axis: str | None = None
    labels: list[str] | None = None
    meta: dict[str, str] = {}
    words: tuple[int, int] | None = None
    brief: bool = False
    each: int | None = None
    least: int = 0
    share: tuple[float, float] = (0.0, 1.0)


class Diversity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds that a corpus written by many hands keeps and one made from templates breaks.

    `openings`: least share of distinct first `opening_words`. `repeated`: most word n-grams of
    length `gram` that stand in more than `repeated_share` of the documents; `names`, of instruments
    say, count as one word. `jaccard`: most mean similarity of two documents by 5-word shingles.
    `vocabulary`: fewest distinct words.
    """

    openings: float = 0.95
    opening_words: int = 6
    gram: int = 8
    repeated: int = 40
    repeated_share: float = 0.01
    jaccard: float = 0.02
    vocabulary: int = 0
    names: list[str] = []


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a corpus promises. Paths and globs are relative to the folder of the rules.

    `examples`: what is trained and tuned on. `gold`: what is only measured on: `gold_share`
    of all events, chosen by hash, and frozen: `gold_digest` is `corpus.digest` of it.
    `near_duplicate`: similarity by 5-word shingles (0-1) from which two documents of different
    events are one too many. `agreement`: files of `Pair`s.
    """

    examples: list[str] = msgspec.field(default_factory=lambda: ["*.jsonl"])
    gold: list[str] = []
    gold_share: float = 0.0
    gold_digest: str | None = None
    agreement: list[str] = []
    near_duplicate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    quota: list[Quota] = []
    diversity: Diversity | None = None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A document labelled twice: by a `first` annotator and by a `second` who did not see that."""

    id: str
    first: dict[str, str | list[str]]
    second: dict[str, str | list[str]]
    note: str = ""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of text under `columns`; `bad` holds the rows that break a rule, by their number."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    bad: list[int] = []


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted and what is wrong."""

    documents: int
    tables: list[Table]
    breaches: list[str]


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """An example, the file and line it stands in, and whether it is gold."""

    example: Example
    where: str
    gold: bool = False


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
            for names, gold in ((rules.examples, False), (rules.gold, True)):
                for file in _files(path, names):
                    found += _located(file, gold=gold)
        else:
            found += _located(path, gold=False)
    if not found:
        raise WhereasError("no labelled documents", "Give labelled JSONL files or their folder")
    examples = [item.example for item in found]
    breaches = [
        *label_breaches(found, taxonomy),
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


def _located(path: Path, *, gold: bool) -> list[Located]:
    return [
        Located(example=example, where=f"{path.name}:{number}", gold=gold)
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
            _check_pair(pair, taxonomy)
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
            near = difflib.get_close_matches(slot.casefold(), SLOTS, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
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


def shingles(text: str, size: int = SHINGLE) -> set[str]:
    """Runs of `size` words, case and punctuation aside."""
    words = _WORD.findall(text.casefold())
    return {" ".join(words[k : k + size]) for k in range(len(words) - size + 1)}


def jaccard(a: set[str], b: set[str]) -> float:
    """Shared share of two sets, in [0, 1]; 0 when both are empty."""
    both = len(a & b)
    either = len(a) + len(b) - both
    return both / either if either else 0.0


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
        name = item.where.partition(":")[0] + (" (gold)" if item.gold else "")
        files[name].append(item.example)
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


def label_table(examples: Sequence[Example], taxonomy: Taxonomy) -> Table:
    """Documents of each label that is there."""
    rows = []
    for axis in taxonomy.axis:
        counted = Counter(label for e in examples for label in e.many(axis.name))
        rows += [
            [axis.name, name, f"{counted[name]:,}", f"{counted[name] / len(examples):.1%}"]
            for name in axis.names
            if counted[name]
        ]
    return Table(title="Labels", columns=["axis", "label", "documents", "share"], rows=rows)


# ------------------------------------------------------------------ quotas


def quota_table(
    examples: Sequence[Example], quotas: Sequence[Quota], taxonomy: Taxonomy
) -> tuple[Table, list[str]]:
    """What is there against what was promised, and a line for every quota that is not met.

    Raises `WhereasError` when a quota names an axis or a label that the taxonomy lacks.
    """
    rows: list[list[str]] = []
    bad: list[int] = []
    for quota in quotas:
        axis = _axis_of(quota, taxonomy)
        if axis is not None and quota.each is not None:
            for label in quota.labels or axis.names:
                n = sum(_counts(e, quota, [label]) for e in examples)
                if n < quota.each:
                    bad.append(len(rows))
                rows.append([quota.name, label, f"{n:,}", f"at least {quota.each}"])
            continue
        n = sum(_counts(e, quota, quota.labels) for e in examples)
        share = n / len(examples)
        low, high = quota.share
        if n < quota.least or not low <= share <= high:
            bad.append(len(rows))
        asked = f"at least {quota.least}" if quota.least else ""
        if quota.share != (0.0, 1.0):
            asked = f"{low:.0%} to {high:.0%}" if high < 1 else f"at least {low:.0%}"
        rows.append([quota.name, "", f"{n:,} ({share:.1%})", asked])
    columns = ["quota", "label", "documents", "asked"]
    breaches = [f"quota {' '.join(rows[k][:2]).strip()}: {rows[k][2]}, {rows[k][3]}" for k in bad]
    return Table(title="Quotas", columns=columns, rows=rows, bad=bad), breaches


def _axis_of(quota: Quota, taxonomy: Taxonomy) -> Axis | None:
    """The axis that a quota counts on, if any, once it and its labels are known to be there."""
    try:
        if quota.axis is not None:
            for label in quota.labels or []:
                taxonomy.check_label(quota.axis, label)
            return taxonomy[quota.axis]
        if quota.labels is not None or quota.each is not None:
            given = "labels" if quota.each is None else "each"
            raise WhereasError(f"{given} needs an axis", "Axes: " + ", ".join(taxonomy.axis_names))
    except WhereasError as error:
        raise WhereasError(f"quota {quota.name!r}: {error.what}", error.fix) from error
    return None


def _counts(example: Example, quota: Quota, labels: Sequence[str] | None) -> bool:
    if quota.axis is not None:
        given = example.many(quota.axis)
        if not (set(given) & set(labels) if labels is not None else given):
            return False
    if any(str(example.meta.get(key)) != value for key, value in quota.meta.items()):
        return False
    if quota.words is not None:
        low, high = quota.words
        if not low <= len(example.text.split()) <= high:
            return False
    return not quota.brief or (example.brief is not None and bool(example.key_facts))


# ------------------------------------------------------------------ diversity


def diversity_table(examples: Sequence[Example], rules: Diversity) -> tuple[Table, list[str]]:
    """How much the documents differ in their words, and a line for every bound that is broken."""
    tokens = [_WORD.findall(e.text.casefold()) for e in examples]
    openings = Counter(" ".join(t[: rules.opening_words]) for t in tokens if t)
    distinct = len(openings) / max(1, openings.total())
    repeated = _repeated(tokens, rules)
    similarity = mean_jaccard([shingles(e.text) for e in examples])
    vocabulary = Counter(word for words in tokens for word in words)
    rows = [
        [f"distinct openings ({rules.opening_words} words)", f"{distinct:.1%}",
         f"at least {rules.openings:.0%}"],
        [f"{rules.gram}-grams in more than {rules.repeated_share:.0%} of the documents",
         f"{len(repeated)}", f"at most {rules.repeated}"],
        [f"mean Jaccard similarity of two documents ({SHINGLE}-grams)", f"{similarity:.5f}",
         f"at most {rules.jaccard}"],
        ["vocabulary (distinct words)", f"{len(vocabulary):,}", f"at least {rules.vocabulary:,}"],
        ["words", f"{vocabulary.total():,}", ""],
    ]  # fmt: skip
    breaches = []
    bad = []
    if distinct < rules.openings:
        bad.append(0)
        common = ", ".join(f"{o!r} ({n})" for o, n in openings.most_common(3))
        breaches.append(f"openings: {distinct:.1%} are distinct; most common {common}")
    if len(repeated) > rules.repeated:
        bad.append(1)
        common = ", ".join(f"{g!r} ({n})" for g, n in repeated[:3])
        breaches.append(f"{len(repeated)} {rules.gram}-grams are repeated too often: {common}")
    if similarity > rules.jaccard:
        bad.append(2)
        breaches.append(f"mean similarity of two documents is {similarity:.4f}")
    if len(vocabulary) < rules.vocabulary:
        bad.append(3)
        breaches.append(f"vocabulary: {len(vocabulary):,} distinct words")
    columns = ["diversity", "measured", "asked"]
    return Table(title="Diversity", columns=columns, rows=rows, bad=bad), breaches


def _repeated(tokens: Sequence[Sequence[str]], rules: Diversity) -> list[tuple[str, int]]:
    """Word n-grams in too many documents, most frequent first, names drawn together."""
    names = {name: " ".join(_WORD.findall(name.casefold())) for name in rules.names}
    counted: Counter[str] = Counter()
    for words in tokens:
        text = " ".join(words)
        for name in sorted(names.values(), key=len, reverse=True):
            text = text.replace(name, name.replace(" ", "_"))
        merged = text.split()
        counted.update(
            {" ".join(merged[k : k + rules.gram]) for k in range(len(merged) - rules.gram + 1)}
        )
    most = rules.repeated_share * len(tokens)
    return [(gram, n) for gram, n in counted.most_common() if n > most]


def mean_jaccard(sets: Sequence[set[str]]) -> float:
    """Mean similarity over pairs, in [0, 1]: of all, or of a fixed sample of a large collection."""
    if len(sets) > SAMPLE:
        sets = random.Random(13).sample(list(sets), SAMPLE)
    holders: dict[str, list[int]] = defaultdict(list)
    for k, grams in enumerate(sets):
        for gram in grams:
            holders[gram].append(k)
    shared: Counter[tuple[int, int]] = Counter()
    for held in holders.values():
        if len(held) > 1:
            shared.update(itertools.combinations(held, 2))
    total = sum(n / (len(sets[a]) + len(sets[b]) - n) for (a, b), n in shared.items())
    pairs = len(sets) * (len(sets) - 1) / 2
    return total / pairs if pairs else 0.0


# ------------------------------------------------------------------ agreement


def agreement_table(pairs: Sequence[Pair], taxonomy: Taxonomy, source: str = "") -> Table:
    """Cohen's kappa of two annotators: of each axis (of a set: over all decisions on whether a
    document has a label) and of each label.

    Raises `WhereasError` when a pair lacks an axis of one choice, or names an axis or a label that
    the taxonomy lacks.
    """
    for pair in pairs:
        _check_pair(pair, taxonomy)
    rows: list[list[str]] = []
    for axis in taxonomy.axis:
        if axis.kind == "one":
            first, second = ([str(labels[axis.name]) for labels in side] for side in _sides(pairs))
            rows.append([axis.name, "", *_agreed(first, second, len(pairs))])
            names = [n for n in axis.names if n in first or n in second]
            sides = [[{value} for value in first], [{value} for value in second]]
        else:
            sides = [[set(_many(labels, axis.name)) for labels in side] for side in _sides(pairs)]
            names = [n for n in axis.names if any(n in s for side in sides for s in side)]
            every = [[n in s for s in side for n in axis.names] for side in sides]
            rows.append([axis.name, "", *_agreed(every[0], every[1], sum(every[0]))])
        for name in names:
            one, two = ([name in s for s in side] for side in sides)
            rows.append([axis.name, name, *_agreed(one, two, sum(one))])
    columns = ["axis", "label", "first", "agree", "kappa"]
    title = f"Agreement on {len(pairs)} documents" + (f" ({source})" if source else "")
    return Table(title=title, columns=columns, rows=rows)


def _check_pair(pair: Pair, taxonomy: Taxonomy) -> None:
    for side, labels in (("first", pair.first), ("second", pair.second)):
        for axis in taxonomy.axis:
            if axis.kind == "one" and not isinstance(labels.get(axis.name), str):
                raise WhereasError(
                    f"{pair.id}: {side} must have one label of {axis.name}",
                    "Labels: " + ", ".join(axis.names),
                )
        for name in labels:
            for label in _many(labels, taxonomy[name].name):
                taxonomy.check_label(name, label)


def _sides(
    pairs: Sequence[Pair],
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    return [p.first for p in pairs], [p.second for p in pairs]


def _many(labels: Mapping[str, str | list[str]], axis: str) -> list[str]:
    value = labels.get(axis, [])
    return [value] if isinstance(value, str) else value


def _agreed(first: Sequence[Any], second: Sequence[Any], n: int) -> list[str]:
    kappa = cohen_kappa(first, second)
    same = sum(a == b for a, b in zip(first, second, strict=True))
    share = f"{same / len(first):.1%}" if first else "–"
    return [f"{n}", share, "–" if kappa is None else f"{kappa:.2f}"]
