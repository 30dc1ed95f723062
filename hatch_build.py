"""Puts the current released model into the wheel, as `whereas/models`."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":  # found beside the sources
            return
        models = Path(self.root) / "models"
        name = (models / "CURRENT").read_text("utf-8").split()[0]
        for source in (models / "CURRENT", models / name):
            build_data["force_include"][str(source)] = f"whereas/models/{source.name}"
