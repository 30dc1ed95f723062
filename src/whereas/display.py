"""What people see on the terminal: the ranked table, an explained document, a brief, progress.

Text of documents is never markup here: it goes through `clean` and into `rich.text.Text`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from whereas import records
from whereas.model import Explanation
from whereas.records import Brief, Document, Label, Outcome, Span
from whereas.sinks import Ranked
from whereas.taxonomy import Axis, Taxonomy, readable
from whereas.triage import Progress, Summary

if TYPE_CHECKING:  # it loads torch
    from whereas.training.fit import Step

WIDE = 120
"""Columns of a terminal from which the table gives action, grounds and words their own column."""

AXIS_STYLES = ("bold cyan", "cyan", "bold magenta", "yellow", "bold green")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_MAX_AGAINST = 3


def clean(text: str) -> str:
    """Without control characters, escape sequences' openers and marks that turn writing round."""
    return _CONTROL.sub("", text)


def one_line(text: str) -> str:
    return " ".join(clean(text).split())


def ranking(rows: Iterable[Ranked], taxonomy: Taxonomy, width: int) -> Table:
    """The ranked table, laid out for a terminal of `width` columns (80 and more read well)."""
    wide = width >= WIDE
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim", expand=True)
    table.add_column("#", justify="right", style="dim", no_wrap=True)
    table.add_column("rel.", justify="right", no_wrap=True)
    if wide:
        table.add_column("action", ratio=2, max_width=20)
        table.add_column("why", ratio=3, max_width=30)
        table.add_column("status", max_width=10)
        table.add_column("title", ratio=5)
        table.add_column("the words that say so", ratio=6)
    else:
        table.add_column("action, status", width=18)
        table.add_column("why", width=16)
        table.add_column("title / the words that say so", ratio=1)
    for row in rows:
        table.add_row(*_cells(row, taxonomy, wide))
    return table


def _cells(row: Ranked, taxonomy: Taxonomy, wide: bool) -> list[RenderableType]:
    outcome = row.outcome
    title = Text(one_line(outcome.title) or one_line(outcome.source), overflow="fold")
    action = outcome.labels.get(taxonomy.primary.name)
    if outcome.outcome == "error" or not isinstance(action, Label):
        reason = Text(one_line(outcome.reason or ""), style="red")
        name = Text(one_line(outcome.source), overflow="fold")
        blank: list[RenderableType] = [Text("-"), Text("-"), Text("error", style="red"), Text("")]
        return [*blank, Text(""), name, reason] if wide else [*blank, Group(name, reason)]
    none = action.label == taxonomy.irrelevant.label
    style = "dim" if none else "bold"
    shade = "dim" if none else ""
    name = Text(readable([action.label]), style=style)
    if outcome.outcome == "review":
        name.append(" ?", style="bold yellow")
    why = Text(_grounds(outcome, taxonomy, "news"), style=shade)
    if recalled := _grounds(outcome, taxonomy, "background"):
        why.append(f"{', ' if why.plain else ''}({recalled})", style="dim")
    status = outcome.labels.get("status")
    state = readable([status.label]) if isinstance(status, Label) and not none else ""
    relevance = Text(f"{outcome.relevance or 0:.2f}", style=shade)
    title.stylize(shade)
    words = Text(_shortened(row.words, 240 if wide else 130), style="dim" if none else "italic")
    rank = Text(str(row.rank or "-"))
    if wide:
        title.truncate(160, overflow="ellipsis")
        return [rank, relevance, name, why, Text(state, style=shade), title, words]
    if state:
        name.append(f"\n{state}", style="not bold")
    title.truncate(100, overflow="ellipsis")
    return [rank, relevance, name, why, Group(title, words) if words.plain else title]


def _shortened(words: str, length: int) -> str:
    """The deciding words in quotation marks, cut to a length."""
    line = one_line(words)
    if len(line) > length:
        line = line[:length].rstrip() + " …"
    return f"“{line}”" if line else ""


def _grounds(outcome: Outcome, taxonomy: Taxonomy, layer: str) -> str:
    names: list[str] = []
    for axis in taxonomy.axis:
        found = outcome.labels.get(axis.name)
        if axis.layer == layer and axis.name.endswith("rationales") and isinstance(found, list):
            names += [label.label for label in found]
    return readable(names)


def explanation(
    document: Document,
    explained: Explanation,
    outcome: Outcome,
    taxonomy: Taxonomy,
    thresholds: dict[str, list[float]],
) -> RenderableType:
    """The document with its evidence marked by axis, the scores, and what spoke against."""
    verdict = explained.verdict
    parts: list[RenderableType] = [
        Text(one_line(document.title) or "(no title)", style="bold"),
        Text(one_line(f"{document.origin}  {document.date or ''}"), style="dim"),
        Text(
            f"relevance {verdict.relevance:.2f}   {outcome.outcome}"
            + (f": {one_line(outcome.reason)}" if outcome.reason else "")
        ),
        Text(""),
        _scores(document, explained, taxonomy, thresholds),
        *_words_alone(explained, taxonomy),
        Text(""),
        _marked(document, explained, taxonomy),
    ]
    return Group(*parts)


def _words_alone(explained: Explanation, taxonomy: Taxonomy) -> list[Text]:
    """What the document's words, taken by themselves, did for its primary label."""
    primary = taxonomy.primary.name
    label = explained.verdict.labels[primary]
    if not any(explained.words.values()) or not isinstance(label, Label):
        return []
    added = explained.words[primary, label.label]
    return [
        Text(
            f"second opinion, from words alone: {added:+.1f} on the logit of "
            f"{readable([label.label])}",
            style="dim",
        )
    ]


def _scores(
    document: Document,
    explained: Explanation,
    taxonomy: Taxonomy,
    thresholds: dict[str, list[float]],
) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("axis", no_wrap=True)
    table.add_column("label", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("words", ratio=1)
    taken: set[str] = set()
    for axis, style in zip(taxonomy.axis, AXIS_STYLES * 9, strict=False):
        found = explained.verdict.labels[axis.name]
        labels = found if isinstance(found, list) else [found] if found else []
        for label in labels:
            quotes = " … ".join(one_line(document.quote(s)) for s in label.evidence)
            table.add_row(
                Text(readable([axis.name]), style=style),
                Text(readable([label.label])),
                Text(f"{label.score:.2f}"),
                Text(quotes, style="italic"),
            )
        taken |= {x.label for x in labels}
        for name, note in _against(explained, axis, taken, thresholds):
            score = explained.verdict.scores[axis.name][name]
            table.add_row(
                Text("  against" if axis.kind == "one" else "  not reached", style="dim"),
                Text(readable([name]), style="dim"),
                Text(f"{score:.2f}", style="dim"),
                Text(_strongest(document, explained, axis.name, name) + note, style="dim"),
            )
    return table


def _against(
    explained: Explanation, axis: Axis, chosen: Collection[str], thresholds: dict[str, list[float]]
) -> list[tuple[str, str]]:
    """The labels that came closest without being chosen anywhere, and what they lacked."""
    scores = explained.verdict.scores[axis.name]
    rest = sorted((n for n in scores if n not in chosen), key=lambda n: -scores[n])
    near = [n for n in rest if scores[n] >= 0.1][:_MAX_AGAINST]
    if axis.kind == "one":
        return [(n, "") for n in near]
    needs = {n: thresholds[axis.name][axis.names.index(n)] for n in near}
    return [
        (n, "  (withheld: too often wrong)" if needs[n] > 1 else f"  (needs {needs[n]:.2f})")
        for n in near
    ]


def _strongest(document: Document, explained: Explanation, axis: str, label: str) -> str:
    """The start of the sentence that spoke most for a label."""
    support = explained.support[axis, label]
    if not support:
        return ""
    row = max(range(len(support)), key=lambda k: support[k])
    words = one_line(document.quote(explained.sentences[row])).split()
    return " ".join(words[:12]) + (" …" if len(words) > 12 else "")


def _marked(document: Document, explained: Explanation, taxonomy: Taxonomy) -> RenderableType:
    """Title and text, evidence styled by axis, recalled sentences dim; a legend below."""
    title, body = Text(clean_same_length(document.title)), Text(clean_same_length(document.text))
    for span in explained.verdict.background:
        (title if span.field == "title" else body).stylize("dim", span.start, span.end)
    used: list[tuple[str, str]] = []
    for axis, style in reversed(list(zip(taxonomy.axis, AXIS_STYLES * 9, strict=False))):
        found = explained.verdict.labels[axis.name]
        labels = found if isinstance(found, list) else [found] if found else []
        for span in (s for label in labels for s in label.evidence):
            (title if span.field == "title" else body).stylize(
                f"{style} underline", span.start, span.end
            )
            if (axis.name, style) not in used:
                used.insert(0, (axis.name, style))
    legend = Text("marked: ", style="dim")
    for name, style in used:
        legend.append(readable([name]), style=f"{style} underline").append("  ")
    if explained.verdict.background:
        legend.append("dim: recalled, background", style="dim")
    return Group(title, Text(""), body, Text(""), legend)


def clean_same_length(text: str) -> str:
    """Control characters become spaces, so that offsets stay true."""
    return _CONTROL.sub(" ", text)


def brief(document: Document, written: Brief | str) -> RenderableType:
    """A brief with numbered citations and their places, or the reason why there is none."""
    if isinstance(written, str):
        return Text(one_line(written), style="yellow")
    numbers: dict[Span, int] = {}
    text = Text()
    for sentence in written.sentences:
        text.append(clean(sentence.text))
        for span in sentence.citations:
            numbers.setdefault(span, len(numbers) + 1)
        marks = sorted({numbers[s] for s in sentence.citations})
        text.append(" [" + ",".join(map(str, marks)) + "] ", style="cyan")
    sources = Table(box=None, pad_edge=False, show_header=False)
    sources.add_column(justify="right", style="cyan", no_wrap=True)
    sources.add_column(no_wrap=True, style="dim")
    sources.add_column(ratio=1, style="dim")
    for span, number in numbers.items():
        place = f"{'title ' if span.field == 'title' else ''}{span.start}-{span.end}"
        quote = Text(one_line(document.quote(span)))
        quote.truncate(160, overflow="ellipsis")
        sources.add_row(Text(f"[{number}]"), place, quote)
    heading = Text(one_line(document.title) or one_line(document.origin), style="bold")
    return Group(heading, Padding(text, (0, 0, 1, 0)), sources)


def console(*, error: bool = False) -> Console:
    """Standard output or standard error, without markup, emoji codes or guessed highlighting."""
    return Console(stderr=error, markup=False, emoji=False, highlight=False)


PAGE = 200
"""Rows of a table laid out together: column widths need them all, memory must not hold a batch."""


def print_ranking(rows: Iterable[Ranked], taxonomy: Taxonomy) -> None:
    """The table on standard output, in pages of `PAGE` rows."""
    out = console()
    rows = iter(rows)
    while page := list(itertools.islice(rows, PAGE)):
        out.print(ranking(page, taxonomy, out.width))


def print_summary(summary: Summary, model: str, output: Path | None) -> None:
    """One line on standard error: what came out, how long it took, by which model."""
    line = f"{_plural(summary.documents, 'document')}: {summary.ok} ok, "
    line += f"{summary.review} for review (?), {_plural(summary.error, 'error')}"
    if summary.reused:
        line += f"; {summary.reused} were done before"
    line += f"; {summary.seconds:.1f} s; {model}"
    out = console(error=True)
    out.print(line)
    if output is not None:
        out.print(f"written to {output}")


def tables(tables: Sequence[records.Table]) -> Group:
    """Tables one below the other, rows that break a rule in red and marked."""
    parts: list[RenderableType] = []
    for found in tables:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for k, column in enumerate(found.columns):
            numeric = bool(found.rows) and all(
                r[k][:1].isdigit() or r[k] == "–" for r in found.rows
            )
            table.add_column(Text(column), justify="right" if numeric else "left")
        for k, row in enumerate(found.rows):
            bad = k in found.bad
            cells = [Text(one_line(cell), "red" if bad else "") for cell in row]
            if bad:
                cells[-1].append(" ✗")
            table.add_row(*cells)
        parts += [Text(one_line(found.title), "bold"), table, Text("")]
    return Group(*parts)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


@contextmanager
def progress() -> Iterator[Callable[[Progress | None], None]]:
    """A bar on standard error while a terminal watches; `None` ends it."""
    bar = Bar(
        TextColumn("reading"),
        BarColumn(),
        TextColumn("{task.fields[documents]} documents, file"),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console(error=True),
        transient=True,
        disable=not console(error=True).is_terminal,
    )
    with bar:
        task = bar.add_task("reading", documents=0, total=None)

        def advance(state: Progress | None) -> None:
            if state is None:
                bar.stop()
            else:
                bar.update(
                    task,
                    completed=state.files,
                    total=state.files_total,
                    documents=state.documents,
                )

        yield advance


@contextmanager
def training() -> Iterator[Callable[[str | Step], None]]:
    """What a training says, on standard error: lines, and its steps as a bar while a terminal
    watches, else as a line after each tenth of an epoch."""
    out = console(error=True)
    bar = Bar(
        TextColumn("epoch {task.fields[at].epoch}/{task.fields[at].epochs}"),
        BarColumn(),
        TextColumn("step {task.fields[at].step}/{task.fields[at].steps}"),
        TextColumn("loss {task.fields[at].loss:.3f}, {task.fields[left]:.1f} min left"),
        console=out,
        transient=True,
    )
    task = bar.add_task("training", at=None, left=0.0)

    def say(said: str | Step) -> None:
        if isinstance(said, str):
            if out.is_interactive:
                bar.stop()  # the next step shows it again
            out.print(said)
        elif out.is_interactive:
            bar.update(
                task,
                total=said.epochs * said.steps,
                completed=(said.epoch - 1) * said.steps + said.step,
                at=said,
                left=said.left / 60,
            )
            bar.start()
        elif _ends_a_tenth(said):
            out.print(str(said))

    try:
        yield say
    finally:
        if out.is_interactive:
            bar.stop()


def _ends_a_tenth(step: Step) -> bool:
    """Whether a step ends a tenth of its epoch."""
    return step.step * 10 // step.steps > (step.step - 1) * 10 // step.steps
