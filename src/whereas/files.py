"""Files written whole or not at all, and TOML read strictly."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from whereas.errors import WhereasError

T = TypeVar("T", bound=msgspec.Struct)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the name `path` at the end, or leaves no trace.

    Its name is fixed, so that a killed run leaves one at most, and the next run replaces it.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as file:
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write(path: Path, content: bytes | str) -> None:
    """Writes a file whole; text in UTF-8."""
    with replacing(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def write_json(path: Path, value: Any) -> None:
    """Writes a value that msgspec knows as indented JSON with sorted keys."""
    encoded = msgspec.json.encode(value, order="sorted")
    write(path, msgspec.json.format(encoded, indent=1) + b"\n")


def make_folder(folder: Path) -> None:
    """Makes a folder for output, if it is not there. Raises `WhereasError` when it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WhereasError(
            f"cannot make the folder {folder}: {error.strerror}", "Give another folder with -o"
        ) from error


def read_toml(
    path: Path, kind: type[T], name: str, sections: Mapping[str, type[msgspec.Struct]] | None = None
) -> T:
    """The struct that a TOML file holds; unknown keys are errors where the struct forbids them.

    Args:
        name: what the file is, for people: "recipe".
        sections: structs of its sections, so that the error lists the keys of the one that is off.

    Raises:
        WhereasError: the file cannot be read, is not TOML or does not fit.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), kind)
    except OSError as error:
        raise WhereasError(
            f"cannot read {path}: {error.strerror}", f"Give a {name} TOML"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        at = next((s for s in sections or {} if f"$.{s}" in str(error)), None)
        keys = ((sections or {})[at] if at else kind).__struct_fields__
        raise WhereasError(
            f"{path}: {error}", f"Keys of {at or f'a {name}'}: " + ", ".join(keys)
        ) from error
