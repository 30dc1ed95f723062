"""The curve of a run as a picture."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.train

SVG = "{http://www.w3.org/2000/svg}"


def curve(epochs: int) -> list[dict[str, float]]:
    return [
        {"epoch": n, "loss": 5 / n, "dev": 3 / n, **{f"part {k}": k / n for k in range(8)}}
        for n in range(1, epochs + 1)
    ]


@pytest.mark.parametrize("epochs", [1, 2, 40])
def test_folder_chart_is_a_file_of_its_own_with_a_named_line_for_each_part(epochs: int) -> None:
    from whereas.training.folder import chart

    root = ElementTree.fromstring(chart(curve(epochs), "<toy> & co"))
    assert root.find(f"{SVG}title").text == "<toy> & co: loss by epoch"  # type: ignore[union-attr]
    assert root.find(f"{SVG}style") is not None
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    lines = root.findall(f"{SVG}polyline")
    assert len(lines) == 10
    for line in lines:
        points = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
        assert len(points) == epochs
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    names = [t for t in root.findall(f"{SVG}text") if re.search(r" \d+\.\d{3}$", t.text or "")]
    assert len(names) == 10
    places = sorted(float(t.attrib["y"]) for t in names)
    assert all(b - a >= 12 for a, b in pairwise(places)), "names overlap"
    assert places[0] > 0
    assert places[-1] < height


def test_folder_chart_axis_ends_above_every_loss() -> None:
    from whereas.training.folder import _round_up

    for value, top in [(0.013, 0.02), (1.0, 1.0), (1.01, 2.0), (37.0, 40.0), (81.0, 100.0)]:
        assert _round_up(value) == pytest.approx(top)
    assert _round_up(0.0) > 0


@pytest.mark.parametrize("bunched", [[36.0] * 4, [40.0, 36.0, 44.0, 38.0], [336.0] * 4])
def test_folder_chart_names_of_lines_that_end_together_stay_on_the_picture(
    bunched: list[float],
) -> None:
    from whereas.training.folder import PLOT_HEIGHT, TOP, _apart

    found = _apart(bunched, gap=17)
    assert TOP <= min(found) <= max(found) <= TOP + PLOT_HEIGHT
    assert all(b - a >= 17 for a, b in pairwise(sorted(found)))
    order = sorted(range(4), key=bunched.__getitem__)
    assert [found[k] for k in order] == sorted(found)


def test_folder_chart_is_the_same_whatever_the_order_of_keys() -> None:
    """A checkpoint sorts them, so a resumed run has another order than one that was not."""
    from whereas.training.folder import chart

    turned = [dict(reversed(row.items())) for row in curve(3)]
    assert chart(turned, "toy") == chart(curve(3), "toy")
