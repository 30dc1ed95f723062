"""Words decide as scikit-learn's TF-IDF does, in whatever script, and in time like the length."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toys import TAXONOMY, gathered, quiet, toy_example, write_recipe
from whereas import taxonomy as taxonomies
from whereas.errors import WhereasError
from whereas.records import Example
from whereas.words import Words

ODD = (
    "",
    "   \n ",
    "a b c",
    "Cafe\u0301 and caf\u00e9, na\u00efve na\u00efve",
    "\ufb01nal of\ufb01ce \u2122 \uff26\uff35\uff2c\uff2c width \u00bd",
    "\u0130stanbul STRASSE stra\u00dfe \u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03cc\u03c2",
    "\ud55c\uad6d\uc5b4 \u4e2d\u6587",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u092d\u093e\u0930\u0924",
    "snake_case l'an 2024 x-ray re\u00adstrict zero\u200bwidth \ud800 \U0001f600",
    "a\u0327\u0301\u0327 q\u0307\u0323 \u1e9b\u0323",
)


def small() -> Words:
    """Knows two words and their pair, on two labels."""
    return Words(
        ["cameras", "cameras seized", "seized"],
        np.array([1, 2, 1], np.float32),
        np.array([[1, 0], [2, 0], [0, -1]], np.float16),
        np.array([0.5, -0.5], np.float32),
    )


def test_words_logits_of_counted_words_are_those_by_hand() -> None:
    # Cameras twice: 1 + ln 2; the pair once with idf 2; seized once.
    values = np.array([1 + np.log(2), 2, 1])
    values /= np.sqrt((values**2).sum())
    expected = [0.5 + values[0] + 2 * values[1], -0.5 - values[2]]
    assert small().logits("Cameras", "Caméras SEIZED today").tolist() == pytest.approx(expected)


def test_words_pairs_reach_from_title_into_text() -> None:
    assert (
        small().logits("cameras", "seized").tolist()
        == small().logits("", "cameras seized").tolist()
    )


@pytest.mark.parametrize("text", ["", "nothing that it knows", "\u0301\u0301", "a"])
def test_words_without_known_words_have_the_bias(text: str) -> None:
    assert small().logits("", text).tolist() == [0.5, -0.5]


def test_words_saved_and_loaded_are_the_same(tmp_path: Path) -> None:
    one = small()
    one.save(tmp_path / "words.safetensors")
    other = Words.load(tmp_path / "words.safetensors")
    assert other.terms == one.terms
    for name in ("idf", "weight", "bias"):
        np.testing.assert_array_equal(getattr(other, name), getattr(one, name))


@pytest.mark.parametrize("size", [0, 40, 2000])
def test_words_of_a_damaged_file_are_an_error(tmp_path: Path, size: int) -> None:
    path = tmp_path / "words.safetensors"
    small().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:size] if size < len(whole) else whole.replace(b"idf", b"fdi"))
    with pytest.raises(WhereasError, match=r"words\.safetensors is damaged"):
        Words.load(path)


@pytest.mark.parametrize("name", ["idf", "weight", "bias"])
def test_words_of_sizes_that_do_not_fit_are_an_error(tmp_path: Path, name: str) -> None:
    words = small()
    setattr(words, name, getattr(words, name)[1:])
    words.save(tmp_path / "words.safetensors")
    with pytest.raises(WhereasError, match=r"is damaged: 3 terms, but"):
        Words.load(tmp_path / "words.safetensors")


@pytest.mark.parametrize("unit", ["cameras seized ", "\u0301\u0327", "\u03a3'"])
def test_words_take_time_in_proportion_to_length(unit: str) -> None:
    """What takes the square of its length takes a thousand times as long for 32 times as much."""

    def seconds(times: int) -> float:
        began = time.process_time()
        small().logits("", unit * times + " end")
        return time.process_time() - began

    seconds(1000)
    assert seconds(64_000) < 200 * max(seconds(2000), 1e-3)


# ------------------------------------------------------------------ against scikit-learn


@pytest.fixture(scope="module")
def vectorizer() -> Any:
    """Fitted to texts with every odd character of `ODD`."""
    sk = pytest.importorskip("sklearn.feature_extraction.text")
    found = sk.TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, max_features=500, sublinear_tf=True, strip_accents="unicode"
    )
    return found.fit([toy_example(n).text for n in range(30)] + [f"{t} plain" for t in ODD * 2])


def both(vectorizer: Any, title: str, text: str) -> tuple[Any, Any]:
    """Logits [C] of a random linear model on scikit-learn's values, and those of `Words`."""
    random = np.random.default_rng(2)
    count = len(vectorizer.vocabulary_)
    weight = random.normal(0, 3, (count, 9)).astype(np.float16)
    bias = random.normal(size=9).astype(np.float32)
    terms = vectorizer.get_feature_names_out().tolist()
    words = Words(terms, vectorizer.idf_.astype(np.float32), weight, bias)
    values = vectorizer.transform([f"{title}\n{text}"])
    return values @ weight.astype(float) + bias, words.logits(title, text)[None]


@pytest.mark.train
@pytest.mark.parametrize("text", ODD)
def test_words_of_odd_characters_are_scikit_learns(vectorizer: Any, text: str) -> None:
    expected, got = both(vectorizer, f"{text} plain", f"plain {text}")
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.train
@given(
    st.text(),
    st.lists(st.one_of(st.sampled_from(ODD), st.sampled_from(["apples", "sold", "\n"]), st.text())),
)
def test_words_of_any_text_are_scikit_learns(vectorizer: Any, title: str, parts: list[str]) -> None:
    expected, got = both(vectorizer, title, " ".join(parts))
    np.testing.assert_allclose(got, expected, atol=1e-4)


# ------------------------------------------------------------------ fitted


def fruit(n: int, labels: dict[str, Any] | None = None) -> Example:
    example = toy_example(n)
    return example if labels is None else msgspec.structs.replace(example, labels=labels)


def learned(labels: Callable[[int], dict[str, Any] | None]) -> tuple[Any, Any, Words]:
    """Logits of 40 fruits by the exact regression and by the words, fitted to other labels."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from whereas.training import baseline

    taxonomy = taxonomies.parse(TAXONOMY.encode(), "toy")
    examples = [fruit(n, labels(n)) for n in range(40)]
    words = baseline.fit(examples, taxonomy)
    texts = [f"{e.title}\n{e.text}" for e in examples]
    x = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, sublinear_tf=True, strip_accents="unicode"
    ).fit_transform(texts)
    model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000)
    scores = model.fit(x, [e.one("fruit") for e in examples]).decision_function(x)
    return scores, np.stack([words.logits(e.title, e.text) for e in examples]), words


@pytest.mark.train
def test_words_fitted_give_the_regressions_scores() -> None:
    scores, got, _ = learned(lambda n: None)
    # scikit-learn sorts classes by name: apple, none, pear.
    np.testing.assert_allclose(got[:, :3], scores[:, [0, 2, 1]], atol=0.01)


@pytest.mark.train
def test_words_fitted_to_two_of_three_labels_give_both_and_not_the_third() -> None:
    from whereas.training.baseline import ABSENT

    def two(n: int) -> dict[str, Any]:
        return {"fruit": "pear" if n % 3 == 1 else "apple", "rationales": []}

    scores, got, _ = learned(two)
    np.testing.assert_allclose(got[:, 0], -scores, atol=0.01)
    np.testing.assert_allclose(got[:, 1], scores, atol=0.01)
    assert (got[:, 2] == ABSENT).all()


@pytest.mark.train
def test_words_never_and_always_seen_labels_need_no_words() -> None:
    from whereas.training import baseline

    taxonomy = taxonomies.parse(TAXONOMY.encode(), "toy")
    examples = [fruit(n, {"fruit": "pear", "rationales": ["sour"]}) for n in range(9)]
    words = baseline.fit(examples, taxonomy)
    no = baseline.ABSENT
    assert words.logits("x", examples[0].text).tolist() == [no, -no, no, no, -no]


@pytest.mark.train
def test_words_learn_an_axis_from_the_examples_that_have_it() -> None:
    from whereas.training import baseline

    taxonomy = taxonomies.parse(TAXONOMY.encode(), "toy")

    def halved(n: int) -> dict[str, Any]:
        labels = toy_example(n).labels
        return labels if n % 2 else {"fruit": labels["fruit"]}

    examples = [fruit(n, halved(n)) for n in range(60)]
    words = baseline.fit(examples, taxonomy)
    without = baseline.fit([e for e in examples if "rationales" in e.labels], taxonomy)
    sweet = [w.logits("", "Buyers called them sweet.")[3] for w in (words, without)]
    sour = [w.logits("", "Buyers called them sour.")[3] for w in (words, without)]
    assert min(sweet) > 0 > max(sour)


@pytest.mark.train
def test_words_of_documents_that_share_none_cannot_be_learned() -> None:
    from whereas.training import baseline

    taxonomy = taxonomies.parse(TAXONOMY.encode(), "toy")
    one = msgspec.structs.replace(toy_example(0), title="", text="unique")
    with pytest.raises(WhereasError, match="no words can be learned from 1 documents"):
        baseline.fit([one], taxonomy)


# ------------------------------------------------------------------ in a model

SECTION = "\n[words]\nfeatures = 50\nweight = 0.5\n"


@pytest.fixture(scope="module")
def spoken(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the toy recipe with a second opinion."""
    from whereas.training.routine import train

    folder = tmp_path_factory.mktemp("spoken")
    recipe = write_recipe(folder, base, epochs=2)
    recipe.write_text(recipe.read_text() + SECTION)
    train(recipe, folder / "run", quiet)
    return folder / "run"


def apart(folder: Path, n: int) -> tuple[Any, Any, Any]:
    """Of one toy: what the model decides from, what its heads alone give, what its words do."""
    from whereas.model import Model

    model = Model(folder)
    document = toy_example(n).document()
    states = model.encoder.encode([model.encoder.cut(document)])[0]
    words = Words.load(folder / "words.safetensors").logits(document.title, document.text)
    got = model.logits(document, states)
    return got.total, got.support.sum(0) + model.heads["bias"], words


@pytest.mark.train
def test_words_are_added_to_the_heads_with_their_weight(spoken: Path) -> None:
    from whereas.model import Model

    total, heads, words = apart(spoken / "model", 1)
    np.testing.assert_allclose(total, heads + 0.5 * words, atol=1e-5)
    assert np.abs(words).max() > 0.1
    assert len(Model(spoken / "model").words.terms) == 50  # type: ignore[union-attr]


@pytest.mark.train
def test_words_are_in_the_decision_and_in_what_is_measured(spoken: Path) -> None:
    from whereas.evaluation import judged
    from whereas.model import Model
    from whereas.robustness import _decide

    model = Model(spoken / "model")
    example = toy_example(1)
    for words in (model.words, None):
        model.words = words
        [logits], [verdict] = judged(model, [example])
        if words is not None:
            before = (logits, verdict.scores)
    assert np.abs(before[0] - logits).max() > 0.05
    assert before[1] != verdict.scores
    loud = np.array([-99, -99, 99, 0, 0], np.float32)
    model.words = Words(["none"], np.ones(1, np.float32), np.zeros((1, 5), np.float16), loud)
    assert judged(model, [example])[1][0].scores["fruit"]["none"] > 0.99
    assert _decide(model, example.document())["fruit"] == ["none"]


@pytest.mark.train
def test_words_calibration_is_that_of_the_sum(spoken: Path) -> None:
    from whereas.calibration import calibrate, gold
    from whereas.evaluation import judged
    from whereas.model import Model

    model = Model(spoken / "model")
    dev = gathered(spoken.parent / "recipe.toml").dev["toy"]
    expected = calibrate(model.taxonomy, judged(model, dev)[0], gold(dev, model.taxonomy))
    got = model.card.calibration
    assert got.temperature == pytest.approx(expected.temperature, rel=0.05)
    model.words = None
    other = calibrate(model.taxonomy, judged(model, dev)[0], gold(dev, model.taxonomy))
    assert got.platt["rationales"].slope == pytest.approx(
        expected.platt["rationales"].slope, rel=0.01
    )
    assert got.platt["rationales"].slope != pytest.approx(other.platt["rationales"].slope, rel=0.01)


@pytest.mark.train
def test_words_are_released_with_their_model(spoken: Path, tmp_path: Path) -> None:
    from whereas.model import Model
    from whereas.release import release

    folder = release(spoken, tmp_path)
    assert Model(folder).words is not None
    assert "its logits times\n  0.5 are added" in (folder / "README.md").read_text()


@pytest.mark.train
def test_words_of_an_earlier_export_do_not_stay(spoken: Path, tmp_path: Path) -> None:
    from whereas import recipe as recipes
    from whereas.training.export import write_words

    path = spoken.parent / "recipe.toml"
    recipe, data = recipes.load(path), gathered(path)
    write_words(recipe, data, tmp_path)
    assert (tmp_path / "words.safetensors").exists()
    write_words(msgspec.structs.replace(recipe, words=None), data, tmp_path)
    assert not (tmp_path / "words.safetensors").exists()


@pytest.mark.train
def test_words_are_refitted_on_the_fast_path(spoken: Path, tmp_path: Path, cache: Path) -> None:
    from whereas import recipe as recipes
    from whereas.calibration import calibrate, gold
    from whereas.evaluation import judged
    from whereas.model import Model
    from whereas.training import heads

    path = spoken.parent / "recipe.toml"
    recipe, data = recipes.load(path), gathered(path)
    parent = Model(spoken / "model")
    # All that were sweet are sour: words of the parent would say otherwise.
    turned = {
        name: [
            msgspec.structs.replace(e, labels=e.labels | {"rationales": ["sour"]}, evidence={})
            for e in group
        ]
        for name, group in data.train.items()
    }
    data = msgspec.structs.replace(data, train=turned)
    child = heads.refit(recipe, data, parent, tmp_path / "model", quiet)
    assert child.card.words_weight == 0.5
    sweet = Words.load(tmp_path / "model" / "words.safetensors").logits("", "sweet")
    assert sweet[3] < 0 < sweet[4]
    dev = data.dev["toy"]
    expected = calibrate(child.taxonomy, judged(child, dev)[0], gold(dev, child.taxonomy))
    assert child.card.calibration.platt["rationales"].offset == pytest.approx(
        expected.platt["rationales"].offset, abs=0.02
    )
    assert judged(child, [toy_example(0)])[1][0].scores["rationales"]["sour"] > 0.5


@pytest.mark.train
def test_words_missing_or_tampered_with_are_refused(spoken: Path, tmp_path: Path) -> None:
    import shutil

    from whereas.model import Model, sha256

    folder = tmp_path / "model"
    shutil.copytree(spoken / "model", folder)
    small().save(folder / "words.safetensors")
    with pytest.raises(WhereasError, match="not the released file"):
        Model(folder)
    (folder / "words.safetensors").unlink()
    with pytest.raises(WhereasError, match="missing"):
        Model(folder)
    manifest = (folder / "model.json").read_text()
    digest = sha256(spoken / "model" / "words.safetensors")
    (folder / "model.json").write_text(
        manifest.replace(digest, "x").replace('"words.saf', '"x.saf')
    )
    with pytest.raises(WhereasError, match=r"no digest for words\.safetensors"):
        Model(folder)


@pytest.mark.train
def test_words_of_another_taxonomy_are_refused(spoken: Path, tmp_path: Path) -> None:
    import shutil

    from whereas.model import Model, sha256

    folder = tmp_path / "model"
    shutil.copytree(spoken / "model", folder)
    path = folder / "words.safetensors"
    manifest = (folder / "model.json").read_text()
    digest = sha256(path)
    small().save(path)
    (folder / "model.json").write_text(manifest.replace(digest, sha256(path)))
    with pytest.raises(WhereasError, match=r"decides 2 labels, but its taxonomy\.toml has 5"):
        Model(folder)
