"""Whether decisions stay as they are, or follow, when documents are altered."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from whereas import robustness
from whereas.errors import WhereasError
from whereas.model import Model, current
from whereas.records import Document, Example, Span
from whereas.robustness import Change, Wording
from whereas.taxonomy import Taxonomy

LONG = " ".join(f"word{n}" for n in range(400)) + ". The Commerce Department said no."


def example(text: str, title: str = "A title", quote: str = "") -> Example:
    start = text.find(quote)
    evidence = {"action": [Span(start, start + len(quote))]} if quote else {}
    return Example(id="d", title=title, text=text, labels={}, evidence=evidence)


def altered(name: str, one: Example, seed: int = 1) -> Document:
    return robustness.ALTERATIONS[name](one, random.Random(seed))


def test_robustness_first_words_keep_the_title_and_stop_at_a_word() -> None:
    cut = altered("first 150 words", example(LONG))
    assert LONG.startswith(cut.text)
    assert (len(cut.text.split()), cut.title) == (150, "A title")


def test_robustness_web_noise_keeps_the_text_whole() -> None:
    noisy = altered("web noise", example("The story."))
    assert "\n\nThe story.\n\n" in noisy.text
    assert noisy.title == "A title"


def test_robustness_shuffling_leaves_the_news_where_it_is() -> None:
    news = "Ostrava froze the funds of Belmarsh on Monday."
    rest = [f"Sentence number {word} follows here." for word in ("one", "two", "three", "four")]
    whole = " ".join([news, *rest])
    shuffled = {
        altered("background shuffled", example(whole, quote=news), n).text for n in range(9)
    }
    assert len(shuffled) > 1
    assert all(text.startswith(news) for text in shuffled)
    assert all(sorted(text.split()) == sorted(whole.split()) for text in shuffled)


def test_robustness_shuffling_without_quotes_changes_nothing() -> None:
    one = example("One thing. Another thing. A third thing happened.")
    assert altered("background shuffled", one) == one.document()


@pytest.mark.parametrize("name", robustness.ALTERATIONS)
def test_robustness_alterations_are_the_same_every_time(name: str) -> None:
    one = example(LONG + " It rained. The sun shone.", quote="word399")
    first, again = (altered(name, one, 7) for _ in range(2))
    assert first == again
    assert first != one.document()


def test_robustness_invariance_counts_what_was_altered_and_what_was_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model that reads the title for its action, and the first word for its ground."""

    def decide(_: Model, document: Document) -> dict[str, list[str]]:
        grounds = ["surveillance"] if document.text.startswith("Ostrava") else []
        return {"action": ["relief" if document.title else "none"], "rationales": grounds}

    monkeypatch.setattr(robustness, "_decide", decide)
    texts = {"a": "Ostrava lists.", "b": "Belmarsh lists.", "c": "Ostrava lists."}
    titles = {"a": "A title", "b": "Another", "c": ""}
    examples = [
        Example(id=n, title=titles[n], text=text, labels={}, event=n) for n, text in texts.items()
    ]
    figures = robustness.invariance(Model(current()), examples)
    assert (figures["no title: action kept"].value, figures["no title: action kept"].n) == (0, 2)
    kept = figures["web noise: action kept"]
    assert (kept.value, kept.n) == (1, 3)
    grounds = figures["web noise: core grounds kept"]
    assert (grounds.value, grounds.n) == (0, 2), "b has no core ground, before or after"
    assert figures["first 150 words: action kept"].value is None


# ------------------------------------------------------------------ direction


LISTED = Wording(
    "Ostrava lists Belmarsh", "The Commerce Department added Belmarsh to its Entity List."
)
SONG = Wording(
    "A song", "The band will play its new song in the town hall on Friday evening at eight."
)


@pytest.fixture
def reads_list(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model that says export_control where it reads "Entity List", and none elsewhere."""

    def decide(_: Model, document: Document) -> dict[str, list[str]]:
        return {"action": ["export_control" if "Entity List" in document.text else "none"]}

    monkeypatch.setattr(robustness, "_decide", decide)
    return Model(current())


def change(**fields: str) -> Change:
    values = {"id": "c", "kind": "k", "axis": "action", "was": "export_control", "to": "none"}
    return Change(before=LISTED, after=SONG, **(values | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "followed", "tested"),
    [
        ({}, 1.0, 1.0),
        ({"to": ""}, 1.0, 1.0),
        ({"to": "relief"}, 0.0, 1.0),
        ({"was": "visa_ban"}, None, 0.0),
    ],
)
def test_robustness_change_is_followed_when_the_label_moves_as_it_should(
    reads_list: Model, fields: dict[str, str], followed: float | None, tested: float
) -> None:
    figures = robustness.directional(reads_list, [change(**fields)])
    assert figures["all kinds: followed"].value == followed
    assert figures["all kinds: right before"].value == tested
    assert ("k: followed" in figures) == bool(tested)


def test_robustness_change_that_alters_nothing_is_not_followed(reads_list: Model) -> None:
    same = msgspec.structs.replace(change(to=""), after=LISTED)
    assert robustness.directional(reads_list, [same])["k: followed"].value == 0.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("visa_ban", "visa_bann", "'visa_bann' is not a label of action.*Did you mean visa_ban"),
        ('"action"', '"actoin"', "no axis 'actoin'.*Axes: action"),
        ('"from"', '"form"', "missing required field `from`.*Fields: .* from, to"),
        ('"export_control"', '""', "'' is not a label"),
        ('"export_control"', '"visa_ban"', "from and to are both 'visa_ban'"),
        ("Belmarsh", "\udcff", "is not a pair"),
    ],
)
def test_robustness_change_that_does_not_fit_is_refused_with_its_line(
    tmp_path: Path, taxonomy: Taxonomy, old: str, new: str, message: str
) -> None:
    path = tmp_path / "p.jsonl"
    line = msgspec.json.encode(change(to="visa_ban"))
    path.write_bytes(line + b"\n\n" + line)
    assert robustness.read_changes([path], taxonomy) == [change(to="visa_ban")] * 2
    assert old in line.decode()
    bad = line.decode().replace(old, new).encode(errors="surrogateescape")
    path.write_bytes(line + b"\n\n" + bad)
    with pytest.raises(WhereasError, match=rf"p\.jsonl:3.*{message}"):
        robustness.read_changes([path], taxonomy)
