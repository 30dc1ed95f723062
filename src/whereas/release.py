"""A trained model becomes the current one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from whereas import tasks
from whereas.errors import WhereasError
from whereas.evaluation import Result
from whereas.files import write
from whereas.model import models_folder, read_card, sha256
from whereas.report import model_card


def release(run: Path, models: Path | None = None, *, results: Sequence[Path] = ()) -> Path:
    """Copies `run/model` to `models/<name>-<version>/`, writes its card, moves `CURRENT`.

    The folder appears whole or not at all.

    Args:
        results: folders of `whereas evaluate -o`, of this model, whose figures go into the card.

    Raises:
        WhereasError: the run holds no finished model, a file of it was changed, figures are of
            another model, or that version exists.
    """
    models = models or models_folder()
    source = run / "model"
    card = read_card(source)
    try:
        figures = msgspec.json.decode((source / "metrics.json").read_bytes(), type=list[Result])
        parity = json.loads((run / "parity.json").read_text("utf-8"))
    except (OSError, msgspec.MsgspecError) as error:
        raise WhereasError(
            f"{run} is not a finished run: {error}", "Let `whereas train` finish"
        ) from error
    own = f"{card.name}-{card.version}@{sha256(source / 'model.json')[:8]}"
    if all(result.system != own for result in figures):
        measured = ", ".join(dict.fromkeys(r.system for r in figures)) or "nothing"
        raise WhereasError(
            f"the figures are not of this model: {source / 'metrics.json'} measures {measured}, "
            f"the model is {own}",
            "Let `whereas train` finish: it measures what it exports",
        )
    measured_on = [tasks.read(folder).record.result for folder in results]
    for folder, result in zip(results, measured_on, strict=True):
        if result.system != own:
            raise WhereasError(
                f"{folder} measures {result.system}, the model is {own}",
                f"whereas evaluate … --model {source} -o FOLDER",
            )
    target = models / f"{card.name}-{card.version}"
    if target.exists():
        raise WhereasError(f"{target} exists", "Raise the version in the recipe and train again")
    models.mkdir(parents=True, exist_ok=True)
    temporary = models / f".{target.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name in [*card.files, "model.json", "metrics.json"]:
        shutil.copyfile(source / name, temporary / name)
    text = model_card(card, figures, parity, measured_on)
    (temporary / "README.md").write_text(text, "utf-8")
    os.replace(temporary, target)
    write(models / "CURRENT", f"{target.name} {sha256(target / 'model.json')}\n")
    return target
