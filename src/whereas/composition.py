"""What labelled documents are made up of: labels against quotas, variety of words, agreement."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whereas.errors import WhereasError
from whereas.metrics import cohen_kappa
from whereas.records import Example, Table
from whereas.taxonomy import Axis, Taxonomy

SHINGLE = 5
"""Words in a shingle: short enough to survive a changed word in ten, long enough to be rare."""
SAMPLE = 2500
"""Documents on which the mean similarity of pairs is measured, at most."""
_WORD = re.compile(r"\w+")


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


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A document labelled twice: by a `first` annotator and by a `second` who did not see that."""

    id: str
    first: dict[str, str | list[str]]
    second: dict[str, str | list[str]]
    note: str = ""


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


def shingles(text: str, size: int = SHINGLE) -> set[str]:
    """Runs of `size` words, case and punctuation aside."""
    words = _WORD.findall(text.casefold())
    return {" ".join(words[k : k + size]) for k in range(len(words) - size + 1)}


def jaccard(a: set[str], b: set[str]) -> float:
    """Shared share of two sets, in [0, 1]; 0 when both are empty."""
    both = len(a & b)
    either = len(a) + len(b) - both
    return both / either if either else 0.0


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
        check_pair(pair, taxonomy)
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


def check_pair(pair: Pair, taxonomy: Taxonomy) -> None:
    """Raises `WhereasError` for labels that do not fit the taxonomy."""
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
