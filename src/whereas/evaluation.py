"""How good the labels are on labelled documents that the model has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from whereas import metrics, sentences
from whereas.calibration import Calibration, calibrate, choose, gold, probabilities
from whereas.corpus import evidence_for, held_out
from whereas.errors import WhereasError
from whereas.model import Model
from whereas.records import Example, Label, Span
from whereas.taxonomy import Taxonomy

CORE = ("human_rights", "surveillance", "forced_labor")
"""The grounds that most users must act on; each is reported by itself."""
AT_LEAST = 8
"""Labels with fewer documents are left out of a macro mean: their F1 is noise."""
DRAWS = 2000

Array = npt.NDArray[np.float64]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure in [0, 1] (None: undefined) with `n`, what it rests on (documents or positives),
    and where drawn its 95 % bootstrap interval over events."""

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one system on one set of documents, by name, and F1 of each label."""

    system: str
    data: str
    documents: int
    digest: str
    figures: dict[str, Figure]
    labels: dict[str, dict[str, Figure]]


def crossfitted(
    taxonomy: Taxonomy, logits: Array, examples: Sequence[Example]
) -> list[Calibration]:
    """For each document the calibration fitted on the half of the events it is not in.

    Thresholds and calibration of a release are fitted on all development documents; measured on
    the same documents they would flatter. So the documents are halved by event (by hash).

    Raises:
        WhereasError: all documents fall into one half.
    """
    half = np.array([held_out(e.event or e.id, 0.5, "cross-fit") for e in examples])
    if half.all() or not half.any():
        raise WhereasError(
            "too few events to measure on: all of them fall into one half",
            "Hold out more development documents, of at least some ten events",
        )
    y = gold(examples, taxonomy)
    fitted = {
        side: calibrate(taxonomy, logits[half != side], y[half != side]) for side in (False, True)
    }
    return [fitted[bool(side)] for side in half]


def label_figures(
    taxonomy: Taxonomy,
    logits: Array,
    examples: Sequence[Example],
    calibrations: Sequence[Calibration],
    *,
    system: str,
    data: str,
    digest: str,
) -> Result:
    """Figures of calibrated decisions on labelled documents.

    Args:
        logits: [N, C].
        calibrations: one for each document.
    """
    scores = [
        {k: v[0] for k, v in probabilities(taxonomy, logits[n : n + 1], c).items()}
        for n, c in enumerate(calibrations)
    ]
    chosen = [choose(taxonomy, s, c.thresholds) for s, c in zip(scores, calibrations, strict=True)]
    events = [e.event or e.id for e in examples]
    figures: dict[str, Figure] = {}
    labels: dict[str, dict[str, Figure]] = {}
    for axis in taxonomy.axis:
        truth = np.array([[n in e.many(axis.name) for n in axis.names] for e in examples])
        guess = np.array([[n in c[axis.name] for n in axis.names] for c in chosen])
        labels[axis.name] = {
            name: _f1(truth[:, k : k + 1], guess[:, k : k + 1], int(truth[:, k].sum()))
            for k, name in enumerate(axis.names)
        }
        if axis.kind == "one":
            often = truth.sum(0) >= AT_LEAST

            def macro(
                rows: Any, truth: Array = truth, guess: Array = guess, often: Any = often
            ) -> float | None:
                counts = metrics.counts(truth[rows][:, often], guess[rows][:, often])
                values = [metrics.f1(*map(int, label)) for label in zip(*counts, strict=True)]
                known = [v for v in values if v is not None]
                return float(np.mean(known)) if known else None

            figures[f"{axis.name} macro-F1"] = _interval(macro, events, int(often.sum()))
            figures[f"{axis.name} accuracy"] = Figure(
                value=float((truth & guess).any(1).mean()), n=len(examples)
            )
        else:
            figures[f"{axis.name} micro-F1"] = _f1(truth, guess, int(truth.sum()))
    for name in CORE:
        if name in labels.get("rationales", {}):
            figures[f"{name} F1"] = labels["rationales"][name]
    figures.update(_kept_apart(taxonomy, examples, chosen))
    primary = taxonomy.primary
    relevant = np.array([e.one(primary.name) != taxonomy.irrelevant.label for e in examples])
    relevance = np.array(
        [1 - s[primary.name][primary.names.index(taxonomy.irrelevant.label)] for s in scores]
    )
    figures["relevance AP"] = Figure(
        value=metrics.average_precision(relevant, relevance), n=int(relevant.sum())
    )
    figures["relevance ECE"] = Figure(
        value=metrics.expected_calibration_error(relevance, relevant), n=len(examples)
    )
    top = np.array([s[primary.name].max() for s in scores])
    right = np.array(
        [c[primary.name][0] == e.one(primary.name) for c, e in zip(chosen, examples, strict=True)]
    )
    sure = np.array([t >= c.review_below for t, c in zip(top, calibrations, strict=True)])
    figures["left without review"] = Figure(value=float(sure.mean()), n=len(examples))
    figures["right where not for review"] = Figure(
        value=float(right[sure].mean()) if sure.any() else None, n=int(sure.sum())
    )
    return Result(
        system=system,
        data=data,
        documents=len(examples),
        digest=digest,
        figures=figures,
        labels=labels,
    )


def _kept_apart(
    taxonomy: Taxonomy, examples: Sequence[Example], chosen: Sequence[dict[str, list[str]]]
) -> dict[str, Figure]:
    """Share of the labels that a document only recalls that are not given as those of its news."""
    figures = {}
    for axis in taxonomy.axis:
        if axis.layer != "background" or axis.labels_of is None:
            continue
        pairs = [
            (name, name not in given[axis.labels_of])
            for example, given in zip(examples, chosen, strict=True)
            for name in example.many(axis.name)
            if name not in example.many(axis.labels_of)
        ]
        for name in ("", *(c for c in CORE if c in axis.names)):
            apart = [kept for label, kept in pairs if name in ("", label)]
            figures[f"recalled {name or axis.labels_of} kept apart"] = Figure(
                value=float(np.mean(apart)) if apart else None, n=len(apart)
            )
    return figures


def evidence_figures(model: Model, examples: Sequence[Example]) -> dict[str, Figure]:
    """How often the words shown for a rightly given label are the annotator's.

    A hit: a shown span overlaps a gold span or lies in its sentence (`evidence hit`). `overlap`:
    the shown words themselves overlap the quote. By the released calibration, which has seen these
    documents: it decides which labels are given, not which words are shown.
    """
    taxonomy = model.taxonomy
    hits: dict[str, list[tuple[bool, bool]]] = {}
    for example in examples:
        expected = evidence_for(example, taxonomy)
        if not expected:
            continue
        document = example.document()
        verdict = model.read([document])[0].verdict
        cuts = sentences.split(example.text)
        for (axis, label), spans in expected.items():
            found = verdict.labels.get(axis)
            given = found if isinstance(found, list) else [found] if found else []
            shown = next(
                (x.evidence for x in given if isinstance(x, Label) and x.label == label), []
            )
            if not shown or axis == "status":
                continue
            overlap = any(a.meets(b) for a in shown for b in spans)
            same = overlap or any(_same_sentence(a, b, cuts) for a in shown for b in spans)
            kind = label if axis == "rationales" and label in CORE else axis
            hits.setdefault(kind, []).append((same, overlap))
    figures = {}
    for kind, pairs in sorted(hits.items()):
        for k, name in enumerate(("evidence hit", "evidence overlap")):
            figures[f"{kind} {name}"] = Figure(
                value=float(np.mean([p[k] for p in pairs])), n=len(pairs)
            )
    return figures


def logits_of(model: Model, examples: Sequence[Example]) -> Array:
    """Logits [N, C] of a released model."""
    readings = [model.encoder.cut(e.document()) for e in examples]
    return np.stack([model.logits(s)[0] for s in model.encoder.encode(readings)])


def _f1(truth: Any, guess: Any, n: int) -> Figure:
    """Micro-averaged over the columns."""
    tp, fp, fn = (int(each.sum()) for each in metrics.counts(truth, guess))
    return Figure(value=metrics.f1(tp, fp, fn), n=n)


def _interval(statistic: Callable[[Any], float | None], events: Sequence[str], n: int) -> Figure:
    interval = metrics.bootstrap(statistic, events, draws=DRAWS, seed=13)
    return Figure(value=interval.value, n=n, low=interval.low, high=interval.high)


def _same_sentence(a: Span, b: Span, cuts: Sequence[Span]) -> bool:
    if a.field != b.field:
        return False
    return a.field == "title" or any(a.meets(c) and b.meets(c) for c in cuts)
