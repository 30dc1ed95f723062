"""The TF-IDF baseline."""

from __future__ import annotations

import pytest

from toys import (
    TAXONOMY,
    toy_example,
)
from whereas import taxonomy as taxonomies

pytestmark = pytest.mark.train


def test_baseline_tells_the_toy_labels_apart() -> None:
    from whereas.calibration import gold
    from whereas.training import baseline

    taxonomy = taxonomies.parse(TAXONOMY.encode(), "toy")
    examples = [toy_example(n) for n in range(60)]
    logits = baseline.logits(examples[:45], examples[45:], taxonomy)
    right = logits[:, :3].argmax(1) == gold(examples[45:], taxonomy)[:, :3].argmax(1)
    assert right.mean() >= 0.9
