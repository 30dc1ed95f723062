"""Training documents altered another way each epoch."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("torch")

from whereas import alterations, robustness
from whereas.records import Example, Span
from whereas.training import augment

NEWS = "Ostrava froze the funds of Belmarsh."
TEXT = f"{NEWS} " + " ".join(
    f"Sentence {n} says that officials of the company met." for n in range(60)
)


def one(text: str = TEXT) -> Example:
    at = text.index(NEWS)
    return Example(
        id="e",
        title="Funds frozen",
        text=text,
        labels={"action": "financial_sanction"},
        evidence={"action": [Span(at, at + len(NEWS))]},
    )


def test_augment_keeps_labels_and_finds_their_words_again() -> None:
    kinds = set()
    for n in range(60):
        changed = augment.augmented(one(), random.Random(n), ["A ship came in"])
        span = changed.evidence["action"][0]
        kinds.add(changed.text[:12])
        assert changed.labels == one().labels
        quote = changed.text[span.start : span.end].lower()
        assert len(quote) >= len(NEWS) - 2
        assert "strava" in quote.replace("- ", "")
    assert len(kinds) > 5


def test_augment_never_cuts_off_what_a_label_rests_on() -> None:
    late = " ".join([*TEXT.split()[7:], NEWS])
    for n in range(60):
        changed = augment.augmented(one(late), random.Random(n), [])
        assert changed.evidence["action"]


def test_augment_has_other_page_lines_than_the_robustness_suite() -> None:
    measured = {*robustness.NOISE_BEFORE, *robustness.NOISE_AFTER}
    assert not measured & {*augment.BEFORE, *augment.AFTER}


def test_augment_leaves_spun_words_to_the_robustness_suite() -> None:
    every, taught = alterations.spun_words(), augment.taught_words()
    assert 0.3 < len(taught) / len(every) < 0.7
