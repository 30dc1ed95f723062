"""An axis that a document was never asked is unknown: it teaches and measures nothing there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from toys import TAXONOMY, quiet, toy_example, write_recipe
from whereas import calibration, corpus, evaluation, lint
from whereas import taxonomy as taxonomies
from whereas.errors import WhereasError
from whereas.records import Example, Span
from whereas.taxonomy import Taxonomy

PLACE = """
[[axis]]
name = "place"
title = "where"
kind = "{kind}"
[axis.labels]
harbour = "by the sea"
scales = "indoors"
"""


def with_place(kind: str) -> str:
    return TAXONOMY + PLACE.format(kind=kind)


def placed(n: int, kind: str) -> Example:
    """A toy example that was asked where it was; of sets, some have none."""
    example = toy_example(n)
    place = "scales" if n % 2 else "harbour"
    none = kind == "many" and (example.one("fruit") == "none" or n % 5 == 0)
    said = "" if none else f" {place.capitalize()}, {place}, {place}, {place} and {place}."
    quote = Span(len(example.text) + 1, len(example.text) + len(said) - 1)
    return msgspec.structs.replace(
        example,
        id=f"new-{n}",
        event=f"new-{n}",
        text=example.text + said,
        labels=example.labels | {"place": place if kind == "one" else [] if none else [place]},
        evidence=example.evidence
        | ({} if none else {place if kind == "many" else "place": [quote]}),
    )


# ------------------------------------------------------------------ what may be absent


def located(file: str, *examples: Example) -> list[lint.Located]:
    return [lint.Located(example=e, where=f"{file}:{n}") for n, e in enumerate(examples, 1)]


def test_axes_of_a_file_are_on_all_of_its_documents_or_none() -> None:
    taxonomy = taxonomies.parse(with_place("one").encode(), "toy")
    old, new = toy_example(1), placed(2, "one")
    alone = [*located("old", old), *located("new", new)]
    assert list(lint.axis_breaches(alone, taxonomy, [])) == []
    [breach] = lint.axis_breaches(located("new", new, old), taxonomy, [])
    assert breach == "new:2 toy-1: no place (1 of 2 in new)"


def test_axes_that_a_corpus_demands_are_on_every_document() -> None:
    taxonomy = taxonomies.parse(with_place("one").encode(), "toy")
    found = located("old", toy_example(1), toy_example(2))
    assert list(lint.axis_breaches(found, taxonomy, ["fruit", "rationales"])) == []
    [breach] = lint.axis_breaches(found, taxonomy, ["place"])
    assert breach == "old:1 toy-1: no place (2 of 2 in old)"
    with pytest.raises(WhereasError, match="no axis 'places'"):
        list(lint.axis_breaches(found, taxonomy, ["places"]))


def test_axes_of_the_committed_corpus_are_all_demanded(
    repository: Path, taxonomy: Taxonomy
) -> None:
    rules = lint.load_rules(repository / "training" / "corpus" / lint.RULES_FILE)
    assert rules.axes == taxonomy.axis_names


# ------------------------------------------------------------------ calibration and figures


def test_axes_unknown_rows_do_not_calibrate(
    taxonomy: Taxonomy, make_example: Callable[..., Example]
) -> None:
    every = make_example()
    grounds = [["surveillance"], ["cyber"], []]
    asked = [make_example(labels=every.labels | {"rationales": grounds[n % 3]}) for n in range(60)]
    silent = make_example(labels={"action": "relief", "status": "announced"})
    assert np.isnan(calibration.gold([silent], taxonomy)).sum() == 15 + 14 + 14
    right = calibration.gold(asked, taxonomy)
    known = np.random.default_rng(0).normal(0, 2, right.shape) + 4 * right
    wrong = np.random.default_rng(1).normal(0, 3, (30, len(known.T)))
    logits = np.concatenate([known, wrong])
    alone = calibration.calibrate(taxonomy, known, right)
    both = calibration.calibrate(
        taxonomy, logits, calibration.gold(asked + [silent] * 30, taxonomy)
    )
    assert both.platt == alone.platt
    assert both.thresholds == alone.thresholds
    assert both.temperature != alone.temperature


def test_axes_no_document_has_are_not_calibrated(make_example: Callable[..., Example]) -> None:
    for kind in ("one", "many"):
        taxonomy = taxonomies.parse(with_place(kind).encode(), "toy")
        examples = [toy_example(n) for n in range(30)]
        logits = np.random.default_rng(0).normal(0, 2, (30, 7))
        fitted = calibration.calibrate(taxonomy, logits, calibration.gold(examples, taxonomy))
        plain = calibration.identity(taxonomy)
        assert fitted.temperature.get("place") == plain.temperature.get("place")
        assert fitted.platt.get("place") == plain.platt.get("place")
        assert fitted.thresholds.get("place") == plain.thresholds.get("place")


@pytest.mark.parametrize(("kind", "figure"), [("one", "accuracy"), ("many", "micro-F1")])
def test_axes_unknown_rows_count_in_no_figure(kind: str, figure: str) -> None:
    taxonomy = taxonomies.parse(with_place(kind).encode(), "toy")
    old, new = [toy_example(n) for n in range(40)], [placed(n, kind) for n in range(100, 120)]
    examples = old + new
    plain = [calibration.identity(taxonomy)] * len(examples)
    right = calibration.gold(examples, taxonomy)
    logits = np.where(np.isnan(right), 9.0, right * 20 - 10)  # to old ones it gives both places
    found = evaluation.rows(taxonomy, logits, examples, plain)
    measured = evaluation.result(taxonomy, found, system="s", data="d", digest="", draws=20)
    assert measured.figures[f"place {figure}"].value == 1.0
    assert measured.figures[f"place {figure}"].n == (
        20 if kind == "one" else sum(len(e.many("place")) for e in new)
    )
    assert measured.figures["fruit accuracy"].n == 60
    assert measured.labels["place"]["scales"].value == 1.0
    only_old = evaluation.statistics(taxonomy, found[:40])
    assert not [name for name in only_old if name.startswith("place")]


# ------------------------------------------------------------------ training


@pytest.mark.train
@pytest.mark.parametrize("kind", ["one", "many"])
def test_axes_unknown_ones_add_no_loss_and_no_gradient(kind: str) -> None:
    import torch

    from whereas.recipe import Loss
    from whereas.training.network import label_loss

    taxonomy = taxonomies.parse(with_place(kind).encode(), "toy")
    examples = [toy_example(1), placed(2, kind), toy_example(3)]
    labels = torch.from_numpy(calibration.gold(examples, taxonomy))
    logits = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    weights = Loss(axes={}, attention=0.0, highlight=0.0, facts=0.0)
    parts = label_loss(
        logits, torch.zeros(3, 4, 7), labels, torch.ones(3), [], taxonomy, weights, smoothing=0.1
    )
    sum(parts.values()).backward()  # type: ignore[union-attr]
    assert logits.grad is not None
    assert bool(logits.grad[[0, 2], 5:].eq(0).all())
    assert bool(logits.grad[1].ne(0).all())
    assert bool(logits.grad[:, :5].ne(0).all())
    alone = label_loss(
        logits[1:2], torch.zeros(1, 4, 7), labels[1:2], torch.ones(1), [], taxonomy, weights,
        smoothing=0.1,
    )  # fmt: skip
    assert float(parts["place"]) == pytest.approx(float(alone["place"]) / 3)
    nobody = label_loss(
        logits[:1], torch.zeros(1, 4, 7), labels[:1], torch.ones(1), [], taxonomy, weights
    )
    assert float(nobody["place"]) == 0


@pytest.mark.train
def test_axes_unknown_ones_are_no_target(finished: Path, cache: Path) -> None:
    from whereas.model import Model
    from whereas.training import states

    taxonomy = taxonomies.parse(with_place("many").encode(), "toy")
    examples = {"toy": [toy_example(1), placed(2, "many")]}
    old, new = states.read(Model(finished / "model"), taxonomy, examples, {}, 1.0, quiet)["toy"]
    assert np.isnan(old.item.target.labels).tolist() == [False] * 5 + [True] * 2
    assert not np.isnan(new.item.target.labels).any()


@pytest.mark.train
def test_axes_unknown_rows_teach_the_words_nothing() -> None:
    from whereas.training import baseline

    taxonomy = taxonomies.parse(with_place("one").encode(), "toy")
    old = [toy_example(n) for n in range(60)]
    new = [placed(n, "one") for n in range(100, 140)]
    asked = baseline.logits(new, new, taxonomy)
    found = baseline.logits(old + new, new, taxonomy)
    right = [e.one("place") == "scales" for e in new]
    assert (found[:, 6] > found[:, 5]).tolist() == right == (asked[:, 6] > asked[:, 5]).tolist()
    assert np.isfinite(baseline.logits(old, new, taxonomy)).all()


@pytest.mark.train
@pytest.mark.parametrize("kind", ["one", "many"])
@pytest.mark.parametrize("fast", [True, False])
def test_axes_a_retraining_learns_a_new_one_and_keeps_the_old(
    finished: Path, base: Path, tmp_path: Path, cache: Path, fast: bool, kind: str
) -> None:
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training import routine
    from whereas.training.data import gather

    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text().replace("[fit]", "[fit]\nwarm_epochs = 8\nwarm_rate = 1"))
    (tmp_path / "taxonomy.toml").write_text(with_place(kind))
    new = tmp_path / "new.jsonl"
    new.write_bytes(b"\n".join(msgspec.json.encode(placed(n, kind)) for n in range(100, 180)))
    results = routine.train(
        recipe, tmp_path / "run", quiet, parent=finished / "model", add=[new], fast=fast
    )
    parent, child = Model(finished / "model"), Model(tmp_path / "run" / "model")
    by = {(r.system, r.data): r for r in results}
    learned = by[child.id, "new"].figures["place accuracy" if kind == "one" else "place micro-F1"]
    assert learned.value is not None
    assert learned.value >= 0.9, "half of them are right by chance"
    assert "place accuracy" not in by[parent.id, "new"].figures
    assert not [n for n in by[child.id, "toy"].figures if n.startswith("place")]
    data = gather(recipes.load(recipe), recipe, quiet)
    sets = routine.decisions(data, child, parent, quiet)
    for axis in ("fruit", "rationales"):
        mine, theirs = ([row.given[axis] for row in sets[m.id]["toy"]] for m in (child, parent))
        same = np.mean([a == b for a, b in zip(mine, theirs, strict=True)])
        assert same >= 0.85, f"{axis} was forgotten"


@pytest.mark.train
def test_axes_unknown_ones_are_not_suspected(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    from whereas.training import routine

    recipe = write_recipe(tmp_path, base)
    new = tmp_path / "new.jsonl"
    bare = [
        msgspec.structs.replace(toy_example(n), id=f"n{n}", event=f"n{n}", labels=labels)
        for n in range(100, 130)
        if (labels := {"fruit": toy_example(n).one("fruit")})
    ]
    bare = [msgspec.structs.replace(e, evidence={}) for e in bare]
    new.write_bytes(b"\n".join(map(msgspec.json.encode, bare)))
    plan: Any = routine.plan(
        recipe, tmp_path / "run", quiet, parent=finished / "model", add=[new], timed=False
    )
    shift, suspects = plan.tables[1:]
    assert not [row for row in shift.rows if row[0] == "rationales"]
    assert not [row for row in suspects.rows if row[1] == "rationales"]
    assert list(corpus.problems(bare, taxonomies.parse(TAXONOMY.encode(), "toy"))) == []
