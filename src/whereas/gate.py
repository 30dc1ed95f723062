"""Floors under the figures of the released model, pinned in a file and held by `make check`.

What is gated: the headline figures of labels, and every figure of robustness and direction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from whereas.errors import WhereasError
from whereas.evaluation import Result
from whereas.files import write_json
from whereas.report import COMPARED

SLACK = 0.01
"""A floor lies this much below what was measured: int8 arithmetic differs between processors by a
decision or two in a few hundred documents."""
GATED = (*COMPARED, "recalled rationales kept apart", "action evidence hit")


class Floor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a task must reach: its documents, by number and digest, and the least of each figure."""

    documents: int
    digest: str
    floors: dict[str, float]


def load(path: Path) -> dict[str, Floor]:
    """Floors by task. Raises `WhereasError` when the file is missing or does not fit."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Floor])
    except OSError as error:
        raise WhereasError(
            f"cannot read {path}: {error.strerror}", "Make it with --repin"
        ) from error
    except msgspec.MsgspecError as error:
        raise WhereasError(f"{path}: {error}", "Delete it and pin anew with --repin") from error


def fallen(floors: dict[str, Floor], results: Sequence[Result]) -> list[str]:
    """What fell below its floor, or cannot be held to one, a line each."""
    found = []
    for result in results:
        floor = floors.get(result.data)
        if floor is None:
            found.append(f"{result.data}: no floors are pinned")
            continue
        if (floor.documents, floor.digest) != (result.documents, result.digest):
            found.append(f"{result.data}: other documents than the pinned {floor.documents}")
        for name, least in floor.floors.items():
            figure = result.figures.get(name)
            value = figure.value if figure else None
            if value is None:
                found.append(f"{result.data}: {name} is undefined, its floor is {least:.3f}")
            elif value < least:
                found.append(f"{result.data}: {name} fell to {value:.3f}, its floor is {least:.3f}")
    return found


def repin(path: Path, results: Sequence[Result], *, allow_regression: bool = False) -> list[str]:
    """Pins the floors of the tasks measured, and returns what changed, a line each.

    Raises:
        WhereasError: a floor would be lowered or dropped, and `allow_regression` is not set.
    """
    floors = load(path) if path.exists() else {}
    changes, lowered = [], []
    for result in results:
        new = {
            name: math.floor((figure.value - SLACK) * 1000) / 1000
            for name, figure in result.figures.items()
            if (name in GATED or ": " in name) and figure.value is not None
        }
        old = floors[result.data].floors if result.data in floors else {}
        for name in {**old, **new}:
            before, after = old.get(name), new.get(name)
            if before == after:
                continue
            line = f"{result.data}: {name} {_shown(before)} → {_shown(after)}"
            changes.append(line)
            if before is not None and (after is None or after < before):
                lowered.append(line)
        floors[result.data] = Floor(
            documents=result.documents, digest=result.digest, floors=dict(sorted(new.items()))
        )
    if lowered and not allow_regression:
        raise WhereasError(
            f"{len(lowered)} floors would be lowered: {'; '.join(lowered)}",
            "If that is meant, say --allow-regression",
        )
    write_json(path, floors)
    return changes


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
