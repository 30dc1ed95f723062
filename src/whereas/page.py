"""Results of evaluations as one HTML file: opens by double click, prints, needs no network."""

from __future__ import annotations

import base64
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from whereas import __version__, charts, evaluation, metrics, tasks
from whereas.charts import Interval, Series
from whereas.evaluation import AT_LEAST, DRAWS, Row
from whereas.records import Span
from whereas.report import compared, comparison, shown
from whereas.tasks import Finished
from whereas.taxonomy import Taxonomy, readable

MAX_ERRORS = 12
LEAST_SLICE = 10
MAX_TEXT = 6000
"""Code points of a document that an error shows."""


def render(runs: Sequence[Finished], title: str = "") -> str:
    """The page for results of one or more systems; those on the same task are also compared.

    Text of documents and names of systems come from data and are escaped.
    """
    from jinja2 import Environment, select_autoescape

    data = resources.files("whereas") / "data"
    script = (data / "report.js").read_text("utf-8")
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    template = environment.from_string((data / "report.html").read_text("utf-8"))
    pairs = [
        (a, b)
        for a, b in itertools.combinations(runs, 2)
        if a.record.comparable == b.record.comparable and a.rows
    ]
    return template.render(
        title=title or "Evaluation: " + ", ".join(dict.fromkeys(r.record.system for r in runs)),
        made=time.strftime("%Y-%m-%d"),
        version=__version__,
        draws=f"{DRAWS:,}",
        at_least=AT_LEAST,
        least=LEAST_SLICE,
        runs=[_run(run, k) for k, run in enumerate(runs)],
        comparisons=[
            table
            for a, b in pairs
            for table in comparison(tasks.compare(a, b, compared(list(a.record.result.figures))))
        ],
        script=script,
        script_digest="sha256-" + base64.b64encode(_sha256(script)).decode("ascii"),
    )


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8")).digest()


def _run(run: Finished, number: int) -> dict[str, Any]:
    result, rows, taxonomy = run.record.result, run.rows, run.record.taxonomy
    figures = [
        Interval(name, f.value, f.low, f.high, f"n {f.n}")
        for name in shown(list(result.figures))
        if (f := result.figures.get(name)) is not None
    ]
    if not rows:
        return {
            "anchor": f"run-{number}",
            "system": result.system,
            "task": run.record.task,
            "documents": f"{result.documents:,}",
            "events": "",
            "summary": "",
            "signature": run.record.signature,
            "headline": charts.forest(figures, title=f"Figures of {result.system}", label=260),
        }
    labels = []
    for axis in taxonomy.axis:
        found = [
            Interval(readable([name]), f.value, f.low, f.high, f"{f.n}")
            for name, f in result.labels.get(axis.name, {}).items()
            if f.n
        ]
        if found:
            name = f"{axis.title} ({readable([axis.name])})"
            svg = charts.forest(found, title=f"F1 of {name}", width=430, label=150)
            labels.append({"name": name, "svg": svg})
    primary = taxonomy.primary
    counts = Counter((r.gold[primary.name][0], r.given[primary.name][0]) for r in rows)
    there = [n for n in primary.names if any(n in pair for pair in counts)]
    return {
        "anchor": f"run-{number}",
        "system": result.system,
        "task": run.record.task,
        "documents": f"{result.documents:,}",
        "events": f"{len({r.event for r in rows}):,}",
        "summary": _summary(run, taxonomy),
        "signature": run.record.signature,
        "headline": charts.forest(figures, title=f"Figures of {result.system}"),
        "labels": labels,
        "matrix": charts.matrix(there, counts, rows="right", columns="given"),
        "curves": _curves(rows, taxonomy),
        "slices": _slices(rows, taxonomy),
        "errors": _errors(rows, taxonomy),
    }


def _summary(run: Finished, taxonomy: Taxonomy) -> str:
    """The figures a reader asks for first, as a sentence."""
    accuracy = run.record.result.figures[f"{taxonomy.primary.name} accuracy"]
    text = f"The {taxonomy.primary.name} is right in {accuracy.value or 0:.0%} of them"
    sure = run.record.result.figures.get("right where not for review")
    left = run.record.result.figures.get("left without review")
    if sure and left and sure.value is not None and left.value is not None:
        text += f"; in {sure.value:.0%} of the {left.value:.0%} not marked for review"
    return text + "."


def _curves(rows: Sequence[Row], taxonomy: Taxonomy) -> list[dict[str, str]]:
    if not rows or not all(row.scores for row in rows):
        return []
    primary, irrelevant = taxonomy.primary.name, taxonomy.irrelevant.label
    relevant = np.array([r.gold[primary] != [irrelevant] for r in rows])
    relevance = np.array([1 - r.scores[primary][irrelevant] for r in rows])
    top = np.array([max(r.scores[primary].values()) for r in rows])
    right = np.array([r.gold[primary] == r.given[primary] for r in rows])
    risk = metrics.risk_coverage(top, right)
    order = np.argsort(-relevance, kind="stable")
    found = np.cumsum(relevant[order]) / max(1, relevant.sum())
    effort = np.arange(1, len(rows) + 1) / len(rows)
    reliability = [
        Series("relevance", _reliability(relevance, relevant), dots=True),
        Series(primary, _reliability(top, right), dots=True),
    ]
    return [
        {
            "name": "Reliability: what came true of what was said, ten groups of equal size. "
            "On the dotted line scores mean what they say.",
            "svg": charts.curve(
                reliability,
                title="Reliability of relevance and of the primary label",
                x_label="said",
                y_label="came true",
                diagonal=True,
            ),
        },
        {
            "name": "Errors among the documents that the system is surest of.",
            "svg": charts.curve(
                [Series("error rate", list(zip(risk.coverage, risk.risk, strict=True)))],
                title="Risk and coverage of the primary label",
                x_label="share of documents, surest first",
                y_label="share of errors",
            ),
        },
        {
            "name": "How many of the relevant documents one has seen after reading so many, "
            "best ranked first.",
            "svg": charts.curve(
                [Series("found", [(0.0, 0.0), *zip(effort, found, strict=True)])],
                title="Recall of relevant documents by effort",
                x_label="share of documents read",
                y_label="share of relevant ones found",
                diagonal=True,
            ),
        },
    ]


def _reliability(confidence: Any, right: Any, groups: int = 10) -> list[tuple[float, float]]:
    order = np.argsort(confidence, kind="stable")
    parts = [p for p in np.array_split(order, groups) if len(p)]
    return [(float(confidence[p].mean()), float(right[p].mean())) for p in parts]


def _slices(rows: Sequence[Row], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Accuracy of the primary label and micro-F1 of grounds, by kind of document."""
    kinds = list(dict.fromkeys(k for r in rows for k in r.slices))
    primary = taxonomy.primary.name
    sets = [a.name for a in taxonomy.axis if a.kind == "many" and a.layer == "news"]
    grounds = "rationales" if "rationales" in sets else (sets[-1] if sets else "")
    lines = []
    for kind in kinds:
        groups: dict[str, list[Row]] = {}
        for row in rows:
            groups.setdefault(row.slices.get(kind, "unknown"), []).append(row)
        found = []
        for value, group in groups.items():
            if len(group) < LEAST_SLICE:
                continue
            ones = np.ones((1, len(group)))
            by = evaluation.statistics(taxonomy, group)
            accuracy = float(by[f"{primary} accuracy"][0](ones)[0])
            name = f"{grounds} micro-F1"
            micro = float(by[name][0](ones)[0]) if name in by else float("nan")
            found.append((accuracy, value, len(group), micro))
        found.sort()
        for rank, (accuracy, value, n, micro) in enumerate(found):
            lines.append(
                {
                    "kind": kind,
                    "value": value,
                    "n": n,
                    "accuracy": f"{accuracy:.3f}",
                    "grounds": "undefined" if np.isnan(micro) else f"{micro:.3f}",
                    "worst": rank == 0 and len(found) > 1,
                }
            )
    return lines


def _errors(rows: Sequence[Row], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    primary = taxonomy.primary.name
    wrong = [r for r in rows if r.given[primary] != r.gold[primary]]

    def sure(row: Row) -> float:
        return row.scores.get(primary, {}).get(row.given[primary][0], 0.0)

    found = []
    for row in sorted(wrong, key=sure, reverse=True)[:MAX_ERRORS]:
        given = row.given[primary][0]
        spans = row.words.get(f"{primary}={given}", [])
        found.append(
            {
                "id": row.id,
                "title": row.title or row.text[:80] or row.id,
                "given": readable([given]),
                "right": readable([row.gold[primary][0]]),
                "score": f"{sure(row):.2f}" if row.scores else "",
                "pieces": pieces(row.text[:MAX_TEXT], [s for s in spans if s.field == "text"]),
            }
        )
    return found


def pieces(text: str, spans: Sequence[Span]) -> list[dict[str, Any]]:
    """The text cut at the spans, with whether each piece is marked; joined it is the text."""
    marked = np.zeros(len(text), bool)
    for span in spans:
        marked[span.start : span.end] = True
    found: list[dict[str, Any]] = []
    for on, group in itertools.groupby(range(len(text)), key=lambda k: bool(marked[k])):
        run = list(group)
        found.append({"text": text[run[0] : run[-1] + 1], "marked": on})
    return found
