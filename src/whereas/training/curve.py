"""The learning curve: how good a model is with fewer of its labels, and so what more are worth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from whereas import charts, metrics
from whereas import recipe as recipes
from whereas import taxonomy as taxonomies
from whereas.encoder import WindowSpec
from whereas.errors import WhereasError
from whereas.evaluation import CORE, DRAWS, SEED, Row, crossfitted, rows, statistics
from whereas.files import make_folder, write, write_json
from whereas.metrics import Array, Interval, Statistic
from whereas.model import Model
from whereas.recipe import Recipe
from whereas.records import Example, Table
from whereas.taxonomy import Taxonomy
from whereas.training import baseline, heads, states
from whereas.training.data import Corpus, gather
from whereas.training.fit import Progress, Run, predict
from whereas.training.folder import STYLE
from whereas.training.network import item
from whereas.training.states import Read

SHARES = (0.25, 0.5, 0.75, 1.0)
FLATTERED = (
    "Every point starts from a model that was trained on labels of all points already: with few of "
    "them it looks better than it would, so that more are worth at least what is said here. "
    "Without --from and --fast each is trained from the base on."
)
"""Said of every curve that has a parent."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A model trained on `share`, 0-1, of the training events, which are `documents`: its decisions
    on all development documents. `made_of` is a digest of what they depend on."""

    share: float
    documents: int
    made_of: str
    rows: list[Row]


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Figures by share as a `table`, and in `lines` what they say."""

    table: Table
    lines: list[str]


def curve(
    recipe: Path,
    folder: Path,
    say: Progress,
    *,
    parent: Path | None = None,
    add: Sequence[Path] = (),
    fast: bool = False,
) -> Curve:
    """Trains on nested shares of the training events and measures each model on all development
    documents. The last is a model of all labels, but none is exported.

    Points that are done lie in `folder/curve`: killed and run again, it goes on. `curve.svg` is
    written there as well.

    Args:
        parent, add, fast: as of `whereas.training.routine.train`. With `fast` heads alone are
            refitted; without, each point is a training, and together they take 2.5 times the last.

    Raises:
        WhereasError: bad recipe or data, a folder that cannot be made, or one that has a curve of
            another recipe, other data or another taxonomy, or a damaged one.
    """
    start = Model(parent) if parent else None
    if fast and start is None:
        raise WhereasError("the fast path refits a released model", "Name one with --from")
    asked = recipes.with_data(recipes.load(recipe), add)
    if start:
        asked = recipes.warm(asked)
    whole = gather(asked, recipe, say)
    dev = [e for group in whole.dev.values() for e in group]
    place = folder / "curve"
    made_of = _made_of(asked, whole, start, fast=fast)
    done = _done(place, made_of)
    missing = [share for share in SHARES if share not in done]
    make_folder(place)
    if missing and fast:
        assert start is not None
        reads = _reads(asked, whole, start, say)
    elif missing:
        minutes = Run(recipe, place, lambda _: None, parent=start, add=add).minutes()
        say(f"about {minutes * sum(missing):.0f} minutes, {sum(missing):g} times one training")
    for share in missing:
        say(f"training on {share:.0%} of the events")
        data = gather(recipes.thinned(asked, share), recipe, lambda _: None, share=share)
        if fast:
            assert start is not None
            logits = _refitted(recipes.thinned(asked, share), data, start, reads)
        else:
            run = Run(recipe, place / _name(share), say, parent=start, add=add, share=share)
            logits = _trained(run, dev)
        logits = logits.astype(np.float64) + _opinion(asked, data, dev)
        decided = rows(data.taxonomy, logits, dev, crossfitted(data.taxonomy, logits, dev))
        done[share] = Point(
            share=share,
            documents=sum(map(len, data.train.values())),
            made_of=made_of,
            rows=[msgspec.structs.replace(row, title="", text="") for row in decided],
        )
        write_json(place / f"{_name(share)}.json", done[share])
    points = [done[share] for share in SHARES]
    write(place / "curve.svg", picture(points, whole.taxonomy, asked.name))
    found = read_off(points, whole.taxonomy)
    return msgspec.structs.replace(found, lines=[*found.lines, FLATTERED]) if start else found


def _name(share: float) -> str:
    return f"{share:.0%}".removesuffix("%")


def _made_of(recipe: Recipe, data: Corpus, parent: Model | None, *, fast: bool) -> str:
    asked = [
        recipes.described(recipe),
        taxonomies.digest(data.taxonomy_toml),
        data.digests,
        parent.id if parent else None,
        fast,
    ]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _done(place: Path, made_of: str) -> dict[float, Point]:
    found = {}
    for share in SHARES:
        path = place / f"{_name(share)}.json"
        if path.exists():
            try:
                found[share] = msgspec.json.decode(path.read_bytes(), type=Point)
            except msgspec.MsgspecError as error:
                raise WhereasError(f"{path} is damaged: {error}", "Delete it") from error
            if found[share].made_of != made_of:
                raise WhereasError(
                    f"{path} is of another recipe, other data or another taxonomy",
                    "Give a new folder with -o",
                )
    return found


# ------------------------------------------------------------------ models


Reads = dict[tuple[str, str], Read]
"""By data name and id: two files of data may have documents of one id."""


def _reads(recipe: Recipe, data: Corpus, parent: Model, say: Progress) -> Reads:
    """All documents, as the parent's encoder reads them."""
    weights = {d.name: d.weight for d in recipe.data}
    found: Reads = {}
    for groups in (data.train, data.dev):
        read = states.read(parent, data.taxonomy, groups, weights, recipe.fit.unsure_weight, say)
        for name, group in groups.items():
            found |= {(name, e.id): r for e, r in zip(group, read[name], strict=True)}
    return found


def _refitted(recipe: Recipe, data: Corpus, parent: Model, reads: Reads) -> np.ndarray:
    """Logits [N, C] of development documents by the parent's heads refitted on `data`."""
    network, _ = heads.new_network(parent, data.taxonomy, recipe.fit.dropout)
    train = {name: [reads[name, e.id] for e in group] for name, group in data.train.items()}
    heads.fit(network, heads.sampled(train, recipe), data.taxonomy, recipe)
    dev = [reads[name, e.id] for name, group in data.dev.items() for e in group]
    return heads.logits(network, dev)


def _trained(run: Run, dev: Sequence[Example]) -> np.ndarray:
    """Logits [N, C] of development documents by a network trained from its last checkpoint on."""
    run.train()
    windows = WindowSpec(pieces=run.recipe.windows.pieces, budget=run.recipe.windows.budget)
    return predict(run.network, [item(run.tokenizer, e, run.taxonomy, windows) for e in dev])[0]


def _opinion(recipe: Recipe, data: Corpus, dev: Sequence[Example]) -> np.ndarray:
    """What the second opinion adds to logits [N, C], 0 without one."""
    if recipe.words is None:
        return np.zeros(1)
    taught = [e for group in data.train.values() for e in group]
    weight = [data.weights[name] for name, group in data.train.items() for _ in group]
    words = baseline.fit(taught, data.taxonomy, weight, features=recipe.words.features)
    return recipe.words.weight * np.stack([words.logits(e.title, e.text) for e in dev])


# ------------------------------------------------------------------ what they say


def gain(values: Array) -> Interval:
    """What twice the labels would add to a figure: the slope of a line over log2 of the share.

    A power law would be the better shape (Hestness et al. 2017, arXiv 1712.00409), but its three
    parameters follow four points anywhere. The interval has both kinds of chance in it: of the
    development documents (draws of events, the same for every point) and of training, as far as the
    points lie off the line (Student's t with two degrees of freedom).

    Args:
        values: [4, 1 + draws] of the figure at `SHARES`.
    """
    x = np.log2(SHARES) - np.log2(SHARES).mean()
    slopes = x @ values / (x @ x)
    off = values[:, 0] - values[:, 0].mean() - x * slopes[0]
    freedom = len(x) - 2
    error = np.sqrt(off @ off / freedom / (x @ x))
    slopes[1:] += error * np.random.default_rng(SEED).standard_t(freedom, len(slopes) - 1)
    return metrics.interval(slopes)


def read_off(points: Sequence[Point], taxonomy: Taxonomy) -> Curve:
    """The figures of points at `SHARES`, and whether more labels are worth it."""
    found = _values(points, taxonomy)
    lines: list[str] = []
    cells = [[_name(p.share) + " %", f"{p.documents:,}"] for p in points]
    cells.append(["twice", f"{2 * points[-1].documents:,}"])
    for name, values in found.items():
        for row, value in zip(cells, values, strict=False):
            row.append(_cell(metrics.interval(value), ".3f"))
        more = gain(values)
        cells[-1].append(_cell(more, "+.3f"))
        if not lines and more.value is not None:
            lines.append(_worth(name, more))
    columns = ["labels", "documents", *found]
    return Curve(table=Table(title="Learning curve", columns=columns, rows=cells), lines=lines)


def _worth(name: str, more: Interval) -> str:
    if more.value is None or more.low is None or more.high is None:
        return f"Too few development events to tell what twice the labels would do to {name}."
    said = f"{name} {more.value:+.3f}, 95 % interval {more.low:+.3f} to {more.high:+.3f}"
    if more.low <= 0 <= more.high:
        return f"Cannot tell whether twice the labels would help: {said}."
    return f"Expected of twice the labels: {said}."


def _cell(found: Interval, form: str) -> str:
    if found.value is None:
        return "undefined"
    if found.low is None or found.high is None:
        return f"{found.value:{form}}"
    return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]"


def _values(points: Sequence[Point], taxonomy: Taxonomy) -> dict[str, Array]:
    """Each figure [points, 1 + draws], draws of the same events for every point."""
    weights = metrics.draws_of([row.event for row in points[0].rows], DRAWS, seed=SEED)
    figures = [_figures(taxonomy, point.rows) for point in points]
    return {name: np.stack([each[name](weights) for each in figures]) for name in figures[0]}


def _figures(taxonomy: Taxonomy, found: Sequence[Row]) -> dict[str, Statistic]:
    every = {name: statistic for name, (statistic, _) in statistics(taxonomy, found).items()}
    primary = taxonomy.primary.name
    sets = [a.name for a in taxonomy.axis if a.kind == "many" and a.labels_of is None]
    singles = [a.name for a in taxonomy.axis if a.kind == "one" and a.name != primary]
    names = [f"{primary} macro-F1", f"{primary} accuracy", *(f"{s} micro-F1" for s in sets)]
    chosen = {name: every[name] for name in names if name in every}
    core = [every[f"{name} F1"] for name in CORE if f"{name} F1" in every]
    if core:
        chosen["core grounds F1"] = lambda weights: np.mean([one(weights) for one in core], 0)
    return chosen | {
        f"{s} accuracy": every[f"{s} accuracy"] for s in singles if f"{s} accuracy" in every
    }


def picture(points: Sequence[Point], taxonomy: Taxonomy, title: str) -> str:
    """Figures by share of the labels with their intervals, as an SVG file that stands alone; of the
    primary axis one, macro-F1, which is close to its accuracy. Points stand a little beside their
    share, so that bars of different figures do not hide each other."""
    drawn = _values(points, taxonomy)
    drawn.pop(f"{taxonomy.primary.name} accuracy")
    series = []
    for k, (name, values) in enumerate([*drawn.items()][: len(charts.DASHES)]):
        places: list[tuple[float, float]] = []
        intervals: list[tuple[float, float]] = []
        for point, found in zip(points, map(metrics.interval, values), strict=True):
            if found.value is not None:
                places.append((point.share + BESIDE * (k - 1.5), found.value))
                low, high = found.low, found.high
                intervals.append(
                    (found.value, found.value) if low is None or high is None else (low, high)
                )
        series.append(charts.Series(name, places, dots=True, intervals=intervals))
    figure = charts.curve(
        series,
        title=f"{title}: learning curve",
        x_label="share of the labels",
        y_label="on development documents",
    )
    return figure.replace("</title>", f"</title><style>{STYLE}{BARS}</style>{PAPER}", 1) + "\n"


BESIDE = 0.012
BARS = ".bar { stroke: #999; stroke-width: 1 }\n"
PAPER = '<rect width="100%" height="100%" fill="#fff"/>'
