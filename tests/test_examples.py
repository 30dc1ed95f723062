"""The examples: gold labels that the taxonomy knows, one outcome each, most of them right."""

from __future__ import annotations

import json
from pathlib import Path

from whereas import model as models
from whereas import triage
from whereas.journal import Store
from whereas.model import Model
from whereas.records import Label
from whereas.taxonomy import Taxonomy


def test_examples_gold_labels_are_the_taxonomys(repository: Path, taxonomy: Taxonomy) -> None:
    lines = (repository / "examples/.gold.jsonl").read_text("utf-8").splitlines()
    for gold in map(json.loads, lines):
        for axis in taxonomy.axis_names:
            for label in [gold[axis]] if isinstance(gold[axis], str) else gold[axis]:
                taxonomy.check_label(axis, label)


def test_examples_each_leave_one_outcome_most_with_the_right_action(
    repository: Path, taxonomy: Taxonomy
) -> None:
    """Prints the count with `pytest -s`: 48 of 52 with whereas-0.3.0. A floor, not a merit."""
    folder = repository / "examples"
    lines = (folder / ".gold.jsonl").read_text("utf-8").splitlines()
    gold = {g["source"]: g["action"] for g in map(json.loads, lines)}
    settings = triage.Settings(briefs=False)
    with Store() as store:
        triage.run([str(folder)], Model(models.current()), store, settings)
        outcomes = [r.outcome for r in triage.ranked(store, settings)]
    found = {}
    for outcome in outcomes:
        action = outcome.labels.get("action")
        if isinstance(action, Label):
            found[Path(outcome.source).name] = action.label
    errors = {Path(o.source).name for o in outcomes if o.outcome == "error"}
    assert errors == {"empty-attachment.txt", "scan0007.pdf"}
    assert set(found) == set(gold)
    assert len(outcomes) == len(gold) + len(errors)
    right = sum(found[source] == action for source, action in gold.items())
    print(f"{right} of {len(gold)} examples have the right action")
    assert right >= 43
