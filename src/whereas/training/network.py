"""The network: one small encoder, light heads on its sentence and token states.

    window pieces [W, L] → encoder → token states [W, L, D] → mean per sentence → [B, S, D]
    sentence state + position features → u [B, S, D]
    label c: attention a_c = softmax over S of u · q_c, supervised with evidence quotes
             logit_c = sum_s a_cs (u_s · w_c) + b_c

so a logit is a weighted mean of what each sentence says for or against the label. Token heads mark
the words inside an evidence sentence (`highlight`) and the spans of facts (`tags`, BIO).
`whereas.model` repeats the heads in numpy; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from whereas import corpus
from whereas.calibration import columns, gold
from whereas.encoder import POSITION_FEATURES, Reading, WindowSpec, cut, pad, position_features
from whereas.facts import SLOTS as FACT_SLOTS
from whereas.recipe import Loss
from whereas.records import Example, Field, Span
from whereas.taxonomy import Taxonomy


class Network(nn.Module):
    """Encoder and heads.

    An axis that takes its labels from another (`labels_of`: recalled grounds from grounds, further
    actions from actions) shares that axis's queries and weights and adds a vector of its own: what
    "forced labor" means is learned from every ground, what "recalled" means from every recalled
    one. Without this, fourteen recalled labels with a handful of examples each learn nothing.
    """

    def __init__(
        self,
        encoder: nn.Module,
        width: int,
        taxonomy: Taxonomy,
        *,
        dropout: float,
        bf16: bool = False,
    ) -> None:
        super().__init__()
        keys = columns(taxonomy)
        labels = len(keys)
        place = {key: c for c, key in enumerate(keys)}
        axes = {axis.name: axis for axis in taxonomy.axis}
        parents = [place.get((axes[a].labels_of or "", label), -1) for a, label in keys]
        self.parent: Tensor
        self.axis: Tensor
        self.register_buffer("parent", torch.tensor(parents), persistent=False)
        order = {name: k for k, name in enumerate(axes)}
        self.register_buffer("axis", torch.tensor([order[a] for a, _ in keys]), persistent=False)
        self.encoder = encoder
        self.bf16 = bf16
        self.project = nn.Linear(width + POSITION_FEATURES, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        own = (self.parent < 0).float()[:, None]  # shared columns start as their parent
        self.queries = nn.Parameter(torch.randn(labels, width) * 0.02 * own)
        self.weights = nn.Parameter(torch.randn(labels, width) * 0.02 * own)
        self.axis_queries = nn.Parameter(torch.zeros(len(axes), width))
        self.axis_weights = nn.Parameter(torch.zeros(len(axes), width))
        self.bias = nn.Parameter(torch.zeros(labels))
        self.highlight = nn.Linear(width, labels)
        self.tags = nn.Linear(width, 1 + 2 * len(FACT_SLOTS))

    def shared(self) -> tuple[Tensor, Tensor]:
        """Queries and weights of every column [C, D] each, sharing resolved."""
        tied = (self.parent >= 0)[:, None]
        queries = self.queries + self.queries[self.parent] * tied + self.axis_queries[self.axis]
        weights = self.weights + self.weights[self.parent] * tied + self.axis_weights[self.axis]
        return queries, weights

    def heads(self) -> dict[str, Tensor]:
        """What `heads.safetensors` holds: parameters outside the encoder, sharing resolved."""
        own: dict[str, Tensor] = {
            n: p for n, p in self.named_parameters() if not n.startswith("encoder.")
        }
        del own["axis_queries"], own["axis_weights"]
        own["queries"], own["weights"] = self.shared()
        return own

    def decide(self, sentences: Tensor, position: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, C] and log attention [B, S, C] from sentence states [B, S, D], their position
        features [B, S, 6] and which of them are there [B, S]."""
        joined = torch.cat([sentences, position], -1)
        u = self.dropout(nn.functional.silu(self.norm(self.project(joined))))
        queries, weights = self.shared()
        raw = u @ queries.T  # scaled by 1/sqrt(D) the quotes taught it nothing
        attention = raw.masked_fill(~present[..., None], -1e4).log_softmax(1)
        return (attention.exp() * (u @ weights.T)).sum(1) + self.bias, attention

    def adopt(self, heads: dict[str, Tensor], taxonomy: Taxonomy, other: Taxonomy) -> list[str]:
        """Takes over the heads of a released model whose taxonomy may be another.

        Args:
            heads: what its `heads.safetensors` holds: sharing resolved, columns of `other`.
            taxonomy: that of this network.

        Returns:
            `axis=label` of every column that `other` does not have and that begins untrained.
        """
        place = {key: c for c, key in enumerate(columns(other))}
        keys = columns(taxonomy)
        known = [c for c, key in enumerate(keys) if key in place]
        theirs = [place[keys[c]] for c in known]
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.startswith(("encoder.", "axis_")):
                    continue
                value = heads[name]
                if name.startswith(("project.", "norm.", "tags.")):
                    parameter.copy_(value)
                    continue
                if name.startswith("highlight."):  # words to show for a label not yet taught
                    parameter.copy_(value.mean(0).expand_as(parameter))
                parameter[known] = value[theirs]
                if name in ("queries", "weights"):  # `shared` adds the parent's column again
                    for c in known:
                        parent = int(self.parent[c])
                        if parent >= 0 and keys[parent] in place:
                            parameter[c] -= value[place[keys[parent]]]
        return [f"{axis}={label}" for c, (axis, label) in enumerate(keys) if c not in set(known)]

    def forward(self, batch: Batch) -> Output:
        device = self.bias.device
        ids, mask = batch.ids.to(device), batch.mask.to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.training and self.bf16):
            states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        tokens = states.float().flatten(0, 1)[batch.inside.to(device)]  # [T, D]
        examples, longest = batch.present.shape
        sentences = tokens.new_zeros(examples * longest, tokens.shape[1])
        sentences.index_add_(0, batch.owner.to(device), tokens)
        sizes = torch.bincount(batch.owner.to(device), minlength=len(sentences)).clamp(min=1)
        sentences = (sentences / sizes[:, None]).view(examples, longest, -1)
        logits, attention = self.decide(
            sentences, batch.position.to(device), batch.present.to(device)
        )
        dropped = self.dropout(tokens)
        return Output(
            logits=logits,
            log_attention=attention,
            highlight=self.highlight(dropped),
            tags=self.tags(dropped),
            sentences=sentences,
        )


class Output(msgspec.Struct, frozen=True):
    """`logits` [B, C]; `log_attention` [B, S, C]; `highlight` [T, C]; `tags` [T, 1 + 2 slots];
    `sentences` [B, S, D] mean token states."""

    logits: Any
    log_attention: Any
    highlight: Any
    tags: Any
    sentences: Any


class Target(msgspec.Struct, frozen=True):
    """What one reading should give: `labels` [C] 0/1, NaN on axes that the example does not have;
    `evidence` column → its sentences; `highlight` (token, column, 0/1); `tags` [T] BIO index, -1
    where unknown; `weight`."""

    labels: np.ndarray
    evidence: dict[int, list[int]]
    highlight: np.ndarray
    tags: np.ndarray
    weight: float


class Item(msgspec.Struct, frozen=True):
    """A reading with its target, T pieces lying inside sentences."""

    reading: Reading
    target: Target

    @property
    def length(self) -> int:
        return max(len(window.ids) for window in self.reading.windows)


class Batch(msgspec.Struct, frozen=True):
    """B readings, W windows of at most L pieces, T pieces inside sentences.

    `ids`, `mask` [W, L]; `inside` [T] index into W * L; `owner` [T] index into B * S;
    `position` [B, S, 6]; `present` [B, S] bool; the rest are the targets, concatenated.
    """

    ids: Tensor
    mask: Tensor
    inside: Tensor
    owner: Tensor
    position: Tensor
    present: Tensor
    labels: Tensor
    evidence: list[tuple[int, int, list[int], float]]
    highlight: Tensor
    tags: Tensor
    weight: Tensor


def item(
    tokenizer: Tokenizer,
    example: Example,
    taxonomy: Taxonomy,
    spec: WindowSpec,
    *,
    title: bool = True,
    weight: float = 1.0,
) -> Item:
    """An example cut into windows, its annotations laid on sentences and word pieces."""
    document = example.document()
    if not title and document.text:
        document = msgspec.structs.replace(document, title="")
    reading = cut(tokenizer, document, spec)
    owner = np.concatenate([w.sentence for w in reading.windows])
    inside = owner >= 0
    owner = owner[inside]
    start = np.concatenate([w.start for w in reading.windows])[inside]
    end = np.concatenate([w.end for w in reading.windows])[inside]
    is_title = np.array([s.field == "title" for s in reading.sentences] or [False])[owner]

    def covered(span: Span) -> np.ndarray:
        hit: np.ndarray = is_title == (span.field == "title")
        return hit & (start < span.end) & (end > span.start)

    place = {key: c for c, key in enumerate(columns(taxonomy))}
    evidence: dict[int, list[int]] = {}
    marks: list[np.ndarray] = []
    for key, spans in corpus.evidence_for(example, taxonomy).items():
        hit = np.zeros(len(owner), bool)
        for span in spans:
            hit |= covered(span)
        where = sorted(set(owner[hit].tolist()))
        if not where:
            continue
        evidence[place[key]] = where
        around = np.flatnonzero(np.isin(owner, where))
        marks.append(np.stack([around, np.full(len(around), place[key]), hit[around]], 1))
    return Item(
        reading,
        Target(
            labels=gold([example], taxonomy)[0].astype(np.float32),
            evidence=evidence,
            highlight=np.concatenate(marks) if marks else np.zeros((0, 3), np.int64),
            tags=_tags(example, document.title, owner, is_title, start, end),
            weight=weight,
        ),
    )


def _tags(
    example: Example,
    title: str,
    owner: np.ndarray,
    is_title: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
) -> np.ndarray:
    """BIO tags of the facts. A fact is annotated once; its other exact mentions count too."""
    if not example.facts:
        return np.full(len(owner), -1)
    tags = np.zeros(len(owner), np.int64)
    for fact in example.facts:
        if fact.slot not in FACT_SLOTS:
            continue
        index = FACT_SLOTS.index(fact.slot)
        places = [(fact.start, fact.end, fact.field)]
        if len(fact.text) >= 4:
            fields: list[tuple[Field, str]] = [("text", example.text), ("title", title)]
            for name, text in fields:
                at = text.find(fact.text)
                while at >= 0:
                    places.append((at, at + len(fact.text), name))
                    at = text.find(fact.text, at + 1)
        for a, b, name in places:
            hit = np.flatnonzero((is_title == (name == "title")) & (start < b) & (end > a))
            if len(hit):
                tags[hit] = 2 + 2 * index
                tags[hit[0]] = 1 + 2 * index
    return tags


def collate(items: Sequence[Item]) -> Batch:
    windows = [w for i in items for w in i.reading.windows]
    ids, mask = pad(windows)
    longest = max(len(i.reading.sentences) for i in items) or 1
    inside, owner, highlight = [], [], []
    position = np.zeros((len(items), longest, POSITION_FEATURES), np.float32)
    present = np.zeros((len(items), longest), bool)
    evidence = []
    row = tokens = 0
    for b, one in enumerate(items):
        count = len(one.reading.sentences)
        position[b, :count] = position_features(one.reading.sentences)
        present[b, :count] = True
        highlight.append(one.target.highlight + np.array([tokens, 0, 0]))
        for window in one.reading.windows:
            here = np.flatnonzero(window.sentence >= 0)
            inside.append(row * ids.shape[1] + here)
            owner.append(b * longest + window.sentence[here])
            row += 1
            tokens += len(here)
        for column, where in one.target.evidence.items():
            evidence.append((b, column, where, one.target.weight))
    return Batch(
        ids=torch.from_numpy(ids),
        mask=torch.from_numpy(mask),
        inside=torch.from_numpy(np.concatenate(inside)),
        owner=torch.from_numpy(np.concatenate(owner)),
        position=torch.from_numpy(position),
        present=torch.from_numpy(present),
        labels=torch.from_numpy(np.stack([i.target.labels for i in items])),
        evidence=evidence,
        highlight=torch.from_numpy(np.concatenate(highlight)),
        tags=torch.from_numpy(np.concatenate([i.target.tags for i in items])),
        weight=torch.tensor([i.target.weight for i in items]),
    )


def loss(
    output: Output, batch: Batch, taxonomy: Taxonomy, weights: Loss, *, smoothing: float = 0.0
) -> dict[str, Tensor]:
    """The weighted parts of the loss by name; their sum is what is minimised.

    `label_loss`, and `highlight`: binary cross-entropy over the pieces of quoted sentences;
    `facts`: cross-entropy of the BIO tags.
    """
    device = output.logits.device
    parts = label_loss(
        output.logits,
        output.log_attention,
        batch.labels.to(device),
        batch.weight.to(device),
        batch.evidence,
        taxonomy,
        weights,
        smoothing=smoothing,
    )
    if len(batch.highlight):
        token, column, gold = batch.highlight.to(device).unbind(1)
        parts["highlight"] = weights.highlight * nn.functional.binary_cross_entropy_with_logits(
            output.highlight[token, column], gold.float()
        )
    tags = batch.tags.to(device)
    if (tags >= 0).any():
        parts["facts"] = weights.facts * nn.functional.cross_entropy(
            output.tags, tags, ignore_index=-1
        )
    return parts


def label_loss(
    all_logits: Tensor,
    log_attention: Tensor,
    labels: Tensor,
    weight: Tensor,
    evidence: Sequence[tuple[int, int, list[int], float]],
    taxonomy: Taxonomy,
    weights: Loss,
    *,
    smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """The loss of label decisions by axis, and of where they look.

    Axes of one label: cross-entropy. Sets: binary cross-entropy summed over labels. `attention`:
    -log of the attention that falls on the quoted sentences. All are means over B: an example that
    does not have an axis adds nothing to it, and the others count no more for that.

    Args:
        all_logits: [B, C].
        log_attention: [B, S, C].
        labels: [B, C] of 0 and 1, NaN where an axis is unknown.
        weight: [B].
        evidence: (row, column, its quoted sentences, weight).
    """
    parts: dict[str, Tensor] = {}
    at = 0
    for axis in taxonomy.axis:
        part = slice(at, at + len(axis.labels))
        at = part.stop
        has = ~labels[:, part.start].isnan()
        logits, right = all_logits[has, part], labels[has, part]
        if axis.kind == "one":
            each = nn.functional.cross_entropy(
                logits, right.argmax(1), reduction="none", label_smoothing=smoothing
            )
        else:
            each = nn.functional.binary_cross_entropy_with_logits(
                logits, right, reduction="none"
            ).sum(1)
        parts[axis.name] = (
            weights.axes.get(axis.name, 1.0) * (each * weight[has]).sum() / len(labels)
        )
    if evidence:
        pull = log_attention.new_tensor([w for *_, w in evidence])
        pulled = (pull * _on_quotes(log_attention, evidence)).sum()
        parts["attention"] = -weights.attention * pulled / len(labels)
    else:
        parts["attention"] = all_logits.sum() * 0
    return parts


def _on_quotes(
    log_attention: Tensor, evidence: Sequence[tuple[int, int, list[int], float]]
) -> Tensor:
    """The log of the attention on the quoted sentences of each entry [E].

    Gathered at once: entry by entry, each would write a gradient of the size of all attention,
    which took a third of the time of a fit of heads.
    """
    longest = max(len(where) for _, _, where, _ in evidence)
    row, column = torch.tensor([(b, c) for b, c, _, _ in evidence]).T[..., None]
    place = torch.tensor([where + [-1] * (longest - len(where)) for _, _, where, _ in evidence])
    found = log_attention[row, place.clamp(min=0), column]
    return found.masked_fill(place.to(found.device) < 0, -torch.inf).logsumexp(1)
