"""Document → windows → token and sentence states, on ONNX Runtime.

Every sentence is read once. A window holds the title and as many whole sentences as fit:

    [CLS] title [SEP] sentence sentence sentence [SEP]

so that each sentence is understood under its headline. The title counts as sentence 0 in the first
window and is mere context in the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from whereas import sentences
from whereas.errors import WhereasError
from whereas.records import Document, Span

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

MAX_TITLE_PIECES = 48
MIN_PIECES = 16
POSITION_FEATURES = 6


class WindowSpec(msgspec.Struct, frozen=True):
    """How documents are cut: word pieces in a window, and windows read of one document."""

    pieces: int = 256
    budget: int = 64

    def __post_init__(self) -> None:
        if self.pieces < MIN_PIECES or self.budget < 1:
            raise WhereasError(
                f"windows of {self.pieces} pieces, {self.budget} of them",
                f"Give {MIN_PIECES} pieces and 1 window, or more",
            )


class Window(msgspec.Struct, frozen=True):
    """`ids` [L] word pieces; `sentence` [L] index into the reading's sentences, -1 for pieces that
    belong to none; `start`, `end` [L] code points of the piece in that sentence's field."""

    ids: Ints
    sentence: Ints
    start: Ints
    end: Ints


class Reading(msgspec.Struct, frozen=True):
    """A document cut for the encoder. `sentences` [S], the title first where there is one;
    `unread` sentences at the end lie beyond the window budget and are not among them."""

    sentences: list[Span]
    windows: list[Window]
    unread: int


class States(msgspec.Struct, frozen=True):
    """What the encoder makes of one reading: `sentences` [S, D] mean token states, `position`
    [S, 6] features, and for the T pieces inside sentences `tokens` [T, D] with `owner` [T] (their
    sentence), `start` and `end` [T]."""

    reading: Reading
    sentences: Floats
    position: Floats
    tokens: Floats
    owner: Ints
    start: Ints
    end: Ints


def cut(tokenizer: Tokenizer, document: Document, spec: WindowSpec) -> Reading:
    """Sentences of a document and the windows that hold them."""
    spans = sentences.split(document.text)
    # At most as many sentences as the budget could hold are tokenised: each takes a piece or more.
    limit = spec.budget * spec.pieces
    encodings = tokenizer.encode_batch(
        [document.title, *(document.quote(span) for span in spans[:limit])],
        add_special_tokens=False,
    )
    title = Span(0, len(document.title), "title") if encodings[0].ids else None
    cls_, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    longest = min(MAX_TITLE_PIECES, spec.pieces // 2)
    head = [] if title is None else list(encodings[0].ids[:longest])
    head_offsets = [] if title is None else encodings[0].offsets[:longest]
    room = spec.pieces - len(head) - 3

    windows: list[Window] = []
    pieces: list[tuple[int, int, int, int]] = []  # id, sentence, start, end

    def close() -> None:
        first = not windows
        ids = [cls_, *head, sep, *(p[0] for p in pieces), sep]
        owner = [-1, *([0 if first else -1] * len(head)), -1, *(p[1] for p in pieces), -1]
        begin = [0, *(a for a, _ in head_offsets), 0, *(p[2] for p in pieces), 0]
        end = [0, *(b for _, b in head_offsets), 0, *(p[3] for p in pieces), 0]
        windows.append(Window(*(np.asarray(v, np.int64) for v in (ids, owner, begin, end))))
        pieces.clear()

    read: list[Span] = [] if title is None else [title]
    done = 0
    for span, encoding in zip(spans, encodings[1:], strict=False):
        if pieces and len(pieces) + len(encoding.ids) > room:
            close()
        if len(windows) >= spec.budget:
            break
        index = len(read)
        for piece, (a, b) in zip(encoding.ids, encoding.offsets, strict=True):
            if len(pieces) == room:
                close()
            pieces.append((piece, index, span.start + a, span.start + b))
        read.append(span)
        done += 1
    if pieces or not windows:
        close()
    return Reading(read, windows[: spec.budget], len(spans) - done)


def position_features(spans: Sequence[Span]) -> Floats:
    """[S, 6]: is title, is first, is second or third, log index, relative index, log length."""
    features = np.zeros((len(spans), POSITION_FEATURES), np.float32)
    titles = sum(span.field == "title" for span in spans)
    body = max(len(spans) - titles, 1)
    for row, span in enumerate(spans):
        if span.field == "title":
            features[row, 0] = 1
            continue
        index = row - titles
        features[row, 1] = index == 0
        features[row, 2] = index in (1, 2)
        features[row, 3] = np.log1p(index) / 5
        features[row, 4] = index / body
    features[:, 5] = np.log1p(len(spans)) / 5
    return features


class Encoder:
    """The released encoder: `encoder.onnx` (int8) with `tokenizer.json`.

    Args:
        folder: a released model's folder.
        threads: ONNX Runtime threads within an operator; 0 lets it choose.
    """

    def __init__(self, folder: Path, *, spec: WindowSpec, threads: int = 0) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Arenas keep the peak of every batch shape for ever; documents come in all shapes.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        # Threads that spin between operators would take the cores from whatever shares them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session: Any = ort.InferenceSession(
            str(folder / "encoder.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.spec = spec

    def cut(self, document: Document) -> Reading:
        return cut(self.tokenizer, document, self.spec)

    def encode(self, readings: Sequence[Reading]) -> list[States]:
        """States of each reading, in order.

        One window at a time. Activations of the int8 encoder are scaled by what runs together, so
        in a batch the scores of a document would depend on its neighbours; and on two cores a
        window of 200 pieces alone is 1.5 times as fast as padded batches of them (training/LOG.md).
        """
        return [_pool(r, [(w, self._run(w)) for w in r.windows]) for r in readings]

    def _run(self, window: Window) -> Floats:
        ids = window.ids[None]
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        result: Floats = self.session.run(None, inputs)[0][0]
        return result


def pad(windows: Sequence[Window]) -> tuple[Ints, Ints]:
    """Word pieces and attention mask of windows, [W, L] each, padded with 0 on the right."""
    length = max(len(w.ids) for w in windows)
    ids = np.zeros((len(windows), length), np.int64)
    mask = np.zeros((len(windows), length), np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
        mask[row, : len(window.ids)] = 1
    return ids, mask


def _pool(reading: Reading, parts: Sequence[tuple[Window, Floats]]) -> States:
    owner = np.concatenate([window.sentence for window, _ in parts])
    inside = owner >= 0
    owner = owner[inside]
    tokens = np.concatenate([state for _, state in parts])[inside]
    count = len(reading.sentences)
    totals = np.zeros((count, tokens.shape[1]), np.float32)
    np.add.at(totals, owner, tokens)
    sizes = np.bincount(owner, minlength=count).astype(np.float32)
    return States(
        reading=reading,
        sentences=(totals / np.maximum(sizes, 1)[:, None]).astype(np.float32, copy=False),
        position=position_features(reading.sentences),
        tokens=tokens,
        owner=owner,
        start=np.concatenate([window.start for window, _ in parts])[inside],
        end=np.concatenate([window.end for window, _ in parts])[inside],
    )
