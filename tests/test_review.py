"""What is odd about new labels."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from toys import (
    TAXONOMY,
    quiet,
    toy_example,
    with_file,
    write_recipe,
)
from whereas import taxonomy as taxonomies
from whereas.records import Example
from whereas.taxonomy import Taxonomy

pytestmark = pytest.mark.train


def test_review_labels_of_one_event_do_not_bear_each_other_out(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    """Thirty documents of one event share an error: heads that had seen any of them would have
    learned it, and find nothing suspect."""
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training.data import gather
    from whereas.training.review import suspects

    error = {"apple": "pear", "pear": "none", "none": "apple"}
    wrong = [
        Example(
            id=f"new-{n}",
            title=toy_example(n).title,
            text=toy_example(n).text,
            labels={"fruit": error[str(toy_example(n).one("fruit"))], "rationales": []},
            event="new",
        )
        for n in range(100, 190, 3)
    ]
    (tmp_path / "new.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, wrong)))
    recipe = write_recipe(tmp_path, base)
    asked = recipes.with_data(recipes.load(recipe), [tmp_path / "new.jsonl"])
    data = gather(asked, recipe, quiet)
    found = suspects(asked, data, ["new"], Model(finished / "model"), quiet)
    assert len({s.id for s in found if s.axis == "fruit"}) >= 25


def test_review_shift_table_names_labels_of_another_share(taxonomy: Taxonomy) -> None:
    from whereas.training.review import shift_table

    old = [toy_example(n) for n in range(60)]
    toys = taxonomies.parse(TAXONOMY.encode(), "toy")
    table = shift_table([e for e in old if e.one("fruit") == "pear"], old, toys)
    assert ["fruit", "pear", "20", "100.0%", "33.3%"] in table.rows
    assert shift_table(old[:30], old, toys).rows == []


def test_review_shift_table_leaves_presumed_documents_out() -> None:
    from whereas.training.review import shift_table

    toys = taxonomies.parse(TAXONOMY.encode(), "toy")
    old = [toy_example(n) for n in range(60)]
    none = [e for e in old if e.one("fruit") == "none"]
    presumed = [msgspec.structs.replace(e, confidence="presumed") for e in none * 20]
    assert shift_table(old, presumed + old, toys).rows == []


@pytest.mark.parametrize(("new", "old"), [(0, 3), (3, 0), (0, 0)])
def test_review_shift_table_of_nothing_is_empty(new: int, old: int) -> None:
    from whereas.training.review import shift_table

    toys = taxonomies.parse(TAXONOMY.encode(), "toy")
    examples = [toy_example(n) for n in range(3)]
    assert shift_table(examples[:new], examples[:old], toys).rows == []


def test_review_of_one_event_and_nothing_else_suspects_nothing(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    """Where no other document is taught, there is nothing to doubt a label with."""
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training.data import gather
    from whereas.training.review import suspects

    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text().replace('role = "split"', 'role = "dev"'))
    one = [
        msgspec.structs.replace(toy_example(n), id=f"new-{n}", event="new") for n in range(100, 105)
    ]
    recipe = with_file(recipe, "new", one)
    asked = recipes.load(recipe)
    data = gather(asked, recipe, quiet)
    assert suspects(asked, data, ["new"], Model(finished / "model"), quiet) == []
