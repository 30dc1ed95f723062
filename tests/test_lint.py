"""The lint of labelled data: every rule is broken once and says where."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from whereas import composition, corpus, lint
from whereas.cli import app
from whereas.composition import Diversity, Pair, Quota
from whereas.errors import WhereasError
from whereas.lint import Located, Rules
from whereas.records import Example, GoldFact, Span
from whereas.taxonomy import Taxonomy

Make = Callable[..., Example]

QUOTED = {"action": [Span(0, 7)], "surveillance": [Span(46, 70)]}
WORDS = "The ferry to Havnar leaves at dawn and carries nothing that anyone would miss on the way"


def located(*examples: Example, gold: bool = False) -> list[Located]:
    return [Located(example=e, where=f"a.jsonl:{n}", gold=gold) for n, e in enumerate(examples, 1)]


@pytest.fixture
def quoted(make_example: Make) -> Make:
    """An example with the quotes that its labels need."""
    return lambda **fields: make_example(**({"evidence": QUOTED} | fields))


def write(folder: Path, name: str, *examples: Example) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(msgspec.json.encode(e) for e in examples))
    return path


# ------------------------------------------------------------------ labels


def test_lint_example_with_all_quotes_is_clean(quoted: Make, taxonomy: Taxonomy) -> None:
    assert list(lint.label_breaches(located(quoted()), taxonomy)) == []


@pytest.mark.parametrize("missing", ["action", "surveillance", "background:cyber"])
def test_lint_label_without_a_quote_is_named(
    quoted: Make, taxonomy: Taxonomy, missing: str
) -> None:
    labels = quoted().labels | {"background_rationales": ["cyber"]}
    quotes = QUOTED | {"background:cyber": [Span(0, 7)]}
    example = quoted(labels=labels, evidence={k: v for k, v in quotes.items() if k != missing})
    [breach] = lint.label_breaches(located(example), taxonomy)
    assert breach == f"a.jsonl:1 one: no evidence for {missing!r}"


def test_lint_further_action_status_and_irrelevant_need_no_quote(
    quoted: Make, taxonomy: Taxonomy
) -> None:
    further = quoted(labels=quoted().labels | {"secondary_actions": ["relief"]})
    none = quoted(
        id="two",
        evidence={},
        labels={"action": "none", "rationales": [], "status": "background"},
    )
    assert list(lint.label_breaches(located(further, none), taxonomy)) == []


def test_lint_presumed_example_needs_no_quote(make_example: Make, taxonomy: Taxonomy) -> None:
    presumed = make_example(confidence="presumed")
    assert list(lint.label_breaches(located(presumed), taxonomy)) == []


def test_lint_problem_of_the_corpus_comes_with_file_and_line(
    quoted: Make, taxonomy: Taxonomy
) -> None:
    wrong = quoted(id="two", labels=quoted().labels | {"rationales": ["surveilance"]})
    breaches = list(lint.label_breaches(located(quoted(), wrong), taxonomy))
    assert any(
        b.startswith("a.jsonl:2 two: 'surveilance' is not a label") and "surveillance" in b
        for b in breaches
    )


def test_lint_id_may_hold_a_colon(quoted: Make, taxonomy: Taxonomy) -> None:
    wrong = quoted(id="doc: one", labels=quoted().labels | {"action": "visa"})
    breaches = list(lint.label_breaches(located(wrong), taxonomy))
    assert any(b.startswith("a.jsonl:1 doc: one: 'visa' is not a label") for b in breaches)


def test_lint_id_that_appears_twice_is_reported_with_both_places(
    quoted: Make, taxonomy: Taxonomy
) -> None:
    breaches = list(lint.label_breaches(located(quoted(), quoted()), taxonomy))
    assert breaches == ["a.jsonl:2 one: id appears twice (first a.jsonl:1)"]


@pytest.mark.parametrize("given", ["Belmarsh Gate", "belmarsh-gate", "belmarsh_gate"])
@pytest.mark.parametrize("kind", ["event", "source", "annotator"])
def test_lint_names_that_differ_by_case_or_separator_are_reported(
    quoted: Make, taxonomy: Taxonomy, kind: str, given: str
) -> None:
    examples = quoted(**{kind: "belmarsh gate"}), quoted(id="two", **{kind: given})
    [breach] = lint.label_breaches(located(*examples), taxonomy)
    assert breach.startswith(f"{kind} spelled 2 ways: ")
    assert f"{given!r} (1 times)" in breach


@pytest.mark.parametrize(
    "fields",
    [
        [{"id": "doc-1-11"}, {"id": "doc-11-1"}],
        [{"id": "aB"}, {"id": "Ab"}],
        [{"event": "doc-1-11"}, {"id": "two", "event": "doc-11-1"}],
    ],
)
def test_lint_names_that_differ_by_more_and_all_ids_are_not_one(
    quoted: Make, taxonomy: Taxonomy, fields: list[dict[str, Any]]
) -> None:
    examples = [quoted(**given) for given in fields]
    assert list(lint.label_breaches(located(*examples), taxonomy)) == []


@pytest.mark.parametrize("slot", ["efective_date", "Effective-Date"])
def test_lint_unknown_fact_slot_is_reported_with_the_nearest(
    quoted: Make, taxonomy: Taxonomy, slot: str
) -> None:
    fact = GoldFact(slot=slot, text="Ostrava", start=0, end=7)
    [breach] = lint.label_breaches(located(quoted(facts=[fact, fact])), taxonomy)
    assert breach.startswith(
        f"a.jsonl:1 one: no fact slot {slot!r}. Did you mean effective_date? Slots: authority, "
    )


# ------------------------------------------------------------------ duplicates


def test_lint_same_words_are_a_duplicate_whatever_case_and_punctuation(quoted: Make) -> None:
    again = quoted(id="two", text=quoted().text.upper().replace(" ", "  ").rstrip("."))
    [breach] = lint.duplicate_breaches(located(quoted(), again), 0.5)
    assert breach == "a.jsonl:2 two: the text of one (a.jsonl:1)"


def test_lint_duplicate_with_other_labels_says_so(quoted: Make) -> None:
    again = quoted(id="two", labels=quoted().labels | {"status": "reported"})
    [breach] = lint.duplicate_breaches(located(quoted(), again), 0.5)
    assert breach.endswith("with other labels")


def test_lint_near_duplicate_of_another_event_is_reported(quoted: Make) -> None:
    one = quoted(text=WORDS + ". " + WORDS.replace("dawn", "noon"))
    two = quoted(id="two", event="other", text=one.text + " Nobody knows why.")
    [breach] = lint.duplicate_breaches(located(one, two), 0.5)
    assert breach.startswith("a.jsonl:2 two:")
    assert "like one (a.jsonl:1), of another event" in breach


def test_lint_near_duplicate_of_one_event_is_a_retelling(quoted: Make) -> None:
    one = quoted(text=WORDS + ". " + WORDS.replace("dawn", "noon"))
    two = quoted(id="two", text=one.text + " Nobody knows why.")
    assert list(lint.duplicate_breaches(located(one, two), 0.5)) == []


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.9])
def test_lint_hashing_misses_less_than_one_pair_in_a_hundred(
    quoted: Make, threshold: float
) -> None:
    pairs, grams = 300, 200  # two runs of 200 shingles, the first `shared` of them the same
    least = math.ceil(threshold / (1 + threshold) * 2 * grams)
    found = []
    for pair in range(pairs):
        words = [f"w{pair}x{n}" for n in range(2 * grams)]
        shared = least + pair % 5
        for name, rest in (("a", words[grams:]), ("b", [w + "y" for w in words])):
            text = " ".join([*words[: shared + 4], *rest][: grams + 4])
            found += located(quoted(id=f"{name}{pair}", event=f"{name}{pair}", text=text))
    breaches = list(lint.duplicate_breaches(found, threshold))
    assert 0.99 * pairs < len(breaches) <= pairs


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.25, 0.5, 0.75, 0.99, 1.0])
def test_lint_bands_propose_a_pair_at_the_threshold(threshold: float) -> None:
    rows = lint.band_rows(threshold)
    bands = lint.PERMUTATIONS // rows
    assert 1 - (1 - threshold**rows) ** bands >= lint.RECALL
    assert bands >= 1


def test_lint_near_duplicates_without_events_are_reported(quoted: Make) -> None:
    one = quoted(event=None, text=WORDS + ". " + WORDS.replace("dawn", "noon"))
    two = quoted(id="two", event=None, text=one.text + " Nobody knows why.")
    [breach] = lint.duplicate_breaches(located(one, two), 0.5)
    assert breach.startswith("a.jsonl:2 two:")


def test_lint_same_text_under_another_title_is_a_duplicate(quoted: Make) -> None:
    labels = quoted().labels | {"action": "visa_ban"}
    again = quoted(id="two", title="Another", labels=labels)
    [breach] = lint.duplicate_breaches(located(quoted(), again), 0.5)
    assert breach == "a.jsonl:2 two: the text of one (a.jsonl:1), with other labels"


def test_lint_stubs_without_text_are_known_by_their_title(quoted: Make) -> None:
    stubs = [
        quoted(id=name, title=title, text=text)
        for name, title, text in (
            ("one", "Ostrava lists Belmarsh", ""),
            ("two", "Ostrava lists Norvane", "…"),
            ("three", "OSTRAVA lists Belmarsh!", ""),
        )
    ]
    [breach] = lint.duplicate_breaches(located(*stubs), 0.5)
    assert breach == "a.jsonl:3 three: the text of one (a.jsonl:1)"


def test_lint_short_texts_have_no_shingles_and_are_not_alike(quoted: Make) -> None:
    short = [quoted(id=name, event=name, text=f"{name} listed") for name in ("a", "b", "c")]
    assert list(lint.duplicate_breaches(located(*short), 0.5)) == []


# ------------------------------------------------------------------ splits

GOLD = Rules(gold=["gold.jsonl"], gold_share=0.5)


def events(*, gold: bool) -> list[str]:
    names = (f"event {n}" for n in range(100))
    return [name for name in names if corpus.held_out(name, 0.5) == gold]


def test_lint_sides_by_hash_are_clean(quoted: Make) -> None:
    kept, frozen = events(gold=False)[0], events(gold=True)[0]
    found = [
        *located(quoted(event=kept)),
        *located(quoted(id="two", event=frozen), gold=True),
    ]
    assert list(lint.split_breaches(found, GOLD)) == []


@pytest.mark.parametrize(("gold", "side"), [(False, "gold"), (True, "training")])
def test_lint_event_on_the_wrong_side_is_reported(quoted: Make, gold: bool, side: str) -> None:
    event = events(gold=not gold)[0]
    [breach] = lint.split_breaches(located(quoted(event=event), gold=gold), GOLD)
    assert breach == f"a.jsonl:1 one: event {event} belongs to {side} by its hash"


def test_lint_event_on_both_sides_is_reported(quoted: Make) -> None:
    event = events(gold=True)[0]
    found = [
        *located(quoted(event=event)),
        *located(quoted(id="two", event=event), gold=True),
    ]
    assert f"event {event} stands in training and in gold" in set(lint.split_breaches(found, GOLD))


def test_lint_example_without_event_is_reported(quoted: Make) -> None:
    [breach] = lint.split_breaches(located(quoted(event=None)), GOLD)
    assert breach == "a.jsonl:1 one: no event"


def test_lint_changed_gold_is_reported(quoted: Make) -> None:
    frozen = quoted(event=events(gold=True)[0])
    rules = msgspec.structs.replace(GOLD, gold_digest=corpus.digest([frozen]))
    assert list(lint.split_breaches(located(frozen, gold=True), rules)) == []
    changed = msgspec.structs.replace(frozen, title="Another")
    [breach] = lint.split_breaches(located(changed, gold=True), rules)
    assert breach.startswith("gold was changed: sha256:")


# ------------------------------------------------------------------ quotas


@pytest.mark.parametrize(
    ("quota", "met"),
    [
        (Quota(name="q", axis="rationales", labels=["surveillance"], each=2), True),
        (Quota(name="q", axis="rationales", labels=["surveillance"], each=3), False),
        (Quota(name="q", axis="rationales", labels=["surveillance", "cyber"], each=1), False),
        (Quota(name="q", axis="rationales", labels=["surveillance", "cyber"], least=2), True),
        (Quota(name="q", axis="secondary_actions", share=(0.4, 0.6)), True),
        (Quota(name="q", axis="secondary_actions", share=(0.6, 1.0)), False),
        (Quota(name="q", axis="secondary_actions", share=(0.0, 0.4)), False),
        (Quota(name="q", meta={"style": "spun"}, least=1), True),
        (Quota(name="q", meta={"style": "spun"}, least=2), False),
        (Quota(name="q", words=(13, 13), least=2), True),
        (Quota(name="q", words=(14, 99), least=1), False),
        (Quota(name="q", brief=True, least=1), True),
        (Quota(name="q", brief=True, axis="secondary_actions", least=1), False),
    ],
)
def test_lint_quota_counts_what_meets_every_condition(
    quoted: Make, taxonomy: Taxonomy, quota: Quota, met: bool
) -> None:
    examples = [
        quoted(meta={"style": "spun"}, brief="B.", key_facts=["k"]),
        quoted(id="two", brief="B.", labels=quoted().labels | {"secondary_actions": ["relief"]}),
    ]
    table, breaches = composition.quota_table(examples, [quota], taxonomy)
    assert (not breaches) == met
    assert bool(table.bad) != met


def test_lint_quota_of_an_axis_speaks_of_each_of_its_labels(
    quoted: Make, taxonomy: Taxonomy
) -> None:
    table, breaches = composition.quota_table(
        [quoted()], [Quota(name="status", axis="status", each=1)], taxonomy
    )
    assert [row[1] for row in table.rows] == taxonomy["status"].names
    assert "quota status reported: 0, at least 1" in breaches
    assert len(breaches) == 5


@pytest.mark.parametrize(
    ("quota", "message"),
    [
        (Quota(name="q", each=1), "quota 'q': each needs an axis. Axes: action, "),
        (Quota(name="q", labels=["cyber"]), "quota 'q': labels needs an axis. Axes: action, "),
        (Quota(name="q", axis="rationale"), "quota 'q': no axis 'rationale' in .* Axes: action, "),
        (Quota(name="q", axis="rationale", labels=["cyber"]), "no axis 'rationale'"),
        (
            Quota(name="q", axis="rationales", labels=["cyber", "millitary"], share=(0.0, 0.5)),
            "quota 'q': 'millitary' is not a label of rationales. Did you mean military",
        ),
    ],
)
def test_lint_quota_that_does_not_fit_the_taxonomy_is_refused(
    quoted: Make, taxonomy: Taxonomy, quota: Quota, message: str
) -> None:
    with pytest.raises(WhereasError, match=message):
        composition.quota_table([quoted()], [quota], taxonomy)


# ------------------------------------------------------------------ diversity


def test_lint_varied_texts_are_within_bounds(quoted: Make) -> None:
    texts = ["One ship left the port of Havnar.", "Nobody in Tannis reads such notices twice."]
    examples = [quoted(id=t, text=t) for t in texts]
    assert composition.diversity_table(examples, Diversity())[1] == []


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (Diversity(repeated=99, jaccard=1.0), "openings: 10.0% are distinct"),
        (Diversity(openings=0.0, repeated=1, jaccard=1.0), "8-grams are repeated too often"),
        (Diversity(openings=0.0, repeated=99), "mean similarity of two documents is 0."),
        (
            Diversity(openings=0.0, repeated=99, jaccard=1.0, vocabulary=1000),
            "vocabulary: 26 distinct words",
        ),
    ],
)
def test_lint_texts_from_one_template_break_each_bound(
    quoted: Make, rules: Diversity, message: str
) -> None:
    texts = [f"{WORDS} to {name}." for name in "abcdefghij"]
    _, breaches = composition.diversity_table([quoted(id=t, text=t) for t in texts], rules)
    [breach] = breaches
    assert message in breach


def test_lint_names_count_as_one_word_in_repeated_grams(quoted: Make) -> None:
    name = "Supplement No. 4 to part 744 of the Export Administration Regulations"
    examples = [quoted(id=f"{n}", text=f"{n} went under {name} {n * 7}") for n in range(9)]
    bounds = Diversity(repeated=0, openings=0.0, jaccard=1.0)
    _, breaches = composition.diversity_table(examples, bounds)
    assert breaches
    _, breaches = composition.diversity_table(
        examples, Diversity(repeated=0, openings=0.0, jaccard=1.0, names=[name])
    )
    assert not breaches


@given(st.lists(st.sets(st.sampled_from("abcdefg")), min_size=2, max_size=8))
def test_lint_mean_jaccard_is_that_of_all_pairs(sets: list[set[str]]) -> None:
    pairs = [(a, b) for k, a in enumerate(sets) for b in sets[:k]]
    expected = sum(composition.jaccard(a, b) for a, b in pairs) / len(pairs)
    assert composition.mean_jaccard(sets) == pytest.approx(expected)


# ------------------------------------------------------------------ agreement


def test_lint_agreement_gives_kappa_of_axes_and_labels(taxonomy: Taxonomy) -> None:
    def labels(action: str, *rationales: str) -> dict[str, str | list[str]]:
        return {"action": action, "rationales": list(rationales), "status": "announced"}

    pairs = [
        Pair(id="a", first=labels("relief", "cyber"), second=labels("relief", "cyber")),
        Pair(id="b", first=labels("relief"), second=labels("guidance", "cyber")),
        Pair(id="c", first=labels("guidance"), second=labels("guidance")),
        Pair(id="d", first=labels("guidance", "cyber"), second=labels("guidance", "cyber")),
    ]
    rows = {(r[0], r[1]): r[2:] for r in composition.agreement_table(pairs, taxonomy).rows}
    assert rows["action", ""] == ["4", "75.0%", "0.50"]
    assert rows["action", "relief"] == ["2", "75.0%", "0.50"]
    assert rows["rationales", ""][0] == "2"
    assert rows["rationales", ""][1] == f"{1 - 1 / (4 * 14):.1%}"
    assert rows["rationales", "cyber"] == ["2", "75.0%", "0.50"]
    assert rows["status", ""] == ["4", "100.0%", "–"]
    assert ("rationales", "military") not in rows


AGREED: dict[str, str | list[str]] = {"action": "relief", "status": "announced"}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"action": "relief"}, "b: second must have one label of status. Labels: "),
        (AGREED | {"status": ["announced"]}, "b: second must have one label of status"),
        (AGREED | {"rationale": []}, "no axis 'rationale'"),
        (AGREED | {"rationales": ["cybr"]}, "'cybr' is not a label.*Did you mean cyber"),
    ],
)
def test_lint_agreement_on_what_the_taxonomy_lacks_is_refused(
    taxonomy: Taxonomy, second: dict[str, str | list[str]], message: str
) -> None:
    pairs = [Pair(id="a", first=AGREED, second=AGREED), Pair(id="b", first=AGREED, second=second)]
    with pytest.raises(WhereasError, match=message):
        composition.agreement_table(pairs, taxonomy)


# ------------------------------------------------------------------ files and the command


def contrasted(example: Example) -> Located:
    return Located(example=example, where="c.jsonl:1", contrast=True)


@pytest.mark.parametrize(
    ("changed", "breach"),
    [
        ({}, None),
        ({"event": "other"}, "c.jsonl:1 two: of another event than one"),
        ({"meta": {"contrasts": "none"}}, "c.jsonl:1 two: contrasts 'none', which is no document"),
        ({"meta": {}}, "c.jsonl:1 two: contrasts None, which is no document here"),
        ({"labels": None}, "c.jsonl:1 two: has the labels of one"),
    ],
)
def test_lint_contrast_has_an_original_of_its_event_and_other_labels(
    quoted: Make, taxonomy: Taxonomy, changed: dict[str, Any], breach: str | None
) -> None:
    original = quoted(event="e")
    fields = {"event": "e", "meta": {"contrasts": "one"}} | changed
    if fields.get("labels", "") is None:
        fields["labels"] = original.labels
    else:
        fields["labels"] = original.labels | {"status": "lifted"}
    found = [*located(original), contrasted(quoted(id="two", **fields))]
    breaches = list(lint.contrast_breaches(found, taxonomy))
    assert breaches == [] if breach is None else breaches[0].startswith(breach)


RULES = """
examples = ["a*.jsonl"]
gold = ["gold/*.jsonl"]
gold_share = 0.5
agreement = ["pairs.json"]
[[quota]]
name = "all"
least = {least}
[diversity]
"""


@pytest.fixture
def folder(tmp_path: Path, quoted: Make) -> Path:
    """A corpus of two documents without a breach."""
    write(tmp_path, "a.jsonl", quoted(event=events(gold=False)[0]))
    frozen = quoted(id="g", event=events(gold=True)[0], text=f"{WORDS}; guards watch " * 9)
    write(tmp_path, "gold/g.jsonl", frozen)
    labels = quoted().labels
    pair = msgspec.json.encode(Pair(id="one", first=labels, second=labels))
    (tmp_path / "pairs.json").write_bytes(pair)
    (tmp_path / "lint.toml").write_text(RULES.format(least=2), "utf-8")
    return tmp_path


def test_lint_command_prints_the_tables_and_exits_0(folder: Path) -> None:
    done = CliRunner().invoke(app, ["label", "lint", str(folder)])
    assert done.exit_code == 0, done.output
    for title in ("Files", "Quotas", "Diversity", "Agreement on 1 documents (pairs)"):
        assert title in done.output
    assert "2 documents, no breach" in done.stderr


def test_lint_command_exits_1_and_says_where(folder: Path, make_example: Make) -> None:
    (folder / "lint.toml").write_text(RULES.format(least=3), "utf-8")
    write(folder, "a.jsonl", make_example(event=events(gold=False)[0]))
    done = CliRunner().invoke(app, ["label", "lint", str(folder)])
    assert done.exit_code == 1
    assert "breach: a.jsonl:1 one: no evidence for 'action'" in done.stderr
    assert "breach: quota all: 2 (100.0%), at least 3" in done.stderr
    assert "3 breaches" in done.stderr


def test_lint_contrasts_count_for_no_quota(folder: Path, quoted: Make, taxonomy: Taxonomy) -> None:
    event = events(gold=False)[0]
    rules = RULES.format(least=3) + "openings = 0.9\n"
    (folder / "lint.toml").write_text('contrast = ["copies.jsonl"]\n' + rules, "utf-8")
    copy = quoted(
        id="two",
        event=event,
        text=quoted().text + " No more.",
        labels=quoted().labels | {"status": "lifted"},
        meta={"contrasts": "one"},
    )
    write(folder, "copies.jsonl", copy)
    report = lint.inspect([folder], taxonomy)
    assert report.documents == 3
    assert report.breaches == ["quota all: 2 (100.0%), at least 3"]


def test_lint_command_checks_single_files_without_rules(tmp_path: Path, quoted: Make) -> None:
    path = write(tmp_path, "mine.jsonl", quoted())
    done = CliRunner().invoke(app, ["label", "lint", str(path)])
    assert done.exit_code == 0, done.output
    assert "Quotas" not in done.output
    assert re.search(r"rationales +surveillance +1 +100\.0%", done.output)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("exampels = []", "exampels"),
        ("examples = [", "lint.toml"),
        ('examples = ["none.jsonl"]', "none.jsonl is missing"),
        ('agreement = ["a.jsonl"]', r"a\.jsonl:1: .*missing required field `first`"),
        ("near_duplicate = 0", r"> 0.* - at `\$\.near_duplicate`"),
        ('[[quota]]\nname = "q"\neach = 1', "quota 'q': each needs an axis"),
    ],
)
def test_lint_rules_that_do_not_fit_are_refused(
    folder: Path, taxonomy: Taxonomy, rules: str, message: str
) -> None:
    (folder / "lint.toml").write_text(rules, "utf-8")
    with pytest.raises(WhereasError, match=message):
        lint.inspect([folder], taxonomy)


@pytest.mark.parametrize(
    ("line", "message"),
    [(b"{", "truncated"), (b'{"id": "b", "first": {}, "second": {}}', "b: first must have one")],
)
def test_lint_agreement_file_may_have_blank_lines_and_names_the_line_of_an_error(
    folder: Path, taxonomy: Taxonomy, line: bytes, message: str
) -> None:
    path = folder / "pairs.json"
    path.write_bytes(b"\n" + path.read_bytes() + b"\n \n")
    titles = [table.title for table in lint.inspect([folder], taxonomy).tables]
    assert "Agreement on 1 documents (pairs)" in titles
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(WhereasError, match=rf"pairs\.json:4: .*{message}"):
        lint.inspect([folder], taxonomy)


def test_lint_of_an_empty_folder_is_an_error(tmp_path: Path, taxonomy: Taxonomy) -> None:
    with pytest.raises(WhereasError, match="no labelled documents"):
        lint.inspect([tmp_path], taxonomy)
