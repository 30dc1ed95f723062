"""A taxonomy is read strictly, whatever its axes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from whereas import taxonomy as taxonomies
from whereas.errors import WhereasError
from whereas.taxonomy import Taxonomy

TOY = """
name = "harbour"
version = "0.3"

[irrelevant]
axis = "event"
label = "nothing"

[[axis]]
name = "event"
title = "what happened"
kind = "one"
[axis.labels]
storm = "a storm closed the harbour"
strike = "dockers stopped work"
nothing = "neither"

[[axis]]
name = "causes"
title = "why"
kind = "many"
[axis.labels]
wages = "pay"
weather = "wind and waves"

[[axis]]
name = "older_causes"
title = "recalled only"
kind = "many"
labels_of = "causes"
layer = "background"
max = 1
"""


def toy(old: str = "", new: str = "") -> Taxonomy:
    """The toy taxonomy with one place changed."""
    assert old in TOY
    return taxonomies.parse(TOY.replace(old, new, 1).encode(), "toy.toml")


def failure(old: str, new: str) -> WhereasError:
    with pytest.raises(WhereasError) as caught:
        toy(old, new)
    return caught.value


def test_taxonomy_shipped_has_its_axes_and_labels(taxonomy: Taxonomy) -> None:
    assert {axis.name: len(axis.labels) for axis in taxonomy.axis} == {
        "action": 16,
        "secondary_actions": 15,
        "rationales": 14,
        "background_rationales": 14,
        "status": 6,
    }


def test_taxonomy_shipped_decides_relevance_by_its_action(taxonomy: Taxonomy) -> None:
    assert (taxonomy.primary.name, taxonomy.irrelevant.label) == ("action", "none")


def test_taxonomy_shipped_secondary_actions_leave_none_out(taxonomy: Taxonomy) -> None:
    assert taxonomy["secondary_actions"].names == taxonomy["action"].names[:-1]


def test_taxonomy_of_other_axes_loads() -> None:
    assert toy().axis_names == ["event", "causes", "older_causes"]


def test_taxonomy_of_other_axes_has_its_own_primary() -> None:
    assert toy().primary.name == "event"


def test_taxonomy_keeps_labels_in_the_order_of_the_file() -> None:
    assert toy()["event"].names == ["storm", "strike", "nothing"]


def test_taxonomy_axis_takes_its_labels_from_another() -> None:
    assert toy()["older_causes"].labels == toy()["causes"].labels


def test_taxonomy_axis_leaves_out_what_it_is_told_to() -> None:
    with_more = 'wages = "pay"\nsafety = "accidents"'
    source = TOY.replace('wages = "pay"', with_more).replace("max = 1", 'without = ["safety"]')
    assert taxonomies.parse(source.encode(), "toy.toml")["older_causes"].names == [
        "wages",
        "weather",
    ]


def test_taxonomy_evidence_key_of_one_choice_is_the_primary_axis() -> None:
    assert toy()["event"].evidence_key("storm", "event") == "event"


def test_taxonomy_evidence_key_of_another_choice_is_that_of_the_primary_if_it_depends_on_it(
    taxonomy: Taxonomy,
) -> None:
    assert taxonomy["status"].evidence_key("announced", "action") == "action"
    alone = msgspec.structs.replace(taxonomy["status"], name="tone", irrelevant=None)
    assert alone.evidence_key("announced", "action") == "tone"


def test_taxonomy_evidence_key_of_a_set_is_its_label() -> None:
    assert toy()["causes"].evidence_key("wages", "event") == "wages"


def test_taxonomy_evidence_key_of_the_background_is_marked() -> None:
    assert toy()["older_causes"].evidence_key("wages", "event") == "background:wages"


def test_taxonomy_unknown_axis_lists_the_valid_ones() -> None:
    with pytest.raises(WhereasError) as caught:
        toy()["action"]
    assert "event, causes, older_causes" in caught.value.fix


def test_taxonomy_near_miss_of_a_label_suggests_it(taxonomy: Taxonomy) -> None:
    with pytest.raises(WhereasError) as caught:
        taxonomy.check_label("rationales", "forced_labour")
    assert caught.value.fix.startswith("Did you mean forced_labor?")


def test_taxonomy_far_miss_of_a_label_suggests_nothing_and_lists_all() -> None:
    with pytest.raises(WhereasError) as caught:
        toy().check_label("event", "xyz")
    assert caught.value.fix == "Labels: storm, strike, nothing"


def test_taxonomy_known_label_passes() -> None:
    toy().check_label("event", "storm")


def test_taxonomy_unknown_key_at_the_top_is_named() -> None:
    assert "colour" in failure('name = "harbour"', 'name = "harbour"\ncolour = "blue"').what


def test_taxonomy_unknown_key_of_an_axis_is_named_with_the_valid_ones() -> None:
    error = failure("max = 1", "maximum = 1")
    assert "maximum" in error.what
    assert "labels_of" in error.fix


def test_taxonomy_unknown_key_of_irrelevant_is_named() -> None:
    assert "colour" in failure('label = "nothing"', 'label = "nothing"\ncolour = "blue"').what


def test_taxonomy_reference_to_no_axis_is_refused() -> None:
    error = failure('labels_of = "causes"', 'labels_of = "reasons"')
    assert "older_causes takes its labels from 'reasons'" in error.what


def test_taxonomy_reference_to_a_later_axis_is_refused() -> None:
    earlier = '[[axis]]\nname = "early"\ntitle = "x"\nkind = "many"\nlabels_of = "causes"\n\n'
    error = failure('[[axis]]\nname = "event"', earlier + '[[axis]]\nname = "event"')
    assert "above it" in error.fix


def test_taxonomy_axis_of_one_label_is_refused() -> None:
    assert "fewer than two labels" in failure('weather = "wind and waves"\n', "").what


def test_taxonomy_irrelevant_axis_that_does_not_exist_is_refused() -> None:
    assert "no axis 'action'" in failure('axis = "event"', 'axis = "action"').what


def test_taxonomy_irrelevant_axis_that_is_a_set_is_refused() -> None:
    error = failure('axis = "event"\nlabel = "nothing"', 'axis = "causes"\nlabel = "wages"')
    assert "which is a set" in error.what


def test_taxonomy_irrelevant_label_that_does_not_exist_is_refused() -> None:
    assert "'none' is not a label of event" in failure('label = "nothing"', 'label = "none"').what


def test_taxonomy_unknown_kind_is_refused() -> None:
    assert "toy.toml is not a taxonomy" in failure('kind = "one"', 'kind = "two"').what


def test_taxonomy_bad_toml_is_refused() -> None:
    assert "toy.toml is not a taxonomy" in failure("[irrelevant]", "[irrelevant").what


def test_taxonomy_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(WhereasError, match="not a taxonomy"):
        taxonomies.parse(b'name = "\xff"', "toy.toml")


def test_taxonomy_without_an_axis_is_refused() -> None:
    with pytest.raises(WhereasError, match=r"toy\.toml"):
        taxonomies.parse(TOY[: TOY.index("[[axis]]")].encode(), "toy.toml")


def test_taxonomy_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(WhereasError, match=r"cannot read .*none\.toml"):
        taxonomies.load(tmp_path / "none.toml")


def test_taxonomy_loads_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(TOY)
    assert taxonomies.load(tmp_path / "toy.toml") == toy()


def test_taxonomy_digest_is_that_of_the_bytes() -> None:
    assert taxonomies.digest(b"abc").startswith("sha256:ba7816bf")


def test_taxonomy_labels_read_as_words() -> None:
    assert taxonomies.readable(["forced_labor", "cyber"]) == "forced labor, cyber"
