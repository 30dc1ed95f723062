"""The whole way from a recipe to a model folder with its figures, anew or from a released model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from whereas import corpus, lint
from whereas import recipe as recipes
from whereas.calibration import calibrate, columns, gold
from whereas.errors import WhereasError
from whereas.evaluation import Result, Row, crossfitted, judged, result, rows
from whereas.files import make_folder, write_json
from whereas.model import FILES, Model
from whereas.records import Example, Table, Verdict
from whereas.taxonomy import Taxonomy
from whereas.training import baseline, heads, review, states
from whereas.training.data import Corpus, gather, words
from whereas.training.export import export, restore
from whereas.training.fit import Progress, Run

ENCODER = FILES[0]
MAX_FLIPPED = 0.01
MIN_COSINE = 0.99
MAX_SUSPECTS = 20


def train(
    recipe: Path,
    folder: Path,
    say: Progress,
    *,
    parent: Path | None = None,
    add: Sequence[Path] = (),
    fast: bool = False,
) -> list[Result]:
    """Trains, exports and measures: `folder/model` is ready for `whereas release`.

    Killed and run again, it goes on from its last epoch. Returns the figures on each development
    set of the model and of its rival: the parent, or without one the TF-IDF baseline.

    Args:
        parent: folder of a released model to start from.
        add: more files of labelled examples, each split by event.
        fast: refit the parent's heads only (see `whereas.training.heads`).

    Raises:
        WhereasError: bad recipe or data, a folder that cannot be made or holds the parent, or the
            exported model decides otherwise than the trained one (more than 1 % of labels flipped,
            or a mean cosine of sentence states under .99).
    """
    start = Model(parent) if parent else None
    if fast and start is None:
        raise WhereasError("the fast path refits a released model", "Name one with --from")
    if parent and parent.resolve() == (folder / "model").resolve():
        raise WhereasError(f"{folder} holds the model to start from", "Give another folder with -o")
    make_folder(folder)
    for stale in (folder / "parity.json", folder / "model" / "metrics.json"):
        stale.unlink(missing_ok=True)  # figures of what stood here before must not be released
    if fast:
        assert start is not None
        asked = recipes.warm(recipes.with_data(recipes.load(recipe), add))
        data = gather(asked, recipe, say)
        model = heads.refit(asked, data, start, folder / "model", say)
        write_json(
            folder / "parity.json",
            {"documents": 0, "flipped": 0.0, "flipped_labels": 0.0, "cosine": 1.0},
        )
    else:
        run = Run(recipe, folder, say, parent=start, add=add)
        run.train()
        restore(run)
        say("exporting")
        parity = export(run, folder / "model")
        write_json(folder / "parity.json", parity)
        say(f"parity: {parity.flipped_labels:.2%} of labels flipped, cosine {parity.cosine:.4f}")
        if parity.flipped_labels > MAX_FLIPPED or parity.cosine < MIN_COSINE:
            raise WhereasError(
                f"the int8 model differs from the trained one: {parity.flipped_labels:.2%} of "
                f"labels flipped, cosine {parity.cosine:.4f}",
                f"Allowed are {MAX_FLIPPED:.0%} and {MIN_COSINE}",
            )
        data, model = run.corpus, Model(folder / "model")
    say("measuring")
    results = measure(data, model, start, say)
    write_json(folder / "model" / "metrics.json", results)
    return results


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a training would do: its data and what is odd about new labels as `tables`, what is
    wrong with new labels as `warnings`, about how many `minutes` it takes (None: not measured)."""

    tables: list[Table]
    warnings: list[str]
    minutes: float | None


def plan(
    recipe: Path,
    folder: Path,
    say: Progress,
    *,
    parent: Path | None = None,
    add: Sequence[Path] = (),
    fast: bool = False,
    timed: bool = True,
) -> Plan:
    """Looks through new labels and measures what a training would cost, without training.

    Raises:
        WhereasError: bad recipe, or labels that no training accepts.
    """
    start = Model(parent) if parent else None
    asked = recipes.with_data(recipes.load(recipe), add)
    if start:
        asked = recipes.warm(asked)
    data = gather(asked, recipe, say)
    rows = [
        [name, part, f"{len(group):,}"]
        for part, groups in (("train", data.train), ("dev", data.dev))
        for name, group in groups.items()
    ]
    tables = [Table(title="Data", columns=["data", "part", "documents"], rows=rows)]
    warnings: list[str] = []
    names = [path.stem for path in add]
    frozen = [e for path in sorted(gold_folder().glob("*.jsonl")) for e in corpus.read(path)]
    if add:
        new = [e for n in names for side in (data.train, data.dev) for e in side.get(n, [])]
        old = [
            e
            for side in (data.train, data.dev)
            for n, g in side.items()
            if n not in names
            for e in g
        ]
        warnings += lint.inspect(list(add), data.taxonomy).breaches
        warnings += [
            f"{c.id} has the text of {c.other}, but other labels: {', '.join(c.axes)}"
            for c in review.contradictions(new, old, data.taxonomy)
        ]
        held = {e.event for e in frozen} | {words(e) for e in frozen}
        held -= {None, ""}
        warnings += [
            f"{e.id} is in the frozen gold set by its event or text: leave it out"
            for e in new
            if e.event in held or words(e) in held
        ]
        tables.append(review.shift_table(new, old, data.taxonomy))
        if start:
            found = review.suspects(asked, data, names, start, say)
            tables.append(
                Table(
                    title=f"Suspected label errors: {len(found)}",
                    columns=["document", "axis", "given", "p", "expected", "p"],
                    rows=[
                        [s.id, s.axis, s.given or "(not)", f"{s.p:.2f}", s.expected or "(not)",
                         f"{s.expected_p:.2f}"]
                        for s in found[:MAX_SUSPECTS]
                    ],
                )
            )  # fmt: skip
    minutes = None
    if timed and not fast:
        minutes = Run(recipe, folder, say, parent=start, add=add).minutes()
    return Plan(tables=tables, warnings=warnings, minutes=minutes)


def measure(data: Corpus, model: Model, rival: Model | None, say: Progress) -> list[Result]:
    """Figures of the model and its rival on every development set."""
    return [
        result(data.taxonomy, found, system=system, data=name, digest=corpus.digest(data.dev[name]))
        for system, sets in decisions(data, model, rival, say).items()
        for name, found in sets.items()
    ]


def decisions(
    data: Corpus, model: Model, rival: Model | None, say: Progress
) -> dict[str, dict[str, list[Row]]]:
    """Decisions on the development documents, by system and data name: of the model, and of its
    rival or without one the baseline; calibrated by cross-fitting.

    A rival is measured from the states that its encoder has left in the cache, so no document is
    read for it again; the words that it would show are not compared. Where the model has the same
    encoder (the fast path), it is measured likewise, without the words it shows: reading for them
    would take a third of the time (training/LOG.md).
    """
    dev = [e for group in data.dev.values() for e in group]
    systems: dict[str, np.ndarray] = {}
    verdicts: list[Verdict] | None = None
    if rival is None or model.card.files[ENCODER] != rival.card.files[ENCODER]:
        logits, verdicts = judged(model, dev)
        systems[model.id] = aligned(logits, model.taxonomy, data.taxonomy)
    known = {model.id: columns(model.taxonomy)}
    if rival:
        reads = states.read(rival, data.taxonomy, data.dev, {}, 1.0, say)
        kept = [r for group in reads.values() for r in group]
        for one in (model, rival) if verdicts is None else (rival,):
            systems[one.id] = aligned(states.released(one, kept, dev), one.taxonomy, data.taxonomy)
        known[rival.id] = columns(rival.taxonomy)
    else:
        taught: list[Example] = [e for group in data.train.values() for e in group]
        weight = [data.weights[name] for name, group in data.train.items() for _ in group]
        systems[BASELINE] = baseline.logits(taught, dev, data.taxonomy, weight)
    decided: dict[str, dict[str, list[Row]]] = {}
    for system, logits in systems.items():
        calibrations = crossfitted(data.taxonomy, logits, dev)
        shown = verdicts if system == model.id else None
        found = iter(rows(data.taxonomy, logits, dev, calibrations, shown, known.get(system)))
        decided[system] = {name: list(islice(found, len(g))) for name, g in data.dev.items()}
    return decided


BASELINE = "TF-IDF + logistic regression"


def gold_folder() -> Path:
    """Where the frozen gold set lies that comes with the sources."""
    return Path(__file__).resolve().parents[3] / "eval" / "gold"


def baseline_rows(
    recipe: Path, found: Sequence[Example], say: Progress, *, crossfit: bool
) -> list[Row]:
    """Decisions on documents of the baseline, trained on a recipe's data.

    Args:
        crossfit: calibrate on halves of the documents themselves instead of on the recipe's
            development data (see `whereas.evaluation.crossfitted`).

    Raises:
        WhereasError: a document is among those that the recipe trains on.
    """
    data = gather(recipes.load(recipe), recipe, say)
    taught = [e for group in data.train.values() for e in group]
    seen = {e.id for e in taught} | {e.event for e in taught if e.event}
    leak = [e.id for e in found if e.id in seen or e.event in seen]
    if leak:
        raise WhereasError(
            f"the baseline would be trained on {leak[0]} ({len(leak)} in all)",
            "Measure it on documents that the recipe does not train on",
        )
    weight = [data.weights[name] for name, group in data.train.items() for _ in group]
    dev = [e for group in data.dev.values() for e in group]
    logits = baseline.logits(taught, [*dev, *found], data.taxonomy, weight)
    mine = logits[len(dev) :]
    if crossfit:
        return rows(data.taxonomy, mine, found, crossfitted(data.taxonomy, mine, found))
    fitted = calibrate(data.taxonomy, logits[: len(dev)], gold(dev, data.taxonomy))
    return rows(data.taxonomy, mine, found, [fitted] * len(found))


def aligned(logits: np.ndarray, theirs: Taxonomy, ours: Taxonomy) -> np.ndarray:
    """Logits [N, C'] of one taxonomy in the columns [N, C] of another: absent labels get the
    baseline's logit for what it never saw."""
    place = {key: c for c, key in enumerate(columns(theirs))}
    keys = columns(ours)
    result = np.full((len(logits), len(keys)), baseline.ABSENT)
    for c, key in enumerate(keys):
        if key in place:
            result[:, c] = logits[:, place[key]]
    return result


def evaluate(recipe: Path, folder: Path, say: Progress) -> list[Result]:
    """Measures a released model on a recipe's development data, beside the baseline."""
    return measure(gather(recipes.load(recipe), recipe, say), Model(folder), None, say)
