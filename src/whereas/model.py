"""A released model: a verified folder → verdicts with evidence. numpy and ONNX Runtime only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from whereas import facts
from whereas import taxonomy as taxonomies
from whereas.calibration import (
    LEAST_DOCUMENTS,
    Calibration,
    choose,
    columns,
    probabilities,
    sigmoid,
    softmax,
)
from whereas.encoder import Encoder, Floats, States, WindowSpec
from whereas.errors import WhereasError
from whereas.facts import whole_words
from whereas.records import Document, Label, Labels, Span, Verdict
from whereas.words import Words

FORMAT = 2
"""Of a model folder: 2 may have a second opinion, which readers of 1 would leave out unnoticed."""
FILES = (
    "encoder.onnx",
    "heads.safetensors",
    "adapter.safetensors",
    "tokenizer.json",
    "taxonomy.toml",
)
"""What a model folder holds besides its manifest, figures and card."""
WORDS = "words.safetensors"
"""And this, where it has a second opinion."""
SECOND_SENTENCE = 0.25
"""A further evidence sentence is shown from this attention on (a share of 1 over the document)."""
MAX_EVIDENCE = 2
HIGHLIGHT_OFFSET = 0.5
LEAST_PIECES = 10
"""What makes the shown words as long as an annotator's quote: added to each piece's vote, and the
least length of a run. On 419 quotes of the development sets their overlap (F1 of characters) rises
from .60 without either to .73 (training/LOG.md); measure both anew with another highlight head."""
THIN_WORDS = 40
"""Below this a document is too thin for a brief, and its labels are for a person to see."""
FOREIGN_PIECES = 1.85
"""Word pieces a word from which text is not the English the model was trained on, or is garbled. Of
the English training texts 99 % lie under 1.72; Spanish, French and German sentences of this field
gave 2.0, 2.0 and 2.7."""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """`model.json`. `files` maps each file of the folder to the sha256 of its bytes; `parent` is
    the id of the model that training started from. `words_weight` is what the words' logits count
    beside those of the heads; 0 where there is no second opinion."""

    format: int
    name: str
    version: str
    base: dict[str, str]
    windows: WindowSpec
    width: int
    calibration: Calibration
    words_weight: float = 0.0
    recipe: dict[str, Any]
    data: dict[str, Any]
    code: str
    files: dict[str, str]
    environment: dict[str, str] = {}
    trained_at: str = ""
    parent: str | None = None


class Logits(msgspec.Struct, frozen=True, kw_only=True):
    """What a document's logits are made of: `total` [C] is the heads' bias, plus `support` [S, C],
    what each sentence adds (`attention` [S, C] times its own logit), plus `words` [C]."""

    total: Floats
    attention: Floats
    support: Floats
    words: Floats


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict with the sentences it rests on. `support` maps (axis, label) to what each sentence
    adds to the label's logit, [S], negative where it speaks against; `words` to what the document's
    words add by themselves."""

    verdict: Verdict
    sentences: list[Span]
    support: dict[tuple[str, str], list[float]]
    words: dict[tuple[str, str], float] = {}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def models_folder() -> Path:
    """Where released models lie: in the installed package, or beside the sources."""
    packaged = Path(str(resources.files("whereas"))) / "models"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "models"


def current() -> Path:
    """The folder of the default model. Raises `WhereasError` when none is released or its manifest
    is not the one that `CURRENT` names."""
    folder = models_folder()
    try:
        name, digest = (folder / "CURRENT").read_text("utf-8").split()
    except (OSError, ValueError) as error:
        raise WhereasError(
            f"no current model in {folder}", "Give one with --model FOLDER"
        ) from error
    manifest = folder / name / "model.json"
    if not manifest.is_file() or sha256(manifest) != digest:
        raise WhereasError(
            f"{manifest} is missing or is not the released one",
            "Install whereas again, or give a model with --model FOLDER",
        )
    return folder / name


def read_card(folder: Path) -> Card:
    """The manifest of a model folder, every file of it verified.

    Raises:
        WhereasError: no manifest, a format this version cannot read, or a file that is missing or
            whose digest is another.
    """
    manifest = folder / "model.json"
    try:
        card = msgspec.json.decode(manifest.read_bytes(), type=Card)
    except OSError as error:
        raise WhereasError(
            f"{folder} holds no model ({error.strerror}: model.json)",
            "Give a released model's folder",
        ) from error
    except msgspec.MsgspecError as error:
        raise WhereasError(f"{manifest} is damaged: {error}", "Install the model again") from error
    if not 1 <= card.format <= FORMAT:
        raise WhereasError(
            f"{folder} has model format {card.format}; this version reads 1 to {FORMAT}",
            "Update whereas or choose another model",
        )
    needed = (*FILES, WORDS) if card.words_weight else FILES
    unlisted = [name for name in needed if name not in card.files]
    if unlisted:
        raise WhereasError(
            f"{manifest} gives no digest for {', '.join(unlisted)}", "Install the model again"
        )
    for name, digest in card.files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise WhereasError(f"{path} is missing", "Install the model again")
        if sha256(path) != digest:
            raise WhereasError(
                f"{path} is not the released file (its digest differs)", "Install the model again"
            )
    return card


class Model:
    """Labels documents. Load once, use for many batches; not safe to share between threads.

    Raises:
        WhereasError: a folder that is no model (see `read_card`), or whose files do not fit.
    """

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        from safetensors.numpy import load_file

        self.folder = folder
        self.card = read_card(folder)
        self.id = f"{self.card.name}-{self.card.version}@{sha256(folder / 'model.json')[:8]}"
        self.taxonomy = taxonomies.parse(
            (folder / "taxonomy.toml").read_bytes(), str(folder / "taxonomy.toml")
        )
        self.heads = load_file(folder / "heads.safetensors")
        self.words = Words.load(folder / WORDS) if self.card.words_weight else None
        self.encoder = Encoder(folder, spec=self.card.windows, threads=threads)
        self._columns = columns(self.taxonomy)
        self._place = {key: c for c, key in enumerate(self._columns)}
        self._check_columns(FILES[1], len(self.heads["bias"]))
        if self.words:
            self._check_columns(WORDS, len(self.words.bias))

    def _check_columns(self, name: str, count: int) -> None:
        if count != len(self._columns):
            raise WhereasError(
                f"{self.folder / name} decides {count} labels, but its taxonomy.toml has "
                f"{len(self._columns)}",
                "Put the files of one model together, or train it anew",
            )

    def least(self, level: float) -> dict[str, float]:
        """By axis of one label, the least probability of a label in a set that holds the right one
        at `level` (see `whereas.calibration.conformal`); axes that too few development documents
        had are left out. Raises `WhereasError` for a level that the model was not calibrated for.
        """
        sets, name = self.card.calibration.sets, f"{level:g}"
        if not sets:
            raise WhereasError(
                f"{self.id} gives no label sets: it was calibrated on fewer than "
                f"{LEAST_DOCUMENTS} development documents, or by a version of whereas without them",
                f"Leave out --sets, or train anew with {LEAST_DOCUMENTS} development documents",
            )
        levels = list(next(iter(sets.values())))
        if name not in levels:
            raise WhereasError(
                f"{self.id} has no label sets of {name}", f"Levels: {', '.join(levels)}"
            )
        return {axis: least[name] for axis, least in sets.items()}

    @property
    def thresholds(self) -> dict[str, list[float]]:
        """Of the labels of each set axis, in their order."""
        return self.card.calibration.thresholds

    def read(self, documents: Sequence[Document]) -> list[Explanation]:
        """Verdicts of documents, in order, with the sentences they rest on."""
        # One at a time: the states of a long filing take 25 MB, those of a batch would add up.
        return [self.judge(d, self.encoder.encode([self.encoder.cut(d)])[0]) for d in documents]

    def opinion(self, document: Document) -> Floats:
        """What the words of a document add to its logits [C]; 0 without a second opinion."""
        if self.words is None:
            return np.zeros(len(self._columns), np.float32)
        weight = np.float32(self.card.words_weight)
        return weight * self.words.logits(document.title, document.text)

    def logits(self, document: Document, states: States) -> Logits:
        """Logits of a document from its encoder states and its words: what every decision is made
        from."""
        attention, support = self._attend(states)
        words = self.opinion(document)
        total = support.sum(0) + self.heads["bias"] + words
        return Logits(total=total, attention=attention, support=support, words=words)

    def _attend(self, states: States) -> tuple[Floats, Floats]:
        """Attention [S, C] over sentences and what each sentence adds [S, C]."""
        h = self.heads
        joined = np.concatenate([states.sentences, states.position], 1)
        if not len(joined):
            empty = np.zeros((0, len(self._columns)), np.float32)
            return empty, empty
        u = joined @ h["project.weight"].T + h["project.bias"]
        u = (u - u.mean(1, keepdims=True)) / np.sqrt(u.var(1, keepdims=True) + 1e-5)
        u = u * h["norm.weight"] + h["norm.bias"]
        u = u * sigmoid(u).astype(np.float32)
        attention = softmax((u @ h["queries"].T).T).T.astype(np.float32)
        return attention, attention * (u @ h["weights"].T)

    def judge(self, document: Document, states: States) -> Explanation:
        """The verdict on a document from its encoder states."""
        logits = self.logits(document, states)
        attention = logits.attention
        taxonomy, calibration = self.taxonomy, self.card.calibration
        calibrated = probabilities(taxonomy, logits.total[None], calibration)
        scores = {axis: p[0] for axis, p in calibrated.items()}
        chosen = choose(taxonomy, scores, calibration.thresholds)
        irrelevant = chosen[taxonomy.primary.name] == [taxonomy.irrelevant.label]
        labels: Labels = {}
        for axis in taxonomy.axis:
            # That a document is about something else has no words of its own.
            bare = irrelevant and axis.layer == "news"
            found = []
            for name in chosen[axis.name]:
                score = round(float(scores[axis.name][axis.names.index(name)]), 4)
                column = self._place[axis.name, name]
                spans = [] if bare else self._evidence(document, states, attention, column)
                found.append(Label(name, score, spans))
            labels[axis.name] = (found[0] if found else None) if axis.kind == "one" else found
        primary = taxonomy.primary
        p_none = float(scores[primary.name][primary.names.index(taxonomy.irrelevant.label)])
        top = float(scores[primary.name].max())
        verdict = Verdict(
            relevance=round(1 - p_none, 4),
            labels=labels,
            scores={
                axis.name: {
                    n: round(float(s), 4)
                    for n, s in zip(axis.names, scores[axis.name], strict=True)
                }
                for axis in taxonomy.axis
            },
            facts=facts.extract(document, states, self.heads),
            doubts=self._doubts(document, states, top),
            background=self._background(states, attention, labels),
            unread=states.reading.unread,
        )
        return Explanation(
            verdict=verdict,
            sentences=states.reading.sentences,
            support={key: logits.support[:, c].tolist() for c, key in enumerate(self._columns)},
            words=dict(zip(self._columns, logits.words.tolist(), strict=True)),
        )

    def _evidence(
        self, document: Document, states: States, attention: Floats, column: int
    ) -> list[Span]:
        """The words for a label: in the sentences it attends to, the run of pieces that its
        highlight head favours most; in document order."""
        if not len(attention):
            return []
        weights = attention[:, column]
        order = np.argsort(-weights, kind="stable")[:MAX_EVIDENCE]
        rows = [int(r) for r in order if r == order[0] or weights[r] >= SECOND_SENTENCE]
        spans = []
        for row in sorted(rows):
            here = np.flatnonzero(states.owner == row)
            sentence = states.reading.sentences[row]
            votes = (
                states.tokens[here] @ self.heads["highlight.weight"][column]
                + self.heads["highlight.bias"][column]
            )
            a, b = _best_run(votes + HIGHLIGHT_OFFSET)
            start, end = int(states.start[here[a]]), int(states.end[here[b - 1]])
            span = Span(start, end, sentence.field)
            spans.append(whole_words(document, span, sentence))
        return spans

    def _doubts(self, document: Document, states: States, top: float) -> list[str]:
        doubts = []
        words = len(document.text.split())
        if top < self.card.calibration.review_below:
            doubts.append(
                f"unsure of the {self.taxonomy.primary.name}: "
                f"{top:.2f} is below {self.card.calibration.review_below:.2f}"
            )
        if words < THIN_WORDS:
            doubts.append(f"thin text: {words} words")
        elif len(states.tokens) > FOREIGN_PIECES * sum(
            len(document.quote(s).split()) for s in states.reading.sentences
        ):
            doubts.append("the text does not read like English")
        if states.reading.unread:
            doubts.append(f"{states.reading.unread} sentences beyond the reading budget")
        return doubts

    def _background(self, states: States, attention: Floats, labels: Labels) -> list[Span]:
        rows: set[int] = set()
        for axis in self.taxonomy.axis:
            found = labels[axis.name]
            if axis.layer == "background" and isinstance(found, list):
                for label in found:
                    weights = attention[:, self._place[axis.name, label.label]]
                    rows |= {int(r) for r in np.flatnonzero(weights >= SECOND_SENTENCE)}
        return [states.reading.sentences[r] for r in sorted(rows)]


def _best_run(votes: Floats) -> tuple[int, int]:
    """The half-open run with the greatest sum (Kadane), never empty, grown to `LEAST_PIECES` by the
    better neighbour of the two as far as the sentence goes."""
    best, run, total, start = -np.inf, (0, 1), 0.0, 0
    for k, vote in enumerate(votes):
        if total <= 0:
            total, start = 0.0, k
        total += float(vote)
        if total > best:
            best, run = total, (start, k + 1)
    a, b = run
    while b - a < min(LEAST_PIECES, len(votes)):
        if b == len(votes) or (a > 0 and votes[a - 1] >= votes[b]):
            a -= 1
        else:
            b += 1
    return a, b
