"""The learning curve: shares of the labels, and what twice as many would be worth."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from toys import PLUM, quiet, toy_example, with_file, write_recipe
from whereas import taxonomy as taxonomies
from whereas.cli import app
from whereas.errors import WhereasError
from whereas.records import Example

pytestmark = pytest.mark.train


def test_curve_shares_are_nested_and_of_whole_events(base: Path, tmp_path: Path) -> None:
    from whereas import recipe as recipes
    from whereas.training.curve import SHARES
    from whereas.training.data import gather

    recipe = write_recipe(tmp_path, base)
    triplets = [
        Example(
            id=f"more-{n}",
            title="",
            text=f"Crate {n} is here.",
            labels={"fruit": "none"},
            event=f"event of three {n // 3}",
        )
        for n in range(90)
    ]
    asked = recipes.load(with_file(recipe, "more", triplets))
    parts = [gather(asked, recipe, quiet, share=share) for share in SHARES]
    taken = [{e.id for g in part.train.values() for e in g} for part in parts]
    assert taken[0] < taken[1] < taken[2] < taken[3]
    assert 10 <= len(taken[0]) <= 60
    for part in parts:
        events = {e.event for e in part.train["more"]}
        assert len(part.train["more"]) == 3 * len(events)
        assert part.dev == parts[-1].dev
    assert parts[0].digests["more/train"] != parts[1].digests["more/train"]


def test_curve_draws_less_of_sampled_data(base: Path, tmp_path: Path) -> None:
    from whereas import recipe as recipes

    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text().replace('role = "split"', 'role = "split"\nsample = 30'))
    assert recipes.thinned(recipes.load(recipe), 0.25).data[0].sample == 8
    assert recipes.thinned(recipes.load(write_recipe(tmp_path, base)), 0.25).data[0].sample == 0


def values(figures: list[float], spread: float, draws: int = 400) -> np.ndarray:
    """Figures at four shares whose draws move all of them alike, and each by `spread`."""
    rng = np.random.default_rng(0)
    drawn = np.asarray(figures)[:, None] + rng.normal(0, spread, (4, draws))
    return np.concatenate([np.asarray(figures)[:, None], drawn + rng.normal(0, 0.05, draws)], 1)


def test_curve_gain_of_a_steady_rise_is_its_slope() -> None:
    from whereas.training.curve import SHARES, gain

    found = gain(values([0.7 + 0.03 * np.log2(s) for s in SHARES], 0.002))
    assert found.value == pytest.approx(0.03)
    assert found.low is not None
    assert found.high is not None
    assert 0.02 < found.low < 0.03 < found.high < 0.04, "what moves all points alike is no doubt"


@pytest.mark.parametrize(
    ("figures", "spread"),
    [
        ([0.7, 0.7, 0.7, 0.7], 0.005),
        ([0.6, 0.75, 0.62, 0.7], 0.001),
        ([0.7, 0.71, 0.7, 0.72], 0.04),
    ],
    ids=["flat", "points off the line", "few development documents"],
)
def test_curve_gain_that_could_be_none_cannot_be_told(figures: list[float], spread: float) -> None:
    from whereas.training.curve import _worth, gain

    found = gain(values(figures, spread))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high
    assert _worth("action macro-F1", found).startswith("Cannot tell whether twice the labels")


def test_curve_without_draws_says_so() -> None:
    from whereas.training.curve import _worth, gain

    found = gain(np.array([[0.5], [0.6], [0.7], [0.8]]))
    assert _worth("x", found).startswith("Too few development events")


def test_curve_fast_goes_on_where_it_was_and_refuses_other_data(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    from whereas.training.curve import FLATTERED, curve

    recipe = write_recipe(tmp_path, base)
    said: list[str] = []

    def run() -> None:
        nonlocal found
        found = curve(recipe, tmp_path / "run", say, parent=finished / "model", fast=True)

    def say(line: object) -> None:
        said.append(str(line))
        if len(said) == 5:  # two files read, two points done
            raise KeyboardInterrupt

    found = None
    with pytest.raises(KeyboardInterrupt):
        run()
    assert sorted(p.name for p in (tmp_path / "run" / "curve").iterdir()) == ["25.json", "50.json"]
    run()
    assert [line for line in said if line.startswith("training")] == [
        "training on 25% of the events",
        "training on 50% of the events",
        "training on 75% of the events",  # told, and stopped
        "training on 75% of the events",
        "training on 100% of the events",
    ]
    assert found is not None
    assert [row[0] for row in found.table.rows] == ["25 %", "50 %", "75 %", "100 %", "twice"]
    sizes = [int(row[1]) for row in found.table.rows]
    assert sizes[0] < sizes[1] < sizes[2] < sizes[3] == sizes[4] / 2
    assert found.table.columns[2:] == ["fruit macro-F1", "fruit accuracy", "rationales micro-F1"]
    assert found.lines[-1] == FLATTERED
    picture = ElementTree.parse(tmp_path / "run" / "curve" / "curve.svg")
    assert len(picture.findall(".//{*}polyline")) == 2
    with_file(recipe, "more", [msgspec.structs.replace(toy_example(200), id="m", event="m")])
    with pytest.raises(WhereasError, match=r"25\.json is of another recipe, other data"):
        run()


def test_curve_refuses_points_of_another_taxonomy_and_damaged_ones(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    from whereas.training.curve import curve

    recipe, point = write_recipe(tmp_path, base), tmp_path / "run" / "curve" / "25.json"

    def killed(line: object) -> None:
        if str(line).startswith("training on 50%"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curve(recipe, tmp_path / "run", killed, parent=finished / "model", fast=True)
    (tmp_path / "taxonomy.toml").write_text(PLUM)
    with pytest.raises(WhereasError, match="another taxonomy"):
        curve(recipe, tmp_path / "run", quiet, parent=finished / "model", fast=True)
    point.write_bytes(point.read_bytes()[:99])
    with pytest.raises(WhereasError, match=r"25\.json is damaged"):
        curve(recipe, tmp_path / "run", quiet, parent=finished / "model", fast=True)


def test_curve_keeps_documents_of_two_files_apart_that_have_one_id(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training.curve import _reads
    from whereas.training.data import gather

    recipe = write_recipe(tmp_path, base)
    for name, n in (("one", 201), ("two", 202)):
        with_file(recipe, name, [msgspec.structs.replace(toy_example(n), id="1", event=None)])
    asked = recipes.load(recipe)
    data = gather(asked, recipe, quiet)
    reads = _reads(asked, data, Model(finished / "model"), quiet)
    targets = [reads[name, "1"].item.target.labels[:3].tolist() for name in ("one", "two")]
    assert targets == [[1, 0, 0], [0, 1, 0]]


def test_curve_of_whole_trainings_from_the_command_line(base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, base, epochs=6)
    command = ["train", str(recipe), "-o", str(tmp_path / "run"), "--curve"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "2.5 times one training" in done.stderr
    assert "Learning curve" in done.stdout
    assert "twice the labels" in done.stdout.replace("\n", " ")
    for share in ("25", "50", "75", "100"):
        assert (tmp_path / "run" / "curve" / share / "checkpoint.safetensors").exists()
    again = CliRunner().invoke(app, command)
    assert again.stdout == done.stdout
    assert "training on" not in again.stderr


def test_curve_names_what_a_taxonomy_has(taxonomy: taxonomies.Taxonomy) -> None:
    from whereas.evaluation import Row
    from whereas.training.curve import _figures

    labels = {"action": ["relief"], "rationales": ["surveillance"], "status": ["announced"]}
    every = labels | {"secondary_actions": [], "background_rationales": []}
    row = Row(id="1", event="1", gold=every, given=every)
    assert list(_figures(taxonomy, [row])) == [
        "action macro-F1",
        "action accuracy",
        "rationales micro-F1",
        "core grounds F1",
        "status accuracy",
    ]
