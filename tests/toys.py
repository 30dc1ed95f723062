"""A toy task for training tests, with a tiny encoder made here: no base weights, no hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from whereas.records import Example, Span

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


def write_base(folder: Path) -> Path:
    """A two-layer BERT with random weights and a word-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel

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


def write_recipe(
    folder: Path, base: Path, *, epochs: int = 10, rank: int = 4, fit: str = ""
) -> Path:
    """The recipe and its data in a folder; `fit` is more lines of its [fit]."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "taxonomy.toml").write_text(TAXONOMY)
    lines = [msgspec.json.encode(toy_example(n)).decode() for n in range(60)]
    (folder / "toy.jsonl").write_text("\n".join(lines) + "\n")
    path = folder / "recipe.toml"
    text = RECIPE.format(base=base.as_posix(), epochs=epochs, rank=rank)
    path.write_text(text.replace("[fit]", f"[fit]\n{fit}", 1))
    return path


def quiet(_: object) -> None:
    pass


def with_file(recipe: Path, name: str, examples: list[Example], role: str = "train") -> Path:
    """The recipe with one more file of data."""
    lines = map(msgspec.json.encode, examples)
    (recipe.parent / f"{name}.jsonl").write_bytes(b"\n".join(lines))
    more = f'\n[[data]]\nname = "{name}"\npath = "{name}.jsonl"\nrole = "{role}"\n[windows]'
    recipe.write_text(recipe.read_text().replace("\n[windows]", more, 1))
    return recipe


def gathered(recipe: Path) -> Any:
    from whereas import recipe as recipes
    from whereas.training.data import gather

    return gather(recipes.load(recipe), recipe, quiet)


def held_toy(recipe: Path) -> Example:
    """A development document of the toy recipe under another id, event, case and punctuation."""
    one: Example = gathered(recipe).dev["toy"][0]
    return Example(
        id="twin", title="x", text=one.text.upper().replace(".", " ;"), labels=one.labels
    )


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
