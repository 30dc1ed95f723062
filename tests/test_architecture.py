"""The floors of DESIGN.md hold, and heavy or outward imports stay where they belong."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "whereas"
FILES = sorted(SOURCE.rglob("*.py"))

FLOORS = {
    "__init__": 0,
    "errors": 0,
    "records": 0,
    "taxonomy": 1,
    "sentences": 1,
    "metrics": 1,
    "charts": 1,
    "files": 1,
    "alterations": 1,
    "words": 1,
    "recipe": 2,
    "calibration": 2,
    "corpus": 2,
    "readers": 2,
    "exchange": 2,
    "composition": 2,
    "encoder": 3,
    "facts": 4,
    "sinks": 4,
    "model": 5,
    "journal": 5,
    "lint": 5,
    "brief": 6,
    "triage": 7,
    "evaluation": 7,
    "robustness": 8,
    "tasks": 9,
    "training": 8,
    "report": 10,
    "gate": 11,
    "page": 11,
    "release": 11,
    "models": 11,
    "display": 11,
    "cli": 12,
}
"""A module imports only from lower floors; modules of one package also from each other."""

TRAINING_ONLY = {"torch", "transformers", "sklearn", "peft"}
NETWORK = {
    "aiohttp",
    "ftplib",
    "http.client",
    "httpx",
    "huggingface_hub",
    "requests",
    "socket",
    "urllib.request",
    "urllib3",
}
HEAVY = {
    "datasets",
    "matplotlib",
    "onnxruntime",
    "pandas",
    "pyarrow",
    "sklearn",
    "torch",
    "transformers",
}


def named(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def top(path: Path) -> str:
    """The module or package of `whereas` that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path, source: str | None = None) -> Iterator[str]:
    """Dotted names that a file imports anywhere in it; `from a import b` gives `a` and `a.b`."""
    package = ["whereas", *path.relative_to(SOURCE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text("utf-8") if source is None else source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def own_imports(path: Path) -> set[str]:
    """Other modules and packages of `whereas` that a file imports."""
    found = set()
    for name in imports(path):
        root, _, rest = name.partition(".")
        if root == "whereas":
            part = rest.partition(".")[0]
            exists = (SOURCE / f"{part}.py").is_file() or (SOURCE / part / "__init__.py").is_file()
            if part:
                found.add(part if exists else "__init__")
    return found - {top(path)}


def within(name: str, names: set[str]) -> bool:
    return any(name == n or name.startswith(f"{n}.") for n in names)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_architecture_module_has_a_floor(path: Path) -> None:
    assert top(path) in FLOORS, (
        f"src/whereas/{named(path)} has no floor: "
        "give it one in DESIGN.md and in FLOORS of tests/test_architecture.py"
    )


@pytest.mark.parametrize("path", FILES, ids=named)
def test_architecture_module_imports_only_from_lower_floors(path: Path) -> None:
    here = FLOORS.get(top(path), -1)
    wrong = [
        f"{named(path)} (floor {here}) imports {other} (floor {FLOORS.get(other)})"
        for other in sorted(own_imports(path))
        if FLOORS.get(other, 99) >= here
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_architecture_training_libraries_stay_in_training(path: Path) -> None:
    if top(path) != "training":
        assert not [name for name in imports(path) if within(name, TRAINING_ONLY)]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_architecture_module_imports_no_network(path: Path) -> None:
    assert not [name for name in imports(path) if within(name, NETWORK)]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import urllib.request as r", "urllib.request"),
        ("from urllib import request", "urllib.request"),
        ("def f():\n    from whereas.readers import rows", "whereas.readers.rows"),
        ("from . import pages", "whereas.readers.pages"),
        ("from .pages import x", "whereas.readers.pages"),
        ("from ..model import Model", "whereas.model"),
    ],
)
def test_architecture_walk_sees_every_form_of_import(line: str, name: str) -> None:
    assert name in set(imports(SOURCE / "readers" / "rows.py", line))


def test_architecture_command_line_starts_without_heavy_imports() -> None:
    code = (
        f"import json, sys; sys.path.insert(0, {str(SOURCE.parent)!r}); import whereas.cli; "
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert "whereas.cli" in loaded
    assert not loaded & HEAVY
