"""What the terminal shows: layout at 80 and 160 columns, nothing hostile."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from whereas import display
from whereas.model import Explanation
from whereas.records import Brief, BriefSentence, Document, Label, Outcome, Span, Verdict
from whereas.sinks import Ranked
from whereas.taxonomy import Taxonomy


def shown(renderable: object, width: int) -> str:
    out = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
    out.print(renderable)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def outcome(**fields: object) -> Outcome:
    given: dict[str, object] = {
        "id": "1",
        "source": "inbox/one.txt",
        "title": "Nine camera makers put on the Entity List",
        "outcome": "ok",
        "relevance": 0.97,
        "labels": {
            "action": Label("export_control", 0.9),
            "rationales": [Label("human_rights", 0.9), Label("surveillance", 0.8)],
            "background_rationales": [Label("forced_labor", 0.7)],
            "status": Label("announced", 0.9),
        },
    }
    return Outcome(**(given | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [80, 120, 160])
def test_display_ranking_fits_the_terminal(taxonomy: Taxonomy, width: int) -> None:
    rows = [Ranked(outcome=outcome(title="long title " * 40), rank=1, words="many words " * 60)]
    text = shown(display.ranking(rows, taxonomy, width), width)
    assert max(len(line) for line in text.splitlines()) <= width
    for needed in ("0.97", "export control", "announced", "human rights", "(forced labor)"):
        assert needed in " ".join(text.split()) or needed.split()[-1] in text


def test_display_ranking_marks_review_and_error(taxonomy: Taxonomy) -> None:
    rows = [
        Ranked(outcome=outcome(outcome="review", reason="thin text"), rank=1),
        Ranked(
            outcome=outcome(outcome="error", labels={}, relevance=None, reason="encrypted PDF"),
            rank=None,
        ),
    ]
    text = shown(display.ranking(rows, taxonomy, 160), 160)
    assert "export control ?" in text
    assert "encrypted PDF" in text
    assert "inbox/one.txt" in text


@pytest.mark.parametrize(
    "hostile", ["\x1b[31mred", "[bold]x[/bold]", "a\u202eb", "bell\x07", ":smile:", "\x9b2J"]
)
def test_display_hostile_titles_stay_text(taxonomy: Taxonomy, hostile: str) -> None:
    text = shown(
        display.ranking([Ranked(outcome=outcome(title=hostile), rank=1)], taxonomy, 160), 160
    )
    assert not set(text) & set("\x1b\x07\x9b\u202e")
    if "[" in hostile and hostile.isprintable():
        assert hostile in text


def test_display_hostile_names_reasons_and_dates_stay_text(taxonomy: Taxonomy) -> None:
    """File names, reasons that quote a file's columns, and dates come from strangers too."""
    bad = "na\x1b]0;pwned\x07me"
    failed = outcome(outcome="error", labels={}, relevance=None, reason=bad, source=bad, title="")
    for width in (80, 160):
        table = display.ranking(
            [Ranked(outcome=failed), Ranked(outcome=outcome(title="", source=bad), rank=1)],
            taxonomy,
            width,
        )
        assert not set(shown(table, width)) & set("\x1b\x07")
    document = Document(id="1", title="", text="x", origin=bad, date=bad)
    assert not set(shown(display.brief(document, bad), 80)) & set("\x1b\x07")
    empty: dict[str, Label | list[Label] | None] = {a: [] for a in taxonomy.axis_names}
    verdict = Verdict(
        relevance=0.5,
        labels=empty,
        scores={a.name: dict.fromkeys(a.names, 0.0) for a in taxonomy.axis},
        facts=[],
        doubts=[],
        background=[],
    )
    explained = Explanation(verdict=verdict, sentences=[], support={})
    page = display.explanation(document, explained, failed, taxonomy, {})
    assert not set(shown(page, 80)) & set("\x1b\x07")


def test_display_clean_same_length_keeps_offsets() -> None:
    text = "a\x1bb\u202ec"
    assert len(display.clean_same_length(text)) == len(text)
    assert display.clean_same_length(text) == "a b c"


def test_display_brief_numbers_its_citations() -> None:
    document = Document(
        id="1", title="T", text="Nine firms were listed. Police bought it.", origin="x"
    )
    one, two = Span(0, 23), Span(24, 41)
    brief = Brief(
        "", [BriefSentence("Lead.", [one, two]), BriefSentence("Police bought it.", [two])]
    )
    text = " ".join(shown(display.brief(document, brief), 100).split())
    assert "Lead. [1,2] Police bought it. [2]" in text
    assert "[2] 24-41 Police bought it." in text


def test_display_brief_gives_the_reason_when_there_is_none() -> None:
    document = Document(id="1", title="T", text="x", origin="x")
    assert "too few" in shown(display.brief(document, "no brief: 4 words are too few"), 80)


class Step(msgspec.Struct):
    """What a training says of a step, as `whereas.training.fit.Step`, which needs torch."""

    step: int
    epoch: int = 1
    epochs: int = 2
    steps: int = 40
    loss: float = 1.5
    left: float = 90.0

    def __str__(self) -> str:
        return f"step {self.step}"


def test_display_training_says_ten_steps_an_epoch_where_no_terminal_watches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with display.training() as say:
        say("beginning")
        for step in range(1, 41):
            say(Step(step))  # type: ignore[arg-type]
        say("exporting")
    captured = capsys.readouterr()
    steps = [f"step {n}" for n in range(4, 41, 4)]
    assert captured.err.splitlines() == ["beginning", *steps, "exporting"]
    assert captured.out == ""


def test_display_training_draws_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes before a line is said, so that the line stays, and so does standard output."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with display.training() as say:
        for step in range(1, 41):
            say(Step(step))  # type: ignore[arg-type]
        say("exporting")
        print("the result")
        say(Step(1, epoch=2))  # type: ignore[arg-type]
    captured = capsys.readouterr()
    assert captured.out == "the result\n"
    drawn, _, after = captured.err.partition("exporting")
    assert "step 40/40" in drawn
    assert "loss 1.500, 1.5 min left" in drawn
    assert "epoch 2/2" in after
