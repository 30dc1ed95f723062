"""The HTML report: what it shows, and that nothing in the data can change it."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html as lxml_html
from typer.testing import CliRunner

from whereas import charts, page, tasks
from whereas.charts import Interval, Series
from whereas.cli import app
from whereas.evaluation import Row
from whereas.records import Example, Span
from whereas.tasks import Finished, Task
from whereas.taxonomy import Taxonomy

HOSTILE = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"


def row(taxonomy: Taxonomy, n: int, given: str, **fields: Any) -> Row:
    """A document about an export control, of which the system says something with a score."""
    names = taxonomy["action"].names
    empty: dict[str, list[str]] = {name: [] for name in taxonomy.axis_names}
    rest = 0.4 / (len(names) - 1)
    values: dict[str, Any] = {
        "id": f"d{n}",
        "event": f"e{n}",
        "gold": empty | {"action": ["export_control"], "status": ["announced"]},
        "given": empty | {"action": [given], "status": ["announced"]},
        "scores": {"action": {a: 0.6 if a == given else rest for a in names}},
        "slices": {"source": "news" if n % 3 else "filing"},
        "title": f"Title {n}",
        "text": "Ostrava listed Belmarsh.",
    }
    return Row(**(values | fields))


@pytest.fixture
def made(taxonomy: Taxonomy, tmp_path: Path) -> Any:
    """Makes the results of a system from its rows."""

    def make(name: str, rows: list[Row]) -> Finished:
        task = Task(name="task", version="1", data=[])
        examples = [
            Example(id=r.id, title=r.title, text=r.text, labels={}, event=r.event) for r in rows
        ]
        return tasks.finish(task, examples, rows, taxonomy, name, tmp_path / name)

    return make


def rows_of(taxonomy: Taxonomy, wrong: int, **fields: Any) -> list[Row]:
    return [
        row(taxonomy, n, "relief" if n < wrong else "export_control", **fields) for n in range(36)
    ]


def test_page_shows_figures_slices_and_the_surest_errors(taxonomy: Taxonomy, made: Any) -> None:
    found = rows_of(taxonomy, 9)
    text = lxml_html.fromstring(page.render([made("sys", found)])).text_content()
    assert "The action is right in 75% of them" in text
    assert "task@1|kind:labels|data:" in text
    assert re.search(r"Title \d.*given\s+relief\s+\(0\.60\), right is export control", text)


def test_page_slices_are_sorted_worst_first(taxonomy: Taxonomy, made: Any) -> None:
    found = [
        row(
            taxonomy,
            n,
            "export_control" if n < 12 + 6 else "relief",
            slices={"source": "good" if n < 12 else "half"},
        )
        for n in range(24)
    ]
    tree = lxml_html.fromstring(page.render([made("sys", found)]))
    cells = [[c.text_content() for c in r] for r in tree.findall(".//table[@class='sortable']//tr")]
    assert cells[1:3] == [
        ["source", "half (worst)", "12", "0.500", "undefined"],
        ["source", "good", "12", "1.000", "undefined"],
    ]


def test_page_text_of_documents_and_systems_is_never_markup(taxonomy: Taxonomy, made: Any) -> None:
    found = rows_of(taxonomy, 3, title=HOSTILE, text=HOSTILE, slices={"source": HOSTILE})
    result = page.render([made("<b>sys</b>", found)], title=HOSTILE)
    tree = lxml_html.fromstring(result)
    assert len(tree.findall(".//script")) == 1
    assert not tree.findall(".//img")
    assert not list(tree.iter("b"))
    assert HOSTILE in tree.text_content()


def test_page_lets_only_its_own_script_run(taxonomy: Taxonomy, made: Any) -> None:
    result = page.render([made("sys", rows_of(taxonomy, 3))])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', result)
    script = re.search(r"<script>(.*?)</script>", result, re.S)
    assert policy
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1].replace("&#39;", "'")


def test_page_refers_to_nothing_outside(taxonomy: Taxonomy, made: Any) -> None:
    result = page.render([made("sys", rows_of(taxonomy, 3))])
    outside = set(re.findall(r"https?://[^\s\"'<]+", result)) - {"http://www.w3.org/2000/svg"}
    assert not outside
    assert not re.findall(r"(?:src|href)=\"(?!#)", result)


def test_page_two_systems_on_one_task_are_compared(taxonomy: Taxonomy, made: Any) -> None:
    one, other = (made(n, rows_of(taxonomy, w)) for n, w in (("good", 2), ("bad", 20)))
    text = lxml_html.fromstring(page.render([one, other])).text_content()
    assert "good minus bad" in text
    assert "18 documents decided otherwise: 18 right only by the first" in text


def test_page_system_without_scores_has_no_curves(taxonomy: Taxonomy, made: Any) -> None:
    result = page.render([made("sys", rows_of(taxonomy, 3, scores={}))])
    assert "Can the scores be trusted" not in result


def test_page_every_chart_has_a_text_alternative(taxonomy: Taxonomy, made: Any) -> None:
    tree = lxml_html.fromstring(page.render([made("sys", rows_of(taxonomy, 3))]))
    charts_ = tree.findall(".//svg")
    assert len(charts_) >= 4
    assert all(c.get("aria-label") and c.get("role") == "img" for c in charts_)


@given(
    st.text(max_size=60),
    st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), max_size=4),
)
def test_page_pieces_joined_are_the_text(text: str, ends: list[tuple[int, int]]) -> None:
    spans = [Span(min(pair), max(pair)) for pair in ends]
    found = page.pieces(text, spans)
    assert "".join(p["text"] for p in found) == text
    marked = {
        k
        for p, start in _placed(found)
        for k in range(start, start + len(p["text"]))
        if p["marked"]
    }
    assert marked == {k for s in spans for k in range(s.start, min(s.end, len(text)))}


def _placed(found: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    at, placed = 0, []
    for piece in found:
        placed.append((piece, at))
        at += len(piece["text"])
    return placed


def test_charts_escape_names_and_mark_undefined() -> None:
    svg = charts.forest([Interval(HOSTILE, None, None, None)], title=HOSTILE)
    assert "<script" not in svg
    assert "undefined" in svg


def test_charts_forest_places_values_on_the_axis() -> None:
    svg = charts.forest(
        [Interval("a", 0.0, 0.0, 0.5), Interval("b", 1.0, 0.5, 1.0)],
        title="t",
        width=640,
        label=230,
    )
    centres = [float(x) for x in re.findall(r'cx="([\d.]+)"', svg)]
    assert centres == [230.0, 640 - charts.MARGIN]


def test_charts_curve_draws_series_apart_without_colour() -> None:
    series = [Series("a", [(0, 0), (1, 1)]), Series("b", [(0, 1), (1, 0)], dots=True)]
    svg = charts.curve(series, title="t", x_label="x", y_label="y")
    dashes = re.findall(r'polyline class="line s\d"( stroke-dasharray="[\d ]+")?', svg)
    assert len(set(dashes)) == 2


def test_page_command_writes_the_file(taxonomy: Taxonomy, made: Any, tmp_path: Path) -> None:
    made("sys", rows_of(taxonomy, 3))
    path = tmp_path / "report.html"
    done = CliRunner().invoke(app, ["report", str(tmp_path / "sys"), "-o", str(path)])
    assert done.exit_code == 0, done.output
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")] == []


def test_page_command_refuses_a_folder_without_results(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(tmp_path), "-o", str(tmp_path / "r.html")])
    assert done.exit_code == 2
    assert "holds no results" in done.stderr
