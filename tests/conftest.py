"""What the tests share. Companies, people and events in them are invented."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from toys import quiet, write_base, write_recipe
from whereas import taxonomy as taxonomies
from whereas.records import Example
from whereas.taxonomy import Taxonomy

# Timing says nothing where other work shares the machine.
settings.register_profile("whereas", deadline=None)
settings.load_profile("whereas")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Training tests wait for torch; `make check` installs it and demands them."""
    if find_spec("torch") or os.environ.get("WHEREAS_REQUIRE_TRAIN"):
        return
    skip = pytest.mark.skip(reason="needs the train extra; `make check` runs it")
    for item in items:
        if item.get_closest_marker("train"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    """The taxonomy that the package ships."""
    return taxonomies.load()


@pytest.fixture(scope="session")
def make_example() -> Callable[..., Example]:
    """An example without problems; keyword arguments replace its fields."""

    def make(**fields: Any) -> Example:
        text = (
            "Ostrava put Belmarsh Optics on its export list because its cameras follow dissidents."
        )
        given: dict[str, Any] = {
            "id": "one",
            "title": "Ostrava lists Belmarsh Optics",
            "text": text,
            "labels": {
                "action": "export_control",
                "secondary_actions": [],
                "rationales": ["surveillance"],
                "background_rationales": [],
                "status": "announced",
            },
            "event": "belmarsh",
        }
        return Example(**(given | fields))

    return make


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny encoder that toy recipes start from."""
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def finished(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the toy recipe, which lies beside it. Only to be read."""
    from whereas.training.routine import train

    folder = tmp_path_factory.mktemp("finished")
    train(write_recipe(folder, base, epochs=16), folder / "run", quiet)
    return folder / "run"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where states are cached, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "whereas"
