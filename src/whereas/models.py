"""The released models: which there are, whether they are whole, how two differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from whereas.errors import WhereasError
from whereas.evaluation import Result
from whereas.model import Card, current, models_folder, read_card, sha256
from whereas.records import Table


def folders() -> list[Path]:
    """Folders of released models, by name."""
    return sorted(p.parent for p in models_folder().glob("*/model.json"))


def find(name: str) -> Path:
    """The folder of a model: a path, a released model's name, or CURRENT."""
    if name == "CURRENT":
        return current()
    released = models_folder() / name
    folder = released if (released / "model.json").is_file() else Path(name)
    if not (folder / "model.json").is_file():
        known = ", ".join(p.name for p in folders()) or "none"
        raise WhereasError(f"no model {name!r}", f"Released: {known}; or give a folder")
    return folder


def overview() -> Table:
    """Every released model: when and from what it was trained, its size, whether it is current or
    damaged."""
    named = _named()
    rows = []
    for folder in folders():
        try:
            card = _whole(folder)
        except WhereasError:
            rows.append([folder.name, "", "", "", "", "damaged"])
            continue
        size = sum(p.stat().st_size for p in folder.iterdir()) / 1e6
        documents = sum(
            part["documents"] for name, part in card.data.items() if name.endswith("/train")
        )
        rows.append(
            [
                folder.name,
                card.trained_at,
                f"{documents:,}",
                f"{size:.0f} MB",
                card.parent or "",
                "current" if folder.name == named else "",
            ]
        )
    columns = ["model", "trained", "documents", "size", "parent", ""]
    return Table(title="Released models", columns=columns, rows=rows)


def verify(folder: Path) -> str:
    """What was found right about a model, in a sentence that begins with its id.

    Its manifest holds digests of the files it decides with, not of its figures (`metrics.json`) and
    card (`README.md`); the manifest itself is known only of the model that `CURRENT` names.

    Raises:
        WhereasError: a file is missing or has another digest.
    """
    card = _whole(folder)
    own = f"{card.name}-{card.version}@{sha256(folder / 'model.json')[:8]}"
    if _is_current(folder):
        return f"{own}: its files match its manifest, and that is the one CURRENT names"
    return f"{own}: its files match its manifest"


def _whole(folder: Path) -> Card:
    """The manifest of a model whose files match it, and which CURRENT's digest matches where it
    names the model; raises `WhereasError`."""
    card = read_card(folder)
    if _is_current(folder):
        current()
    return card


def _is_current(folder: Path) -> bool:
    return folder.resolve() == (models_folder() / _named()).resolve()


def _named() -> str:
    """The name of the folder that CURRENT points to; empty where there is none."""
    try:
        return (models_folder() / "CURRENT").read_text("utf-8").split()[0]
    except (OSError, IndexError):
        return ""


def difference(first: Path, second: Path) -> list[Table]:
    """What two models were made of differently, and their figures on the same development data."""
    one, other = read_card(first), read_card(second)
    settings = [[key, _short(a), _short(b)] for key, a, b in _settings(one, other) if a != b]
    figures = []
    theirs = {(r.data, r.digest): r for r in _results(second, other)}
    for result in _results(first, one):
        same = theirs.get((result.data, result.digest))
        for name, figure in result.figures.items() if same else []:
            match = same.figures.get(name) if same else None
            if match and figure.value is not None and match.value is not None:
                gap = match.value - figure.value
                figures.append(
                    [result.data, name, f"{figure.value:.3f}", f"{match.value:.3f}", f"{gap:+.3f}"]
                )
    names = [first.name, second.name]
    if names[0] == names[1]:  # two runs: each has its model in `model`
        names = [f"{card.name}-{card.version}" for card in (one, other)]
    return [
        Table(title="Made of", columns=["", *names], rows=settings),
        Table(
            title="Figures on the same data, if any (no test: see whereas compare)",
            columns=["data", "figure", *names, "difference"],
            rows=figures,
        ),
    ]


def _settings(one: Card, other: Card) -> Iterator[tuple[str, Any, Any]]:
    for key in ("version", "base", "parent", "trained_at", "code"):
        yield key, getattr(one, key), getattr(other, key)
    for part in ("fit", "loss", "windows"):
        a, b = one.recipe.get(part, {}), other.recipe.get(part, {})
        for key in dict.fromkeys([*a, *b]):
            yield f"{part}.{key}", a.get(key), b.get(key)
    yield "taxonomy", one.files["taxonomy.toml"][:8], other.files["taxonomy.toml"][:8]
    a, b = ({d["name"]: d for d in card.recipe.get("data", [])} for card in (one, other))
    for name in dict.fromkeys([*a, *b]):
        for key in ("weight", "sample"):
            yield f"data {name} {key}", a.get(name, {}).get(key), b.get(name, {}).get(key)
    for name in dict.fromkeys([*one.data, *other.data]):
        yield f"data {name}", one.data.get(name), other.data.get(name)


def _short(value: Any) -> str:
    if isinstance(value, dict) and "digest" in value:
        return f"{value['documents']} documents, {value['digest'][7:15]}"
    return "-" if value is None else str(value)


def _results(folder: Path, card: Card) -> list[Result]:
    """The model's own figures, of `metrics.json`."""
    try:
        found = msgspec.json.decode((folder / "metrics.json").read_bytes(), type=list[Result])
    except (OSError, msgspec.MsgspecError):
        return []
    return [r for r in found if r.system.startswith(f"{card.name}-{card.version}@")]
