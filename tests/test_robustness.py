"""Alterations of documents: they change what they say, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from whereas import robustness
from whereas.errors import WhereasError
from whereas.model import Model, current
from whereas.records import Document, Example
from whereas.robustness import Change, Wording
from whereas.taxonomy import Taxonomy

LONG = " ".join(f"word{n}" for n in range(400)) + ". The Commerce Department said no."


def document(text: str, title: str = "A title") -> Document:
    return Document(id="d", title=title, text=text, origin="-")


def test_robustness_spin_replaces_words_of_the_field_by_its_table() -> None:
    text = "The Commerce Department said the Entity List hits firms, because rights abuses went on."
    spun = robustness.spin(text, random.Random(1))
    assert "Commerce Department" not in spun
    assert "Entity List " not in spun
    assert any(word in spun for word in ("mentioned", "stated"))
    assert "went on." in spun


def test_robustness_spin_leaves_parts_of_words_alone() -> None:
    assert robustness.spin("Maybe the billet is unfinished", random.Random(1)).startswith("Maybe")


def test_robustness_every_spun_word_differs_from_its_original() -> None:
    for word, variants in robustness._spun_words().items():
        assert variants
        assert all(v and v != word for v in variants)


def test_robustness_first_words_keep_spacing_and_stop_at_a_word() -> None:
    cut = robustness.first_words(LONG, random.Random(1))
    assert LONG.startswith(cut)
    assert len(cut.split()) == 150
    assert robustness.first_words("a b", random.Random(1)) == "a b"


def test_robustness_surround_keeps_the_text_whole() -> None:
    noisy = robustness.surround("The story.", random.Random(1))
    assert "\n\nThe story.\n\n" in noisy
    assert not noisy.startswith("The story")


def test_robustness_scan_confuses_a_few_characters() -> None:
    text = "The ministry listed ten makers of lenses in Olomouc. " * 60
    read = robustness.scan(text, random.Random(1))
    letters = sum(c in robustness.CONFUSIONS for c in text)
    assert read != text
    assert read.count("- ") < 0.1 * len(text.split())
    assert sum(c in "10c5" for c in read) < 3 * robustness.OCR_RATE * letters


@pytest.mark.parametrize("name", robustness.ALTERATIONS)
def test_robustness_alterations_are_the_same_every_time(name: str) -> None:
    alter = robustness.ALTERATIONS[name]
    first, again = (alter(document(LONG), random.Random("x")) for _ in range(2))
    assert first == again
    assert (first.title, first.text) != ("A title", LONG)


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
    [("visa_ban", "visa_bann", "visa_bann"), ('"from"', '"form"', r"p\.jsonl:1: .*from")],
)
def test_robustness_changes_that_do_not_fit_are_refused(
    tmp_path: Path, taxonomy: Taxonomy, old: str, new: str, message: str
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(msgspec.json.encode(change(to="visa_ban")))
    assert robustness.read_changes([path], taxonomy) == [change(to="visa_ban")]
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(WhereasError, match=message):
        robustness.read_changes([path], taxonomy)
