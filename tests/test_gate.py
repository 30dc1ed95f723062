"""The gate: what falls is named, floors are not lowered by accident."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from whereas import gate
from whereas.errors import WhereasError
from whereas.evaluation import Figure, Result


def result(accuracy: float | None = 0.8, **fields: object) -> Result:
    figures = {
        "action accuracy": Figure(value=accuracy, n=50),
        "relevance AP": Figure(value=0.9, n=40),
        "status accuracy": Figure(value=0.1, n=50),
    }
    made = Result(
        system="s", data="gold", documents=50, digest="sha256:a", figures=figures, labels={}
    )
    return msgspec.structs.replace(made, **fields)


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    path = tmp_path / "floors.json"
    gate.repin(path, [result()])
    return path


def test_gate_holds_what_was_pinned(pinned: Path) -> None:
    assert gate.fallen(gate.load(pinned), [result()]) == []


def test_gate_holds_every_figure_of_robustness(tmp_path: Path) -> None:
    path = tmp_path / "floors.json"
    kept = {"spun wording: action kept": Figure(value=0.9, n=50)}
    gate.repin(path, [result(figures=kept)])
    worse = {"spun wording: action kept": Figure(value=0.5, n=50)}
    [line] = gate.fallen(gate.load(path), [result(figures=worse)])
    assert "spun wording: action kept fell to 0.500" in line


def test_gate_floor_lies_a_little_below_what_was_measured(pinned: Path) -> None:
    floors = gate.load(pinned)["gold"].floors
    assert floors == {"action accuracy": 0.79, "relevance AP": 0.89}
    assert gate.fallen(gate.load(pinned), [result(0.7901)]) == []


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        (result(0.78), "gold: action accuracy fell to 0.780, its floor is 0.790"),
        (result(None), "gold: action accuracy is undefined, its floor is 0.790"),
        (result(figures={"action accuracy": Figure(value=0.9, n=1)}), "relevance AP is undefined"),
        (result(digest="sha256:b"), "gold: other documents than the pinned 50"),
        (result(documents=49), "gold: other documents than the pinned 50"),
        (result(data="other"), "other: no floors are pinned"),
    ],
)
def test_gate_names_what_fell(pinned: Path, measured: Result, message: str) -> None:
    [line] = gate.fallen(gate.load(pinned), [measured])
    assert message in line


def test_gate_repin_raises_floors_and_says_so(pinned: Path) -> None:
    assert gate.repin(pinned, [result(0.9)]) == ["gold: action accuracy 0.790 → 0.890"]
    assert gate.load(pinned)["gold"].floors["action accuracy"] == 0.89


def test_gate_repin_refuses_to_lower_and_leaves_the_file(pinned: Path) -> None:
    before = pinned.read_bytes()
    with pytest.raises(WhereasError, match=r"1 floors would be lowered: .*0\.790 → 0\.690"):
        gate.repin(pinned, [result(0.7)])
    assert pinned.read_bytes() == before
    gate.repin(pinned, [result(0.7)], allow_regression=True)
    assert gate.load(pinned)["gold"].floors["action accuracy"] == 0.69


def test_gate_repin_refuses_to_drop_a_floor(pinned: Path) -> None:
    with pytest.raises(WhereasError, match=r"action accuracy 0\.790 → none"):
        gate.repin(pinned, [result(None)])


def test_gate_repin_of_one_task_keeps_the_others(pinned: Path) -> None:
    gate.repin(pinned, [result(data="other")])
    assert set(gate.load(pinned)) == {"gold", "other"}


@pytest.mark.parametrize("content", ["", "{", '{"gold": {"floor": {}}}'])
def test_gate_damaged_floors_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "floors.json"
    path.write_text(content)
    with pytest.raises(WhereasError, match=r"floors\.json"):
        gate.load(path)


def test_gate_missing_floors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WhereasError, match="cannot read"):
        gate.load(tmp_path / "none.json")
