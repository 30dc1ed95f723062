"""Training on a tiny encoder and a toy taxonomy, made here: no base weights, no hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from whereas import taxonomy as taxonomies
from whereas.errors import WhereasError
from whereas.records import Example, Span
from whereas.taxonomy import Taxonomy

pytestmark = pytest.mark.train

TAXONOMY = """
name = "fruit"
version = "1"
[irrelevant]
axis = "fruit"
label = "none"
[[axis]]
name = "fruit"
title = "which fruit"
kind = "one"
[axis.labels]
apple = "round"
pear = "not round"
none = "neither"
[[axis]]
name = "rationales"
title = "why"
kind = "many"
[axis.labels]
sweet = "sugar"
sour = "acid"
"""

RECIPE = """
name = "toy"
version = "0.0.1"
taxonomy = "taxonomy.toml"
base = "{base}"
[[data]]
name = "toy"
path = "toy.jsonl"
role = "split"
holdout = 0.3
[windows]
pieces = 64
training_budget = 2
budget = 4
[fit]
epochs = {epochs}
batch = 8
lora_rank = {rank}
encoder_rate = 3e-3
head_rate = 1e-2
title_dropout = 0.2
[loss]
attention = 0.3
highlight = 0.3
facts = 0.3
[loss.axes]
"""

FILLER = ["merchant", "crate", "beside", "scales", "near", "our", "harbour", "gate", "today"]


def toy_example(n: int) -> Example:
    rng = np.random.default_rng(n)
    fruit, word = [("apple", "apples"), ("pear", "pears"), ("none", "bricks")][n % 3]
    taste = [["sweet"], ["sour"], ["sweet", "sour"]][n % 5 % 3] if fruit != "none" else []
    noise = " ".join(rng.choice(FILLER, 6)).capitalize() + "."
    act = f"They sold {word} on monday."
    why = f"Buyers called them {' and '.join(taste)}." if taste else "Nobody tasted them."
    text = f"{noise} {act} {why}"
    evidence = {"fruit": [Span(text.index(act), text.index(act) + len(act) - 1)]}
    evidence |= {t: [Span(text.index(t), text.index(t) + len(t))] for t in taste}
    at = text.index("monday")
    facts = [{"slot": "effective_date", "text": "monday", "start": at, "end": at + 6}]
    return msgspec.convert(
        {
            "id": f"toy-{n}",
            "title": f"Market note {n}",
            "text": text,
            "labels": {"fruit": fruit, "rationales": taste},
            "evidence": {}
            if fruit == "none"
            else {k: [{"start": s.start, "end": s.end} for s in v] for k, v in evidence.items()},
            "facts": facts,
            "event": f"event-{n}",
        },
        Example,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer BERT with random weights and a word-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("base")
    texts = [f"{e.title} {e.text}" for e in map(toy_example, range(60))]
    words = sorted({w for t in texts for w in t.lower().replace(".", " . ").split()})
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def write_recipe(folder: Path, base: Path, *, epochs: int = 10, rank: int = 4) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "taxonomy.toml").write_text(TAXONOMY)
    lines = [msgspec.json.encode(toy_example(n)).decode() for n in range(60)]
    (folder / "toy.jsonl").write_text("\n".join(lines) + "\n")
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(base=base, epochs=epochs, rank=rank))
    return path


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def finished(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the toy recipe."""
    from whereas.training.routine import train

    folder = tmp_path_factory.mktemp("finished")
    train(write_recipe(folder, base), folder / "run", quiet)
    return folder / "run"


def test_training_learns_the_toy_task(finished: Path) -> None:
    curve = json.loads((finished / "curve.json").read_text())
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    metrics = json.loads((finished / "model" / "metrics.json").read_text())
    assert metrics[0]["figures"]["fruit accuracy"]["value"] >= 0.8


def test_training_teaches_attention_to_find_the_quoted_sentence(finished: Path) -> None:
    """Attention scaled by 1/sqrt(D) once learned nothing from quotes (training/LOG.md)."""
    curve = json.loads((finished / "curve.json").read_text())
    assert curve[-1]["attention"] < 0.5 * curve[0]["attention"]


def test_training_resumes_to_the_same_weights(base: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base, epochs=3)
    whole = Run(recipe, tmp_path / "whole", quiet)
    whole.train()

    class KilledError(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("epoch 3"):
            raise KilledError

    with pytest.raises(KilledError):
        Run(recipe, tmp_path / "cut", stop).train()
    said: list[str] = []
    Run(recipe, tmp_path / "cut", said.append).train()
    assert "going on after epoch 2" in said
    one, other = (load_file(tmp_path / k / "checkpoint.safetensors") for k in ("whole", "cut"))
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_training_refuses_to_resume_another_recipe(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    Run(write_recipe(tmp_path, base, epochs=1), tmp_path / "run", quiet).train()
    with pytest.raises(WhereasError, match="another recipe"):
        Run(write_recipe(tmp_path, base, epochs=2), tmp_path / "run", quiet).train()


def test_training_goes_on_when_only_development_data_changed(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base, epochs=1)
    Run(recipe, tmp_path / "run", quiet).train()
    (tmp_path / "more.jsonl").write_bytes(
        msgspec.json.encode(msgspec.structs.replace(toy_example(100), id="more", event="more"))
    )
    more = '\n[[data]]\nname = "more"\npath = "more.jsonl"\nrole = "{}"\n[windows]'
    text = recipe.read_text()
    recipe.write_text(text.replace("\n[windows]", more.format("dev"), 1))
    said: list[str] = []
    Run(recipe, tmp_path / "run", said.append).train()
    assert said == ["going on after epoch 1"]
    recipe.write_text(text.replace("\n[windows]", more.format("train"), 1))
    with pytest.raises(WhereasError, match="another recipe or other data"):
        Run(recipe, tmp_path / "run", quiet).train()


def test_training_role_holdout_takes_the_development_split_alone(
    base: Path, tmp_path: Path
) -> None:
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base)
    split = Run(recipe, tmp_path / "run", quiet).corpus
    other = [msgspec.structs.replace(toy_example(n), event=None) for n in range(100, 103)]
    (tmp_path / "other.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, other)))
    text = recipe.read_text().replace('role = "split"', 'role = "holdout"', 1)
    more = '\n[[data]]\nname = "other"\npath = "other.jsonl"\n[windows]'
    recipe.write_text(text.replace("\n[windows]", more, 1))
    held = Run(recipe, tmp_path / "other", quiet).corpus
    assert held.dev == split.dev
    assert list(held.train) == ["other"]


def test_training_full_fine_tuning_needs_no_adapter(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    run = Run(write_recipe(tmp_path, base, epochs=1, rank=0), tmp_path / "run", quiet)
    assert all(p.requires_grad for p in run.network.parameters())


def test_training_data_of_one_event_on_both_sides_is_refused(base: Path, tmp_path: Path) -> None:
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base)
    again = '\n[[data]]\nname = "again"\npath = "toy.jsonl"\n[windows]'
    recipe.write_text(recipe.read_text().replace("\n[windows]", again, 1))
    with pytest.raises(WhereasError, match="training and development data"):
        Run(recipe, tmp_path / "run", quiet)


def with_file(recipe: Path, name: str, examples: list[Example], role: str = "train") -> Path:
    """The recipe with one more file of data."""
    lines = map(msgspec.json.encode, examples)
    (recipe.parent / f"{name}.jsonl").write_bytes(b"\n".join(lines))
    more = f'\n[[data]]\nname = "{name}"\npath = "{name}.jsonl"\nrole = "{role}"\n[windows]'
    recipe.write_text(recipe.read_text().replace("\n[windows]", more, 1))
    return recipe


def gathered(recipe: Path) -> Any:
    from whereas import recipe as recipes
    from whereas.training.fit import gather

    return gather(recipes.load(recipe), recipe, quiet)


def held_toy(recipe: Path) -> Example:
    """A development document of the toy recipe under another id, event, case and punctuation."""
    one: Example = gathered(recipe).dev["toy"][0]
    return Example(
        id="twin", title="x", text=one.text.upper().replace(".", " ;"), labels=one.labels
    )


def test_training_data_with_the_text_of_development_data_is_refused(
    base: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, base)
    twin = held_toy(recipe)
    original = gathered(recipe).dev["toy"][0].id
    with pytest.raises(WhereasError, match=f"twin in training data has the text of {original} in"):
        gathered(with_file(recipe, "more", [twin]))


def test_training_presumed_document_with_the_text_of_development_data_is_left_out(
    base: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, base)
    twin = msgspec.structs.replace(held_toy(recipe), confidence="presumed")
    data = gathered(with_file(recipe, "more", [twin, toy_example(100)]))
    assert [e.id for e in data.train["more"]] == ["toy-100"]


def test_training_file_without_examples_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(WhereasError, match=r"more \(more\.jsonl\) holds no examples"):
        gathered(with_file(write_recipe(tmp_path, base), "more", []))


def test_training_loss_weight_of_an_unknown_axis_is_refused(base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text() + "fruits = 2.0\n")
    with pytest.raises(WhereasError, match="'fruits', which is no axis") as caught:
        gathered(recipe)
    assert caught.value.fix == "Did you mean fruit? Axes: fruit, rationales"


def test_training_development_data_of_one_half_is_refused_as_cross_fitting_would(
    base: Path, tmp_path: Path
) -> None:
    from whereas.evaluation import crossfitted

    toys = taxonomies.parse(TAXONOMY.encode(), "toy")
    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text().replace('"split"', '"train"'))
    dev = [msgspec.structs.replace(toy_example(n), event="alone") for n in range(100, 110)]
    with pytest.raises(WhereasError) as early:
        gathered(with_file(recipe, "more", dev, "dev"))
    with pytest.raises(WhereasError) as late:
        crossfitted(toys, np.zeros((10, 5)), dev)
    assert (early.value.what, early.value.fix) == (late.value.what, late.value.fix)


def test_export_decides_like_the_trained_network(finished: Path) -> None:
    parity = json.loads((finished / "parity.json").read_text())
    assert parity["flipped_labels"] <= 0.01
    assert parity["cosine"] >= 0.99


def test_export_numpy_heads_equal_torch_heads(finished: Path) -> None:
    """Same sentence states in, same logits and attention out, to float precision."""
    import torch

    from whereas.model import Model
    from whereas.training.export import restore
    from whereas.training.fit import Run
    from whereas.training.network import collate, item

    run = Run(finished.parent / "recipe.toml", finished, quiet)
    restore(run)
    run.network.eval()
    model = Model(finished / "model")
    for n in range(6):
        one = item(run.tokenizer, toy_example(n), run.taxonomy, model.encoder.spec)
        with torch.no_grad():
            output = run.network(collate([one]))
        states = model.encoder.encode([one.reading])[0]
        exact = msgspec.structs.replace(states, sentences=output.sentences[0].numpy())
        logits, attention, support = model.logits(exact)
        np.testing.assert_allclose(logits, output.logits[0].numpy(), atol=1e-4)
        np.testing.assert_allclose(attention, output.log_attention[0].exp().numpy(), atol=1e-4)
        np.testing.assert_allclose(support.sum(0) + model.heads["bias"], logits, atol=1e-5)


def test_export_adapter_warm_starts_an_encoder(finished: Path) -> None:
    from safetensors.numpy import load_file

    checkpoint = load_file(finished / "checkpoint.safetensors")
    adapter = load_file(finished / "model" / "adapter.safetensors")
    assert adapter
    for name, value in adapter.items():
        np.testing.assert_array_equal(value, checkpoint[f"param/{name}"])


def test_release_moves_current_and_refuses_the_same_version(finished: Path, tmp_path: Path) -> None:
    from whereas.model import sha256
    from whereas.release import release

    target = release(finished, tmp_path)
    name, digest = (tmp_path / "CURRENT").read_text().split()
    assert target == tmp_path / name == tmp_path / "toy-0.0.1"
    assert digest == sha256(target / "model.json")
    assert "# toy 0.0.1" in (target / "README.md").read_text()
    with pytest.raises(WhereasError, match="exists"):
        release(finished, tmp_path)


def test_release_refuses_figures_of_another_model(finished: Path, tmp_path: Path) -> None:
    from whereas.release import release

    run = tmp_path / "run"
    shutil.copytree(finished, run)
    manifest = json.loads((run / "model" / "model.json").read_text())
    (run / "model" / "model.json").write_text(json.dumps(manifest | {"trained_at": "2020-01-01"}))
    with pytest.raises(WhereasError, match="the figures are not of this model"):
        release(run, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_baseline_tells_the_toy_labels_apart() -> None:
    from whereas import taxonomy as taxonomies
    from whereas.calibration import gold
    from whereas.training import baseline

    taxonomy = taxonomies.parse(TAXONOMY.encode(), "toy")
    examples = [toy_example(n) for n in range(60)]
    logits = baseline.logits(examples[:45], examples[45:], taxonomy)
    right = logits[:, :3].argmax(1) == gold(examples[45:], taxonomy)[:, :3].argmax(1)
    assert right.mean() >= 0.9


def test_training_recipe_of_the_release_trains_on_the_committed_corpus_alone(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whereas import recipe as recipes
    from whereas.training.fit import gather

    monkeypatch.delenv(recipes.DATA_VARIABLE, raising=False)
    path = repository / "training/recipes/whereas.toml"
    said: list[str] = []
    data = gather(recipes.load(path), path, said.append)
    assert list(data.train) == list(data.dev) == ["reported", "authored"]
    assert len(said) == 3, "each file that is left out is named"


# ------------------------------------------------------------------ retraining


PLUM = TAXONOMY.replace('pear = "', 'plum = "the new one"\npear = "')


def added(folder: Path, numbers: range, change: dict[int, dict[str, Any]] | None = None) -> Path:
    """Toy examples of other events as a file of new labels, some of them with other labels."""
    lines = []
    for n in numbers:
        example = msgspec.structs.replace(toy_example(n), id=f"new-{n}", event=f"new-{n}")
        if n in (change or {}):
            labels = example.labels | (change or {})[n]
            example = msgspec.structs.replace(example, labels=labels, evidence={})
        lines.append(msgspec.json.encode(example))
    path = folder / "new.jsonl"
    path.write_bytes(b"\n".join(lines))
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "whereas"


def test_retraining_adopted_heads_are_the_released_ones(taxonomy: Taxonomy) -> None:
    """Also where labels of one axis share what those of another learned."""
    import torch
    from torch import nn

    from whereas.training.network import Network

    one, other = (Network(nn.Identity(), 8, taxonomy, dropout=0.1) for _ in range(2))
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.normal_()
    assert other.adopt(one.heads(), taxonomy, taxonomy) == []
    for name, value in one.heads().items():
        torch.testing.assert_close(other.heads()[name], value, msg=name)


def test_retraining_new_labels_begin_untrained_and_are_named(taxonomy: Taxonomy) -> None:
    from torch import nn

    from whereas.training.network import Network

    axis = taxonomy["rationales"]
    fewer = {k: v for k, v in axis.labels.items() if k != "cyber"}
    older = msgspec.structs.replace(
        taxonomy,
        axis=[
            msgspec.structs.replace(a, labels=fewer) if "rationales" in a.name else a
            for a in taxonomy.axis
        ],
    )
    one = Network(nn.Identity(), 8, older, dropout=0.1)
    other = Network(nn.Identity(), 8, taxonomy, dropout=0.1)
    new = other.adopt(one.heads(), taxonomy, older)
    assert new == ["rationales=cyber", "background_rationales=cyber"]


def test_retraining_cached_states_give_the_released_logits(finished: Path, cache: Path) -> None:
    from whereas.evaluation import judged
    from whereas.model import Model
    from whereas.training import heads

    model = Model(finished / "model")
    examples = [toy_example(n) for n in range(9)]
    said: list[str] = []
    for _ in range(2):
        reads = heads.read(model, model.taxonomy, {"toy": examples}, {}, 1.0, said.append)
        network, _ = heads.new_network(model, model.taxonomy, 0.1)
        found = heads.logits(network, reads["toy"])
        np.testing.assert_allclose(found, judged(model, examples)[0], atol=0.02)
    assert said == ["reading toy: 0/9"], "the second time states come from the cache"
    assert len(list(cache.iterdir())) == 1


def test_retraining_damaged_cache_is_computed_anew(finished: Path, cache: Path) -> None:
    from whereas.model import Model
    from whereas.training import heads

    model = Model(finished / "model")
    for _ in range(2):
        reads = heads.read(model, model.taxonomy, {"t": [toy_example(1)]}, {}, 1.0, quiet)
        [path] = cache.iterdir()
        path.write_bytes(path.read_bytes()[:100])
    assert len(reads["t"][0].states) > 0


def test_retraining_cache_knows_how_texts_are_cut(
    finished: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whereas import sentences
    from whereas.model import Model
    from whereas.training import heads

    model = Model(finished / "model")
    for count, split in [(4, sentences.split), (2, lambda text: [Span(0, len(text))])]:
        monkeypatch.setattr(sentences, "split", split)
        [one] = heads.read(model, model.taxonomy, {"t": [toy_example(1)]}, {}, 1.0, quiet)["t"]
        assert len(one.states) == len(one.item.reading.sentences) == count
    assert len(list(cache.iterdir())) == 2


def test_retraining_cache_knows_the_word_pieces(finished: Path, cache: Path) -> None:
    from whereas.model import Model
    from whereas.training import heads

    model = Model(finished / "model")
    said: list[str] = []
    for digest in ("one", "other", "one"):
        files = model.card.files | {"tokenizer.json": digest}
        model.card = msgspec.structs.replace(model.card, files=files)
        heads.read(model, model.taxonomy, {"t": [toy_example(1)]}, {}, 1.0, said.append)
    assert said == ["reading t: 0/1"] * 2


def test_retraining_cache_of_other_lengths_is_computed_anew(finished: Path, cache: Path) -> None:
    from safetensors.numpy import load_file, save_file

    from whereas.model import Model
    from whereas.training import heads

    model = Model(finished / "model")
    for _ in range(2):
        [one] = heads.read(model, model.taxonomy, {"t": [toy_example(1)]}, {}, 1.0, quiet)["t"]
        assert len(one.states) == len(one.item.reading.sentences)
        [path] = cache.iterdir()
        short = load_file(path)["states"][:-1]
        save_file({"states": short, "sizes": np.array([len(short)])}, path)


def test_retraining_goes_on_without_a_cache_it_cannot_write(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whereas.model import Model
    from whereas.training import heads

    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    model = Model(finished / "model")
    said: list[str] = []
    reads = heads.read(model, model.taxonomy, {"t": [toy_example(1)]}, {}, 1.0, said.append)
    assert len(reads["t"][0].states) > 0
    assert said[1].startswith("going on without a cache of states: ")


def test_retraining_fast_path_records_what_a_later_training_needs(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    """The rank and windows of the encoder it keeps, not those of a recipe that never trained it;
    and of added files the name, not where they lie."""
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training import heads
    from whereas.training.fit import Run, gather

    parent = Model(finished / "model")
    recipe = write_recipe(tmp_path, base, rank=8)
    recipe.write_text(recipe.read_text().replace("pieces = 64", "pieces = 32"))
    asked = recipes.with_data(recipes.load(recipe), [added(tmp_path, range(100, 130))])
    child = heads.refit(
        asked, gather(asked, recipe, quiet), parent, tmp_path / "run" / "model", quiet
    )
    assert child.card.recipe["fit"]["lora_rank"] == 4
    assert child.card.recipe["windows"] == parent.card.recipe["windows"]
    assert [d["path"] for d in child.card.recipe["data"]] == ["toy.jsonl", "new.jsonl"]
    Run(write_recipe(tmp_path, base, rank=4), tmp_path / "later", quiet, parent=child)


def test_retraining_fast_path_does_not_write_over_its_parent(finished: Path) -> None:
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training import heads

    recipe = finished.parent / "recipe.toml"
    with pytest.raises(WhereasError, match="the model to start from and the one to write"):
        heads.refit(
            recipes.load(recipe),
            gathered(recipe),
            Model(finished / "model"),
            finished / "run" / ".." / "model",
            quiet,
        )


def test_retraining_version_tells_what_it_was_made_of(
    finished: Path, base: Path, tmp_path: Path
) -> None:
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training.export import retrained
    from whereas.training.fit import gather

    parent, other = Model(finished / "model"), Model(finished / "model")
    other.id = "other"
    path = write_recipe(tmp_path, base)
    (tmp_path / "elsewhere").mkdir()
    recipe, moved = (
        recipes.with_data(recipes.load(path), [added(folder, range(100, 130))])
        for folder in (tmp_path, tmp_path / "elsewhere")
    )
    data = gather(recipe, path, quiet)
    one = retrained(parent, recipe, data, fast=False)
    assert one == retrained(parent, moved, gather(moved, path, quiet), fast=False)
    differ = [
        one,
        retrained(parent, recipe, data, fast=True),
        retrained(parent, recipes.warm(recipe), data, fast=False),
        retrained(other, recipe, data, fast=False),
        retrained(parent, recipe, gathered(path), fast=False),
    ]
    assert len(set(differ)) == len(differ)


def test_retraining_resumes_with_added_files(finished: Path, base: Path, tmp_path: Path) -> None:
    from whereas.model import Model
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text().replace("[fit]", "[fit]\nwarm_epochs = 1"))
    parent, new = Model(finished / "model"), added(tmp_path, range(100, 130))
    said: list[str] = []
    for _ in range(2):
        Run(recipe, tmp_path / "run", said.append, parent=parent, add=[new]).train()
    assert said[-1] == "going on after epoch 1"


@pytest.mark.parametrize("fast", [True, False])
def test_retraining_learns_a_new_label_and_keeps_the_old_ones(
    finished: Path, base: Path, tmp_path: Path, cache: Path, fast: bool
) -> None:
    from whereas.model import Model, sha256
    from whereas.training.routine import train

    recipe = write_recipe(tmp_path, base)
    recipe.write_text(recipe.read_text().replace("[fit]", "[fit]\nwarm_epochs = 6\nwarm_rate = 1"))
    (tmp_path / "taxonomy.toml").write_text(PLUM)
    plums = {n: {"fruit": "plum"} for n in range(100, 160) if n % 3 == 0}
    new = added(tmp_path, range(100, 160), plums)
    new.write_text(new.read_text().replace("apples", "quince"))
    run = tmp_path / "run"
    results = train(recipe, run, quiet, parent=finished / "model", add=[new], fast=fast)
    parent, child = Model(finished / "model"), Model(run / "model")
    assert child.card.parent == parent.id
    assert child.card.version.startswith("0.0.1+")
    assert (sha256(run / "model" / "encoder.onnx") == parent.card.files["encoder.onnx"]) == fast
    by = {(r.system, r.data): r for r in results}
    assert by[child.id, "new"].labels["fruit"]["plum"].value == 1.0
    assert by[parent.id, "new"].labels["fruit"]["plum"].value == 0.0
    old = [by[m.id, "toy"].figures["fruit accuracy"].value or 0 for m in (child, parent)]
    assert old[0] >= old[1] - 0.1


def test_retraining_planted_label_errors_are_suspected(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    from whereas.training import routine

    wrong = {103: {"fruit": "none", "rationales": []}, 110: {"fruit": "apple"}}
    new = added(tmp_path, range(100, 130), wrong)
    plan = routine.plan(
        write_recipe(tmp_path, base),
        tmp_path / "run",
        quiet,
        parent=finished / "model",
        add=[new],
    )
    suspects = next(t for t in plan.tables if t.title.startswith("Suspected"))
    found = {row[0] for row in suspects.rows if row[1] == "fruit"}
    assert {f"new-{n}" for n in wrong} <= found
    assert len(found) <= 4
    assert plan.minutes is not None
    assert plan.minutes > 0
    assert not (tmp_path / "run").exists()


def test_retraining_labels_of_one_event_do_not_bear_each_other_out(
    finished: Path, base: Path, tmp_path: Path, cache: Path
) -> None:
    """Thirty documents of one event share an error: heads that had seen any of them would have
    learned it, and find nothing suspect."""
    from whereas import recipe as recipes
    from whereas.model import Model
    from whereas.training.fit import gather
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


def test_retraining_same_text_with_other_labels_is_a_contradiction(
    base: Path, tmp_path: Path
) -> None:
    from whereas.training import routine

    lines = [msgspec.structs.replace(toy_example(n), id=f"n{n}") for n in (1, 2)]
    lines[0] = msgspec.structs.replace(lines[0], labels=lines[0].labels | {"fruit": "apple"})
    path = tmp_path / "new.jsonl"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    plan = routine.plan(
        write_recipe(tmp_path, base), tmp_path / "run", quiet, add=[path], timed=False
    )
    assert "n1 has the text of toy-1, but other labels: fruit" in plan.warnings
    assert not [w for w in plan.warnings if w.startswith("n2 has")]


def test_retraining_shift_table_names_labels_of_another_share(taxonomy: Taxonomy) -> None:
    from whereas.training.review import shift_table

    old = [toy_example(n) for n in range(60)]
    toys = taxonomies.parse(TAXONOMY.encode(), "toy")
    table = shift_table([e for e in old if e.one("fruit") == "pear"], old, toys)
    assert ["fruit", "pear", "20", "100.0%", "33.3%"] in table.rows
    assert shift_table(old[:30], old, toys).rows == []


def test_retraining_shift_table_leaves_presumed_documents_out() -> None:
    from whereas.training.review import shift_table

    toys = taxonomies.parse(TAXONOMY.encode(), "toy")
    old = [toy_example(n) for n in range(60)]
    none = [e for e in old if e.one("fruit") == "none"]
    presumed = [msgspec.structs.replace(e, confidence="presumed") for e in none * 20]
    assert shift_table(old, presumed + old, toys).rows == []


@pytest.mark.parametrize(("new", "old"), [(0, 3), (3, 0), (0, 0)])
def test_retraining_shift_table_of_nothing_is_empty(new: int, old: int) -> None:
    from whereas.training.review import shift_table

    toys = taxonomies.parse(TAXONOMY.encode(), "toy")
    examples = [toy_example(n) for n in range(3)]
    assert shift_table(examples[:new], examples[:old], toys).rows == []


def test_retraining_fast_path_needs_a_model_to_start_from(base: Path, tmp_path: Path) -> None:
    from whereas.training.routine import train

    with pytest.raises(WhereasError, match="refits a released model"):
        train(write_recipe(tmp_path, base), tmp_path / "run", quiet, fast=True)


def test_retraining_two_files_of_one_name_are_refused(base: Path, tmp_path: Path) -> None:
    from whereas.training.routine import plan

    recipe = write_recipe(tmp_path, base)
    with pytest.raises(WhereasError, match="data named 'toy' already"):
        plan(recipe, tmp_path / "run", quiet, add=[tmp_path / "toy.jsonl"], timed=False)


def test_retraining_other_rank_than_the_parent_is_refused(
    finished: Path, base: Path, tmp_path: Path
) -> None:
    from whereas.model import Model
    from whereas.training.fit import Run

    recipe = write_recipe(tmp_path, base, rank=8)
    with pytest.raises(WhereasError, match="fine-tuned otherwise"):
        Run(recipe, tmp_path / "run", quiet, parent=Model(finished / "model"))


def test_training_baseline_is_measured_on_documents_it_has_not_seen(
    base: Path, tmp_path: Path
) -> None:
    from whereas.training.routine import baseline_rows

    found = [msgspec.structs.replace(toy_example(n), id=f"x{n}") for n in range(200, 230)]
    rows = baseline_rows(write_recipe(tmp_path, base), found, quiet, crossfit=False)
    assert [row.id for row in rows] == [e.id for e in found]
    assert np.mean([row.gold["fruit"] == row.given["fruit"] for row in rows]) > 0.9
