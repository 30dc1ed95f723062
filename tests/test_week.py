"""An analyst's week at the command line: new labels come in with errors, are looked through and
mended, and the model is retrained on them in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from toys import PLUM, quiet, toy_example, write_recipe
from whereas import evaluation
from whereas.cli import app
from whereas.records import Example, Span

pytestmark = pytest.mark.train

NEW = range(200, 260)
ERRORS = {201: "none", 222: "pear", 245: "apple"}
"""Labels given late on Friday to an apple, another apple and a document about bricks."""


def labelled(n: int) -> Example:
    """A document of the week. All its pears are plums, a fruit that the model has never seen."""
    example = toy_example(n)
    if example.one("fruit") == "pear":
        text = example.text.replace("pears", "plums")
        labels = example.labels | {"fruit": "plum"}
        example = msgspec.structs.replace(example, text=text, labels=labels)
    return msgspec.structs.replace(example, id=f"w{n}", event=f"w{n}")


def mislabelled(n: int) -> Example:
    example = labelled(n)
    if n not in ERRORS:
        return example
    sold = Span(example.text.index("They sold"), example.text.index(" on monday"))
    labels = example.labels | {"fruit": ERRORS[n]}
    evidence = example.evidence | {"fruit": [sold]}
    if ERRORS[n] == "none":
        labels, evidence = labels | {"rationales": []}, {}
    return msgspec.structs.replace(example, labels=labels, evidence=evidence)


def write(path: Path, examples: list[Example]) -> None:
    path.write_bytes(b"\n".join(map(msgspec.json.encode, examples)))


def invoke(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def test_week_of_new_labels(finished: Path, base: Path, tmp_path: Path, cache: Path) -> None:
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training import routine
    from whereas.training.data import gather

    recipe = write_recipe(tmp_path, base)
    (tmp_path / "taxonomy.toml").write_text(PLUM)
    new, run, parent = tmp_path / "week.jsonl", tmp_path / "run", finished / "model"
    train = ("train", recipe, "--from", parent, "--add", new, "-o", run)

    # Monday: typing errors stop at the door, and say what was meant.
    write(new, [mislabelled(n) for n in NEW])
    good = new.read_text()
    for right, typo, said in [
        ('"fruit":"plum"', '"fruit":"plumm"', "not a label of fruit. Did you mean plum?"),
        ('"fruit":"plum"', '"friut":"plum"', "no axis 'friut'. Did you mean fruit?"),
        ('"sour":[', '"suor":[', "'suor', which is not among its labels. Did you mean sour?"),
    ]:
        assert right in good
        new.write_text(good.replace(right, typo, 1))
        done = invoke(*train, "--dry-run")
        assert done.exit_code == 2
        assert said in " ".join(done.stderr.split())

    # Tuesday: the dry run names the new label and doubts what the text does not bear out.
    new.write_text(good)
    done = invoke(*train, "--fast", "--dry-run")
    assert done.exit_code == 0, done.output
    shift, _, suspects = done.stdout.partition("Suspected label errors")
    assert "plum" in shift.partition("more or less frequent")[2]
    doubted = {n for n in NEW if f"w{n} " in suspects}
    assert set(ERRORS) <= doubted
    assert len(doubted) <= len(ERRORS) + 2

    # Wednesday: mended, the model is retrained.
    write(new, [labelled(n) for n in NEW])
    done = invoke(*train, "--fast")
    assert done.exit_code == 0, done.output
    child = Model(run / "model")
    assert child.id in done.stdout

    # Thursday: it is better at the new label, and the old ones have lost nothing.
    data = gather(recipes.with_data(recipes.load(recipe), [new]), recipe, quiet)
    was = Model(parent)
    decided = routine.decisions(data, child, was, quiet)
    mine, theirs = decided[child.id], decided[was.id]
    [better] = evaluation.compare(data.taxonomy, mine["week"], theirs["week"], ["fruit accuracy"])
    assert better.value is not None
    assert better.p is not None
    assert better.value > 0.15
    assert better.p < 0.05
    measured = {r["data"]: r for r in json.loads((run / "model" / "metrics.json").read_text())[:2]}
    assert measured["week"]["labels"]["fruit"]["plum"]["value"] > 0.8
    names = [n for n in evaluation.statistics(data.taxonomy, mine["toy"]) if "ECE" not in n]
    old = evaluation.compare(data.taxonomy, mine["toy"], theirs["toy"], names)
    assert "fruit accuracy" in {gap.name for gap in old}
    lost = [
        g.name for g in old if (g.value or 0) < 0 and g.adjusted is not None and g.adjusted < 0.05
    ]
    assert not lost
