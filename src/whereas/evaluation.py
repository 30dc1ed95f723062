"""How good the labels are on labelled documents: decisions → rows → figures with intervals.

A row is one document with what is right and what a system gave. Everything reported is computed
from rows, so a released model, a baseline and the predictions of any other tool are measured alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from whereas import metrics, sentences
from whereas.calibration import Calibration, calibrate, choose, gold, label_set, probabilities
from whereas.corpus import evidence_for, held_out
from whereas.errors import WhereasError
from whereas.metrics import Array, Statistic
from whereas.model import Model
from whereas.records import Document, Example, Label, Span, Verdict
from whereas.taxonomy import Taxonomy

CORE = ("human_rights", "surveillance", "forced_labor")
"""The grounds that most users must act on; each is reported by itself."""
AT_LEAST = 8
"""Labels with fewer documents are left out of a macro mean: their F1 is noise."""
DRAWS = 2000
SEED = 13
TARGETS = (0.90, 0.95, 0.98)
"""Shares of right primary labels at which it is measured how many documents could be left unread,
by whoever knew the confidence that gives the share: it is found on the same documents."""
SET_LEVEL = 0.9
"""Of the label sets that are measured."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Of a rightly given label of a kind (an axis, or a core ground): whether the words shown for
    it lie in the sentence of the annotator's quote (`hit`), and whether they overlap it."""

    kind: str
    hit: bool
    overlap: bool


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One document: its labels by axis (of the axes it has), those given, and the calibrated
    probability of each label (empty for a system without scores). `review`: marked for a person.
    `slices` name what kind of document it is. `words`: what the system shows for its labels, by
    `axis=label`. `sets`: the label sets of `SET_LEVEL`, by axis."""

    id: str
    event: str
    gold: dict[str, list[str]]
    given: dict[str, list[str]]
    scores: dict[str, dict[str, float]] = {}
    review: bool = False
    shown: list[Shown] = []
    slices: dict[str, str] = {}
    title: str = ""
    text: str = ""
    words: dict[str, list[Span]] = {}
    sets: dict[str, list[str]] = {}


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure in [0, 1] (None: undefined) with `n`, what it rests on (documents or positives),
    and where drawn its 95 % bootstrap interval over events."""

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of one system minus that of another on the same documents, with its 95 % interval
    and p (two-sided paired bootstrap over events; `adjusted` by Holm over the figures compared).
    `detectable`: the least difference that this sample would show with a power of 80 %."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    adjusted: float | None
    detectable: float | None
    n: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one system on one set of documents, by name, and F1 of each label of the axes that
    it decides."""

    system: str
    data: str
    documents: int
    digest: str
    figures: dict[str, Figure]
    labels: dict[str, dict[str, Figure]]


# ------------------------------------------------------------------ decisions → rows


def halves(examples: Sequence[Example]) -> npt.NDArray[np.bool_]:
    """Which half of the events each document [N] is of. Raises `WhereasError` if all are of one."""
    half = np.array([held_out(e.event or e.id, 0.5, "cross-fit") for e in examples])
    if half.all() or not half.any():
        raise WhereasError(
            "too few events to measure on: all of them fall into one half",
            "Hold out more development documents, of at least some ten events",
        )
    return half


def crossfitted(
    taxonomy: Taxonomy, logits: Array, examples: Sequence[Example]
) -> list[Calibration]:
    """For each document the calibration fitted on the half of the events it is not in.

    Thresholds and calibration of a release are fitted on all development documents; measured on
    the same documents they would flatter. So the documents are halved by event (by hash).

    Raises:
        WhereasError: all documents fall into one half.
    """
    half = halves(examples)
    y = gold(examples, taxonomy)
    fitted = {
        side: calibrate(taxonomy, logits[half != side], y[half != side]) for side in (False, True)
    }
    return [fitted[bool(side)] for side in half]


def rows(
    taxonomy: Taxonomy,
    logits: Array,
    examples: Sequence[Example],
    calibrations: Sequence[Calibration],
    verdicts: Sequence[Verdict | None] | None = None,
    known: Collection[tuple[str, str]] | None = None,
) -> list[Row]:
    """Calibrated decisions on labelled documents.

    Args:
        logits: [N, C].
        calibrations: one for each document.
        verdicts: what the model showed for each document, if it did.
        known: (axis, label) that the system was taught, if not all: calibration would give it the
            base rate of what it never saw, and sometimes the label.
    """
    found = []
    for n, (example, calibration) in enumerate(zip(examples, calibrations, strict=True)):
        scores = {
            axis: values[0]
            for axis, values in probabilities(taxonomy, logits[n : n + 1], calibration).items()
        }
        given = choose(taxonomy, scores, calibration.thresholds)
        if known is not None:
            given = {a: [n for n in names if (a, n) in known] for a, names in given.items()}
            given = {a: names for a, names in given.items() if any(a == axis for axis, _ in known)}
        top = float(scores[taxonomy.primary.name].max())
        verdict = verdicts[n] if verdicts else None
        by_label = {
            axis.name: {
                label: round(float(p), 5)
                for label, p in zip(axis.names, scores[axis.name], strict=True)
            }
            for axis in taxonomy.axis
        }
        found.append(
            Row(
                id=example.id,
                event=example.event or example.id,
                gold=example.answers(taxonomy.axis_names),
                given=given,
                scores=by_label,
                review=top < calibration.review_below,
                shown=list(_shown(taxonomy, example, verdict)) if verdict else [],
                slices=slices(example),
                title=example.title,
                text=example.text,
                words=_words(verdict) if verdict else {},
                sets={
                    axis: label_set(by_label[axis], given[axis][0], levels[f"{SET_LEVEL:g}"])
                    for axis, levels in calibration.sets.items()
                    if given.get(axis)
                },
            )
        )
    return found


def slices(example: Example) -> dict[str, str]:
    """Kinds of document by which figures are cut: source, style, length, year."""
    words = len(example.text.split())
    year = re.match(r"\d{4}", example.date or "")
    length = next(name for most, name in LENGTHS if words <= most)
    return {
        "source": example.source or "unknown",
        "style": str(example.meta.get("style", "plain")),
        "length": length,
        "year": year[0] if year else "unknown",
    }


LENGTHS = (
    (40, "up to 40 words"),
    (150, "41 to 150"),
    (400, "151 to 400"),
    (1500, "401 to 1,500"),
    (10**9, "more than 1,500"),
)


def _shown(taxonomy: Taxonomy, example: Example, verdict: Verdict) -> Iterable[Shown]:
    cuts: list[Span] | None = None
    for (axis, label), quotes in evidence_for(example, taxonomy).items():
        found = verdict.labels.get(axis)
        given = found if isinstance(found, list) else [found] if found else []
        spans = next((x.evidence for x in given if isinstance(x, Label) and x.label == label), [])
        # An axis of one label other than the primary is read off the primary's quotes.
        if not spans or (taxonomy[axis].kind == "one" and axis != taxonomy.primary.name):
            continue
        cuts = sentences.split(example.text) if cuts is None else cuts
        overlap = any(a.meets(b) for a in spans for b in quotes)
        hit = overlap or any(_same_sentence(a, b, cuts) for a in spans for b in quotes)
        kind = label if axis == "rationales" and label in CORE else axis
        yield Shown(kind=kind, hit=hit, overlap=overlap)


def _words(verdict: Verdict) -> dict[str, list[Span]]:
    given = [
        (axis, label)
        for axis, found in verdict.labels.items()
        for label in (found if isinstance(found, list) else [found] if found else [])
    ]
    return {f"{axis}={label.label}": label.evidence for axis, label in given if label.evidence}


def _same_sentence(a: Span, b: Span, cuts: Sequence[Span]) -> bool:
    if a.field != b.field:
        return False
    return a.field == "title" or any(a.meets(c) and b.meets(c) for c in cuts)


def judged(model: Model, examples: Sequence[Example]) -> tuple[Array, list[Verdict]]:
    """Logits [N, C] and verdicts of a released model; each document is encoded once."""
    logits, verdicts = [], []
    for example in examples:
        document: Document = example.document()
        states = model.encoder.encode([model.encoder.cut(document)])[0]
        logits.append(model.logits(document, states).total)
        verdicts.append(model.judge(document, states).verdict)
    return np.stack(logits).astype(np.float64), verdicts


# ------------------------------------------------------------------ rows → figures


def statistics(taxonomy: Taxonomy, found: Sequence[Row]) -> dict[str, tuple[Statistic, int]]:
    """Every figure by name: how to compute it from weights of documents, and what it rests on.
    Axes that a system does not decide, or no document has, have none."""
    figures: dict[str, tuple[Statistic, int]] = {}
    for axis in taxonomy.axis:
        truth, guess, has = _matrices(found, axis.name, axis.names)
        if not has.any() or not _decides(found, axis.name):
            continue
        if axis.kind == "one":
            often = truth.sum(0) >= AT_LEAST
            macro = metrics.f1(truth[:, often], guess[:, often])
            figures[f"{axis.name} macro-F1"] = (macro, int(often.sum()))
            right = (truth == guess).all(1) & has
            figures[f"{axis.name} accuracy"] = (metrics.ratio(right, has), int(has.sum()))
            figures |= _sets(axis.name, found)
        else:
            figures[f"{axis.name} micro-F1"] = (
                metrics.f1(truth, guess, micro=True),
                int(truth.sum()),
            )
        if axis.name == "rationales":
            for k, name in enumerate(axis.names):
                if name in CORE:
                    one = metrics.f1(truth[:, [k]], guess[:, [k]])
                    figures[f"{name} F1"] = (one, int(truth[:, k].sum()))
    figures |= _kept_apart(taxonomy, found)
    if all(row.scores and taxonomy.primary.name in row.given for row in found):
        figures |= _scored(taxonomy, found)
    for kind in dict.fromkeys(s.kind for row in found for s in row.shown):
        for name in ("hit", "overlap"):
            hits = np.array(
                [sum(getattr(s, name) for s in r.shown if s.kind == kind) for r in found]
            )
            all_ = np.array([sum(s.kind == kind for s in r.shown) for r in found])
            figures[f"{kind} evidence {name}"] = (metrics.ratio(hits, all_), int(all_.sum()))
    return figures


def _decides(found: Sequence[Row], axis: str) -> bool:
    """Whether a system decides an axis at all."""
    return any(axis in row.given for row in found)


def _matrices(
    found: Sequence[Row], axis: str, names: Sequence[str]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """[N, C] of what is right and of what was given, and [N]: which documents have the axis. On
    those that have not nothing is right and nothing given, which no F1 counts."""
    has = np.array([axis in row.gold for row in found])
    truth = np.array([[n in row.gold.get(axis, []) for n in names] for row in found])
    guess = np.array([[n in row.given.get(axis, []) for n in names] for row in found])
    return truth, guess & has[:, None], has


def _kept_apart(taxonomy: Taxonomy, found: Sequence[Row]) -> dict[str, tuple[Statistic, int]]:
    """Share of the labels that a document only recalls that are not given as those of its news."""
    figures = {}
    for axis in taxonomy.axis:
        of = axis.labels_of
        if axis.layer != "background" or of is None or not all(of in r.given for r in found):
            continue
        for name in ("", *(c for c in CORE if c in axis.names)):
            recalled = [
                [n for n in r.gold[axis.name] if name in ("", n) and n not in r.gold[of]]
                if axis.name in r.gold and of in r.gold
                else []
                for r in found
            ]
            apart = np.array(
                [
                    sum(n not in r.given[of] for n in ns)
                    for ns, r in zip(recalled, found, strict=True)
                ]
            )
            all_ = np.array([len(ns) for ns in recalled])
            figures[f"recalled {name or of} kept apart"] = (
                metrics.ratio(apart, all_),
                int(all_.sum()),
            )
    return figures


def _sets(axis: str, found: Sequence[Row]) -> dict[str, tuple[Statistic, int]]:
    """How many label sets hold the right label, and how many hold no other."""
    there = np.array([axis in r.sets and axis in r.gold for r in found])
    if not there.any():
        return {}
    held = [on and r.gold[axis][0] in r.sets[axis] for on, r in zip(there, found, strict=True)]
    single = [on and len(r.sets[axis]) == 1 for on, r in zip(there, found, strict=True)]
    name, n = f"{axis} sets of {SET_LEVEL * 100:g} %", int(there.sum())
    return {
        f"{name}: coverage": (metrics.ratio(held, there), n),
        f"{name}: of one label": (metrics.ratio(single, there), n),
    }


def _scored(taxonomy: Taxonomy, found: Sequence[Row]) -> dict[str, tuple[Statistic, int]]:
    primary, irrelevant = taxonomy.primary.name, taxonomy.irrelevant.label
    relevant = np.array([r.gold[primary] != [irrelevant] for r in found])
    relevance = np.array([1 - r.scores[primary][irrelevant] for r in found])
    right = np.array([r.given[primary] == r.gold[primary] for r in found])
    sure = np.array([not r.review for r in found])
    top = np.array([max(r.scores[primary].values()) for r in found])
    coverage = {
        f"{primary} coverage at {share * 100:g} % right": (
            metrics.coverage_at(top, right, share),
            len(found),
        )
        for share in TARGETS
    }
    return {
        **coverage,
        f"{primary} AURC": (metrics.aurc(top, right), len(found)),
        "relevance AP": (metrics.average_precision(relevant, relevance), int(relevant.sum())),
        "relevance ECE": (metrics.expected_calibration_error(relevance, relevant), len(found)),
        "left without review": (metrics.mean(sure), len(found)),
        "right where not for review": (metrics.ratio(right & sure, sure), int(sure.sum())),
    }


def result(
    taxonomy: Taxonomy,
    found: Sequence[Row],
    *,
    system: str,
    data: str,
    digest: str,
    draws: int = DRAWS,
) -> Result:
    """All figures of a system on a set of documents, with intervals."""
    weights = metrics.draws_of([row.event for row in found], draws, seed=SEED)
    figures = {}
    for name, (statistic, n) in statistics(taxonomy, found).items():
        figures[name] = _figure(statistic(weights), n)
    labels = {}
    for axis in taxonomy.axis:
        if not _decides(found, axis.name):
            continue
        truth, guess, _ = _matrices(found, axis.name, axis.names)
        labels[axis.name] = {
            name: _figure(metrics.f1(truth[:, [k]], guess[:, [k]])(weights), int(truth[:, k].sum()))
            for k, name in enumerate(axis.names)
        }
    return Result(
        system=system,
        data=data,
        documents=len(found),
        digest=digest,
        figures=figures,
        labels=labels,
    )


def _figure(values: Array, n: int) -> Figure:
    found = metrics.interval(values)
    return Figure(value=found.value, n=n, low=found.low, high=found.high)


def compare(
    taxonomy: Taxonomy,
    one: Sequence[Row],
    other: Sequence[Row],
    names: Sequence[str],
    *,
    draws: int = 10_000,
) -> list[Difference]:
    """Figures of `one` minus those of `other`, paired by document and drawn by event.

    On fewer than ten events nothing but the difference is given.

    Raises:
        WhereasError: the two do not cover the same documents with the same labels.
    """
    place = {row.id: row for row in other}
    if sorted(place) != sorted(row.id for row in one) or any(
        place[row.id].gold != row.gold for row in one
    ):
        raise WhereasError(
            "the two results are not on the same documents with the same labels",
            "Evaluate both on one task",
        )
    second = [place[row.id] for row in one]
    weights = metrics.draws_of([row.event for row in one], draws, seed=SEED)
    mine, theirs = statistics(taxonomy, one), statistics(taxonomy, second)
    both = [name for name in names if name in mine and name in theirs]
    gaps = [metrics.interval(mine[n][0](weights) - theirs[n][0](weights)) for n in both]
    adjusted = metrics.holm([gap.p for gap in gaps])
    return [
        Difference(
            name=name,
            value=gap.value,
            low=gap.low,
            high=gap.high,
            p=gap.p,
            adjusted=p,
            detectable=None if gap.error is None else metrics.POWER * gap.error,
            n=mine[name][1],
        )
        for name, gap, p in zip(both, gaps, adjusted, strict=True)
    ]
