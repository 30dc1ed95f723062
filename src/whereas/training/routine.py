"""The whole way from a recipe to a model folder with its figures."""

from __future__ import annotations

from pathlib import Path

import msgspec

from whereas import corpus
from whereas import recipe as recipes
from whereas.errors import WhereasError
from whereas.evaluation import (
    Result,
    crossfitted,
    evidence_figures,
    label_figures,
    logits_of,
)
from whereas.model import Model
from whereas.training import baseline
from whereas.training.export import export, restore, write_json
from whereas.training.fit import Corpus, Progress, Run, gather

MAX_FLIPPED = 0.01
MIN_COSINE = 0.99


def train(recipe: Path, folder: Path, say: Progress) -> list[Result]:
    """Trains, exports and measures: `folder/model` is ready for `whereas release`.

    Killed and run again, it goes on from its last epoch. Returns the figures of the model and of
    the baseline on each development set.

    Raises:
        WhereasError: bad recipe or data, or the exported model decides otherwise than the trained
            one (more than 1 % of labels flipped, or a mean cosine of sentence states under .99).
    """
    run = Run(recipe, folder, say)
    run.train()
    restore(run)
    say("exporting")
    parity = export(run, folder / "model")
    write_json(folder / "parity.json", msgspec.to_builtins(parity))
    say(f"parity: {parity.flipped_labels:.2%} of labels flipped, cosine {parity.cosine:.4f}")
    if parity.flipped_labels > MAX_FLIPPED or parity.cosine < MIN_COSINE:
        raise WhereasError(
            f"the int8 model differs from the trained one: {parity.flipped_labels:.2%} of labels "
            f"flipped, cosine {parity.cosine:.4f}",
            f"Allowed are {MAX_FLIPPED:.0%} and {MIN_COSINE}",
        )
    say("measuring")
    results = measure(run.corpus, Model(folder / "model"))
    write_json(folder / "model" / "metrics.json", msgspec.to_builtins(results))
    return results


def measure(data: Corpus, model: Model) -> list[Result]:
    """Model and baseline on every development set, calibrated by cross-fitting."""
    dev = [e for group in data.dev.values() for e in group]
    where = [name for name, group in data.dev.items() for _ in group]
    train_examples = [e for group in data.train.values() for e in group]
    weight = [data.weights[name] for name, group in data.train.items() for _ in group]
    systems = {
        model.id: logits_of(model, dev),
        "TF-IDF + logistic regression": baseline.logits(train_examples, dev, data.taxonomy, weight),
    }
    results = []
    for system, logits in systems.items():
        calibrations = crossfitted(data.taxonomy, logits, dev)
        for name, group in data.dev.items():
            rows = [n for n, at in enumerate(where) if at == name]
            result = label_figures(
                data.taxonomy,
                logits[rows],
                group,
                [calibrations[n] for n in rows],
                system=system,
                data=name,
                digest=corpus.digest(group),
            )
            if system == model.id:
                shown = evidence_figures(model, group)
                result = msgspec.structs.replace(result, figures={**result.figures, **shown})
            results.append(result)
    return results


def evaluate(recipe: Path, folder: Path, say: Progress) -> list[Result]:
    """Measures a released model on a recipe's development data, beside the baseline."""
    return measure(gather(recipes.load(recipe), recipe, say), Model(folder))
