"""New labels looked through before an hour is spent on them.

What lint cannot see: labels that contradict those of the same text in the corpus, labels that
neither the released model nor the other new documents bear out, and a mixture of labels that is not
the corpus's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from whereas.calibration import columns, identity, probabilities
from whereas.corpus import held_out
from whereas.model import Model
from whereas.recipe import Recipe
from whereas.records import Example, Table
from whereas.taxonomy import Taxonomy
from whereas.training import heads, states
from whereas.training.data import Corpus, words
from whereas.training.fit import Progress

FOLDS = 3
UNLIKELY, LIKELY = 0.1, 0.6
"""A label is suspect when it was given at a probability under the one, while another label, or its
absence, has the other or more."""
SHIFT = 3.0
"""Standard errors between two shares from which a label's share has shifted."""


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """A label of a new document that its text does not bear out: `given` at probability `p`, where
    `expected` has `expected_p`; for a set, `given` or `expected` is empty."""

    id: str
    axis: str
    given: str
    expected: str
    p: float
    expected_p: float


class Contradiction(msgspec.Struct, frozen=True, kw_only=True):
    """A new document with the text of an older one and other labels on `axes`."""

    id: str
    other: str
    axes: list[str]


def contradictions(
    new: Sequence[Example], old: Sequence[Example], taxonomy: Taxonomy
) -> list[Contradiction]:
    """Same words, other labels."""
    known = {words(e): e for e in old if words(e)}
    found = []
    for example in new:
        other = known.get(words(example))
        if other is not None:
            axes = [
                name
                for name in taxonomy.axis_names
                if name in example.labels and name in other.labels
                if set(example.many(name)) != set(other.many(name))
            ]
            if axes:
                found.append(Contradiction(id=example.id, other=other.id, axes=axes))
    return found


def suspects(
    recipe: Recipe, data: Corpus, added: Sequence[str], parent: Model, say: Progress
) -> list[Suspect]:
    """Suspected label errors among added examples, most suspect first.

    Each added example is judged by heads fitted on the corpus and on those added examples that are
    of other events (cross-validation in three folds by event), so that new kinds of documents count
    as evidence for one another, but no label for itself (Northcutt et al. 2021, arXiv 1911.00068,
    rank label errors by such out-of-sample probabilities).

    Args:
        added: names of the data that is new.
    """
    taxonomy = data.taxonomy
    weights = {d.name: d.weight for d in recipe.data}
    known = {n: g for n, g in data.train.items() if n not in added}
    base = states.read(parent, taxonomy, known, weights, recipe.fit.unsure_weight, say)
    groups = {n: [*data.train.get(n, []), *data.dev.get(n, [])] for n in added}
    fresh = states.read(parent, taxonomy, groups, {}, 1.0, say)
    examples = [e for group in groups.values() for e in group]
    reads = [r for group in fresh.values() for r in group]
    fold = [_fold(e.event or e.id) for e in examples]
    scores = np.zeros((len(examples), len(columns(taxonomy))))
    for k in range(FOLDS):
        rows = [n for n, f in enumerate(fold) if f == k]
        others = [r for r, f in zip(reads, fold, strict=True) if f != k]
        taught = [*heads.sampled(base, recipe), *others]
        if not rows or not taught:
            continue
        network, _ = heads.new_network(parent, taxonomy, recipe.fit.dropout)
        heads.fit(network, taught, taxonomy, recipe)
        scores[rows] = heads.logits(network, [reads[n] for n in rows])
    calibrated = probabilities(taxonomy, scores, identity(taxonomy))
    found = []
    for axis in taxonomy.axis:
        for row, example in enumerate(examples):
            if axis.name not in example.labels:
                continue
            p = dict(zip(axis.names, map(float, calibrated[axis.name][row]), strict=True))
            given = example.many(axis.name)
            if axis.kind == "one":
                best = max(p, key=lambda name: p[name])
                pairs = [(given[0], best, p[given[0]], p[best])]
            else:
                pairs = [(n, "", p[n], 1 - p[n]) for n in given]
                pairs += [("", n, 1 - p[n], p[n]) for n in axis.names if n not in given]
            found += [
                Suspect(id=example.id, axis=axis.name, given=a, expected=b, p=pa, expected_p=pb)
                for a, b, pa, pb in pairs
                if pa < UNLIKELY and pb >= LIKELY
            ]
    return sorted(found, key=lambda s: s.p)


def _fold(event: str) -> int:
    return sum(not held_out(event, (k + 1) / FOLDS, "review") for k in range(FOLDS - 1))


def shift_table(new: Sequence[Example], old: Sequence[Example], taxonomy: Taxonomy) -> Table:
    """Labels whose share among new documents is not that of the corpus: more than three standard
    errors of the difference of two proportions apart, among documents that have the axis. Presumed
    documents say nothing about how frequent a label is: they count for nothing in `old`."""
    rows = []
    for axis in taxonomy.axis:
        ours = [e for e in new if axis.name in e.labels]
        theirs = [e for e in old if axis.name in e.labels and e.confidence != "presumed"]
        for name in axis.names if ours and theirs else ():
            n, o = (sum(name in e.many(axis.name) for e in group) for group in (ours, theirs))
            pooled = (n + o) / (len(ours) + len(theirs))
            error = math.sqrt(pooled * (1 - pooled) * (1 / len(ours) + 1 / len(theirs)))
            a, b = n / len(ours), o / len(theirs)
            if error and abs(a - b) > SHIFT * error:
                rows.append([axis.name, name, f"{n}", f"{a:.1%}", f"{b:.1%}"])
    columns_ = ["axis", "label", "new", "share", "in the corpus"]
    return Table(title="Labels that are more or less frequent", columns=columns_, rows=rows)
