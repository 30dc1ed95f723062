"""Figures as text: tables for people, and the card of a released model."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from whereas.calibration import REVIEW_TARGET
from whereas.evaluation import AT_LEAST, Figure, Result
from whereas.model import Card
from whereas.records import Table
from whereas.tasks import Comparison

HEADLINE = (
    "action macro-F1",
    "action accuracy",
    "human_rights F1",
    "surveillance F1",
    "forced_labor F1",
    "rationales micro-F1",
    "background_rationales micro-F1",
    "recalled rationales kept apart",
    "recalled forced_labor kept apart",
    "secondary_actions micro-F1",
    "status macro-F1",
    "status accuracy",
    "relevance AP",
    "relevance ECE",
    "left without review",
    "right where not for review",
    "action coverage at 90 % right",
    "action coverage at 95 % right",
    "action coverage at 98 % right",
    "action AURC",
    "action evidence hit",
    "action evidence overlap",
    "human_rights evidence hit",
    "surveillance evidence hit",
    "forced_labor evidence hit",
)


COMPARED = (
    "action macro-F1",
    "action accuracy",
    "human_rights F1",
    "surveillance F1",
    "forced_labor F1",
    "rationales micro-F1",
    "background_rationales micro-F1",
    "secondary_actions micro-F1",
    "status macro-F1",
    "relevance AP",
)
"""What two systems are compared on."""
MAX_CHANGED = 30


def comparison(found: Comparison) -> list[Table]:
    """Differences of figures, and documents whose primary label changed."""
    rows = []
    for d in found.differences:
        if d.value is None:
            rows.append([d.name, f"{d.n}", "undefined", "", "", ""])
            continue
        if d.adjusted is None:
            rows.append([d.name, f"{d.n}", f"{d.value:+.3f}", "", "", "too few events"])
            continue
        seen = "yes" if d.adjusted < 0.05 else f"no (would show {d.detectable:.3f})"
        interval = f"{d.low:+.3f} to {d.high:+.3f}"
        rows.append([d.name, f"{d.n}", f"{d.value:+.3f}", interval, f"{d.adjusted:.4f}", seen])
    changed = [list(row) for row in found.changed[:MAX_CHANGED]]
    won = sum(right == a for _, right, a, _ in found.changed)
    lost = sum(right == b for _, right, _, b in found.changed)
    return [
        Table(
            title=f"{found.first} minus {found.second}",
            columns=["figure", "n", "difference", "95 % interval", "p (Holm)", "significant"],
            rows=rows,
        ),
        Table(
            title=f"{len(found.changed)} documents decided otherwise: {won} right only by the "
            f"first, {lost} only by the second",
            columns=["document", "right", found.first, found.second],
            rows=changed,
        ),
    ]


def is_recipe(path: Path) -> bool:
    """Whether a TOML file is a recipe rather than a task."""
    try:
        return "fit" in tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False


def number(figure: Figure | None) -> str:
    """`.873 [.84, .90]`, `undefined`, or `-` where a system has no such figure."""
    if figure is None:
        return "-"
    if figure.value is None:
        return "undefined"
    text = _short(figure.value)
    if figure.low is not None and figure.high is not None:
        text += f" [{_short(figure.low)}, {_short(figure.high)}]"
    return text


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0") if value < 1 else "1.000"


def markdown(results: Sequence[Result]) -> str:
    """One table: a row a figure, a column a system and data set. `n` counts what a figure rests
    on: documents, positives, or for a macro mean its labels."""
    sets = list(dict.fromkeys(r.data for r in results))
    systems = list(dict.fromkeys(r.system for r in results))
    by = {(r.data, r.system): r for r in results}
    head = ["figure"] + [
        cell.replace("|", r"\|")  # names of files
        for data in sets
        for cell in [f"{data}: n", *(f"{data}: {s}" for s in systems)]
    ]
    names = list(dict.fromkeys(n for r in results for n in r.figures))
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for name in shown(names):
        cells = [name]
        for data in sets:
            figures = [by[data, s].figures.get(name) for s in systems]
            known = next((f for f in figures if f is not None), None)
            cells += [str(known.n) if known else "-", *(number(f) for f in figures)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(names: Sequence[str]) -> list[str]:
    """The figures to show of those there are, in order."""
    ends = ("macro-F1", "micro-F1", "accuracy")
    more = [n for n in names if n not in HEADLINE and (n.endswith(ends) or ": " in n)]
    return [n for n in HEADLINE if n in names] + more


def compared(names: Sequence[str]) -> list[str]:
    """The figures to compare of those there are: few, as each costs the others power."""
    return [n for n in COMPARED if n in names] or [n for n in shown(names) if n.endswith("F1")]


def per_label(result: Result, axis: str) -> str:
    """F1 of each label of an axis that the data has."""
    lines = ["| label | n | F1 |", "| --- | --- | --- |"]
    for name, figure in result.labels[axis].items():
        if figure.n:
            lines.append(f"| {name} | {figure.n} | {number(figure)} |")
    return "\n".join(lines)


def model_card(
    card: Card,
    results: Sequence[Result],
    parity: dict[str, float],
    tasks: Sequence[Result] = (),
) -> str:
    """The README of a released model, from its manifest and its figures alone: `results` on its
    development data beside a rival's, `tasks` its own on the tasks it was measured on."""
    measured = "\n\n".join(f"**{task.data}**\n\n{markdown([task])}" for task in tasks)
    if tasks:
        measured = f"## Tasks\n\nPrinted by `whereas evaluate`.\n\n{measured}\n\n"
    data = "\n".join(
        f"| {name} | {facts['documents']} | `{facts['digest'][7:19]}` |"
        for name, facts in sorted(card.data.items())
    )
    own = [r for r in results if r.system.startswith(f"{card.name}-{card.version}@")]
    labels = "\n\n".join(
        f"**{result.data}, {axis}**\n\n{per_label(result, axis)}"
        for result in own
        for axis in ("action", "rationales")
        if axis in result.labels
    )
    return f"""# {card.name} {card.version}

Labels news and filings about restrictive measures by action, rationale (news layer and background
layer apart) and status, with calibrated scores and the words that say so. Runs on ONNX Runtime,
offline, without torch.

{_made(card, parity)}

## Data

| part | documents | digest |
| --- | --- | --- |
{data}

`reported` are reports retold in our own words, labelled by a language model and settled with a
second; `authored` documents were written and labelled by one (companies and people are invented; a
quarter was labelled again blind); `contrast` are copies of these, a few words changed so that other
labels hold; `real` are US government texts labelled once.

## Figures

Development sets, no document or event of which was trained on (notices of one series, such as
yearly continuations of an emergency, do stand on both sides). Calibration and thresholds of the
label figures are cross-fitted over two halves of the events, so that no document is judged with
thresholds it helped to set; evidence is shown with the released calibration. One seed; a paired
test on the gold set is `whereas compare`'s. Brackets: 95 % bootstrap interval over events. `n`:
labels behind a macro mean (those with 8 documents or more), positives behind an F1, documents
otherwise. Evidence hit: the words shown for a rightly given label overlap the annotator's quote
or lie in its sentence; overlap: they overlap. Status includes `background`, which every
irrelevant document has. Coverage at 95 % right: the greatest share of documents, surest action
first, of which 95 % have the right action, the mark being set in hindsight on the same documents;
AURC, the mean share of wrong ones over all such shares, is better when lower. Left without review:
what was not marked, at a mark set so that
{REVIEW_TARGET * 100:g} % of the rest are right; right where not for review: how many of them are.
Sets of 90 %: made so that nine in ten hold the right label (`whereas triage --sets`), and how many
hold no other. Printed by `whereas train`, and again by `whereas evaluate`.

{markdown(results)}

{labels}

{measured}## Limits

Trained mostly on measures of the United States, the European Union, the United Kingdom and China.
{_rare(own)}
English only: other languages are marked for review. Scores are calibrated on the development sets
above; on a feed with another share of relevant documents they shift. What the model marks `review`
should be read.
"""


def _made(card: Card, parity: dict[str, float]) -> str:
    """How a model came about, as a list."""
    base = f"- Base: all-MiniLM-L6-v2 (Apache-2.0), weights `{card.base['sha256'][:12]}`"
    if card.words_weight:
        base = (
            f"- Second opinion: TF-IDF of words and word pairs, linear weights; its logits times\n"
            f"  {card.words_weight:g} are added to those of the encoder's heads.\n{base}"
        )
    command = f"- Made by `whereas train training/recipes/{card.name}.toml"
    when = f"at commit `{card.code}` on\n  {card.trained_at}."
    if card.parent and not parity["documents"]:
        return (
            f"{base}.\n- Heads refitted on the encoder of {card.parent}, which is unchanged.\n"
            f"{command} --from … --add … --fast` {when}"
        )
    fit = card.recipe["fit"]
    tuned = f"LoRA\n  rank {fit['lora_rank']}" if fit["lora_rank"] else "all\n  weights free"
    start = f" from {card.parent}" if card.parent else ""
    return (
        f"{base}; fine-tuned{start} with {tuned}, {fit['epochs']} epochs, merged and\n"
        f"  quantised to int8.\n"
        f"{command}{' --from … --add …' if card.parent else ''}` {when}\n"
        f"- int8 against the trained fp32 network on {parity['documents']} development documents:\n"
        f"  {parity['flipped_labels']:.2%} of (document, label) decisions and "
        f"{parity['flipped']:.2%} of\n  (document, axis) decisions differ, mean cosine of "
        f"sentence states {parity['cosine']:.4f}."
    )


def _rare(results: Sequence[Result]) -> str:
    """Which actions no development set has often enough to judge, as a sentence."""
    often = {n for r in results for n, f in r.labels.get("action", {}).items() if f.n >= AT_LEAST}
    every = [n for r in results[:1] for n in r.labels.get("action", {})]
    rare = [n for n in every if n not in often]
    if not rare:
        return "Every action has enough development documents to be judged in one of the sets."
    return f"Too rare in the development sets to be judged: {', '.join(rare)}."
