"""Axes and labels, read from a TOML file: what a model decides, and nothing about how."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec

from whereas.errors import WhereasError

BACKGROUND_PREFIX = "background:"


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """One question asked of a document.

    `kind` is `one` (exactly one label) or `many` (a set, at most `max`). `layer` tells whether its
    evidence lies in what the document reports (`news`) or in what it recalls (`background`).
    `irrelevant` is the label of this axis that every irrelevant document has.
    """

    name: str
    title: str
    kind: Literal["one", "many"]
    labels: dict[str, str] = {}
    labels_of: str | None = None
    without: list[str] = []
    max: int | None = None
    layer: Literal["news", "background"] = "news"
    irrelevant: str | None = None

    @property
    def names(self) -> list[str]:
        """Label names in their fixed order: column j of every score matrix is names[j]."""
        return list(self.labels)

    def evidence_key(self, label: str, primary: str) -> str:
        """Where an `Example` keeps the quotes for a label of this axis.

        An axis of one label that irrelevant documents have a label of (`status`: how far the action
        is) says something of the primary label and is read off its quotes; any other has its own,
        under its name.
        """
        if self.kind == "one":
            return primary if self.name == primary or self.irrelevant is not None else self.name
        return BACKGROUND_PREFIX + label if self.layer == "background" else label


class Irrelevant(msgspec.Struct, frozen=True):
    axis: str
    label: str


class Taxonomy(msgspec.Struct, frozen=True, kw_only=True):
    """A versioned set of axes. `irrelevant` names the label that says "not about this at all"."""

    name: str
    version: str
    axis: list[Axis]
    irrelevant: Irrelevant

    def __getitem__(self, name: str) -> Axis:
        for axis in self.axis:
            if axis.name == name:
                return axis
        raise WhereasError(
            f"no axis {name!r} in taxonomy {self.name}", "Axes: " + ", ".join(self.axis_names)
        )

    @property
    def axis_names(self) -> list[str]:
        return [axis.name for axis in self.axis]

    @property
    def primary(self) -> Axis:
        """The axis that decides relevance."""
        return self[self.irrelevant.axis]

    def check_label(self, axis: str, label: str) -> None:
        """Raises `WhereasError` with the nearest valid label when `label` is not one of `axis`."""
        names = self[axis].names
        if label not in names:
            raise WhereasError(
                f"{label!r} is not a label of {axis}",
                nearest(label, names) + "Labels: " + ", ".join(names),
            )


def parse(source: bytes, where: str) -> Taxonomy:
    """Reads taxonomy TOML. Raises `WhereasError` for bad TOML, unknown keys, broken references."""
    try:
        raw: dict[str, Any] = tomllib.loads(source.decode("utf-8"))
        taxonomy = msgspec.convert(raw, Taxonomy)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise WhereasError(
            f"{where} is not a taxonomy: {error}", "See the TOML of the one in use"
        ) from error
    unknown = set(raw) - set(Taxonomy.__struct_fields__)
    unknown |= set(raw["irrelevant"]) - set(Irrelevant.__struct_fields__)
    for axis in raw["axis"]:
        unknown |= set(axis) - set(Axis.__struct_fields__)
    if unknown:
        raise WhereasError(
            f"{where}: unknown keys {', '.join(sorted(unknown))}",
            "Keys of an axis: " + ", ".join(Axis.__struct_fields__),
        )
    resolved: list[Axis] = []
    for axis in taxonomy.axis:
        if axis.labels_of is not None:
            of = next((a for a in resolved if a.name == axis.labels_of), None)
            if of is None:
                raise WhereasError(
                    f"{where}: axis {axis.name} takes its labels from {axis.labels_of!r}",
                    "That axis must stand above it",
                )
            labels = {k: v for k, v in of.labels.items() if k not in axis.without}
            axis = msgspec.structs.replace(axis, labels=labels)
        if len(axis.labels) < 2:
            raise WhereasError(f"{where}: axis {axis.name} has fewer than two labels", "Add labels")
        resolved.append(axis)
    taxonomy = msgspec.structs.replace(taxonomy, axis=resolved)
    if taxonomy.primary.kind != "one":
        raise WhereasError(
            f"{where}: [irrelevant] names axis {taxonomy.primary.name}, which is a set",
            'It must be an axis of kind "one"',
        )
    taxonomy.check_label(taxonomy.irrelevant.axis, taxonomy.irrelevant.label)
    return taxonomy


def load(path: Path | None = None) -> Taxonomy:
    """The taxonomy in a TOML file; the one the package ships when no path is given."""
    if path is None:
        return parse(default_toml(), "taxonomy.toml")
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise WhereasError(
            f"cannot read {path}: {error.strerror}", "Give a taxonomy TOML"
        ) from error


def default_toml() -> bytes:
    return (resources.files("whereas") / "data" / "taxonomy.toml").read_bytes()


def digest(source: bytes) -> str:
    return "sha256:" + hashlib.sha256(source).hexdigest()


def nearest(name: str, names: Iterable[str]) -> str:
    """`Did you mean …? ` with the most alike of `names`, or nothing if none is alike."""
    near = difflib.get_close_matches(name.casefold(), sorted(names), n=1)
    return f"Did you mean {near[0]}? " if near else ""


def readable(labels: Iterable[str]) -> str:
    """Label names for people: underscores become spaces, joined by commas."""
    return ", ".join(label.replace("_", " ") for label in labels)
