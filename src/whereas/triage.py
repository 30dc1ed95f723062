"""Paths → ranked outcomes, through a journal on disk: memory does not grow with the batch, and a
run that is killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import msgspec

from whereas import __version__
from whereas.errors import WhereasError
from whereas.journal import Store
from whereas.readers import Source, find, read
from whereas.records import Brief, Document, Label, Outcome, Unreadable, text_digest
from whereas.sinks import Ranked
from whereas.taxonomy import Taxonomy

if TYPE_CHECKING:  # the model brings numpy and ONNX Runtime
    from whereas.model import Explanation

BATCH_CHARACTERS = 1_000_000
"""Title and text of one batch in all: about 160 pages of a filing, 4 MB in memory at the worst. A
single longer document is a batch of its own."""


class Sets(msgspec.Struct, frozen=True, kw_only=True):
    """Label sets that hold the right label at `level`: `least` probability of a label in them, by
    axis (see `whereas.model.Model.least`)."""

    level: float
    least: dict[str, float]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a run does. `focus` ranks by (axis, label) pairs, all of which should hold; `sets` adds
    label sets to the outcomes.

    `min_relevance` in [0, 1] and `top` bound what is ranked, not what is read; errors are neither
    filtered nor counted by them. `batch` is in documents, `max_bytes` is that of `readers.read`.
    """

    focus: tuple[tuple[str, str], ...] = ()
    min_relevance: float = 0.0
    top: int | None = None
    max_bytes: int = 50_000_000
    batch: int = 32
    briefs: bool = True
    sets: Sets | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is. `documents` are the records so far, `errors` and `reused` among them;
    `bytes` are those of the files that were read to their end or needed no reading."""

    documents: int
    errors: int
    reused: int
    files: int
    files_total: int
    bytes: int
    bytes_total: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What came out. `documents` = `ok` + `review` + `error`; `reused` of them were in the journal.

    `restarted` says why the journal was emptied before the run; "" when it was not.
    """

    ok: int
    review: int
    error: int
    reused: int
    seconds: float
    restarted: str = ""

    @property
    def documents(self) -> int:
        return self.ok + self.review + self.error


class Reader(Protocol):
    """What triage needs of a model; `whereas.model.Model` has it. What `read` says of a document
    does not depend on those beside it."""

    @property
    def id(self) -> str: ...

    @property
    def taxonomy(self) -> Taxonomy: ...

    def read(self, documents: Sequence[Document]) -> list[Explanation]: ...


Compose = Callable[[Document, "Explanation"], Brief | str]
"""A brief, or why there is none."""


def parse_focus(text: str, taxonomy: Taxonomy) -> tuple[str, str]:
    """`axis=label` as a pair. Raises `WhereasError` when the taxonomy has no such axis or label."""
    axis, equals, label = (part.strip() for part in text.partition("="))
    if not equals:
        raise WhereasError(
            f"{text!r} is no focus: axis=label is wanted", "Axes: " + ", ".join(taxonomy.axis_names)
        )
    taxonomy.check_label(axis, label)
    return axis, label


def run(
    paths: Sequence[str],
    reader: Reader,
    store: Store,
    settings: Settings,
    *,
    compose: Compose | None = None,
    progress: Callable[[Progress], None] | None = None,
    stdin: BinaryIO | None = None,
) -> Summary:
    """Reads what is behind the paths into the store. `ranked` gives it back, `sinks` write it.

    Each input leaves its records in the store, each document is given to the reader once: running
    the same command again goes on from the last batch that was committed. Files that stand there
    complete, with the same size and time of change, are not opened; files that are open-ended,
    changed, or had errors are read again, and those of their documents that are stored, the same in
    every field, are kept. An exception of the reader costs one document, not its batch.

    Batches are of documents not yet stored, in the order of the inputs, and committed as a whole.
    They bound what a kill can lose and change no score: the reader answers for each document by
    itself, so that a run that goes on gives what it would have given had it not been stopped.

    Raises:
        WhereasError: the journal cannot be written, an output is one of the inputs, or what the
            reader says that the user can mend.
    """
    started = time.perf_counter()
    briefs = settings.briefs and compose is not None
    restarted = store.begin({"model": reader.id, "whereas": __version__, "briefs": str(briefs)})
    sources = _inputs(paths, store)
    work = _Work(reader, store, settings, compose if briefs else None, sources, progress)
    for place, source in enumerate(sources):
        stored = store.complete(source, place)
        if stored is None:
            work.read(source, store.open(source, place), stdin)
        else:
            work.count(stored, reused=True)
        work.done(source)
    work.flush()
    kinds = store.count()
    return Summary(
        ok=kinds["ok"],
        review=kinds["review"],
        error=kinds["error"],
        reused=work.reused,
        seconds=time.perf_counter() - started,
        restarted=restarted,
    )


def ranked(store: Store, settings: Settings) -> Iterator[Ranked]:
    """What the last run left in the store, best first, then the errors in the order of the inputs.

    Documents are ranked by relevance or, with a focus, by the smallest of its probabilities (all of
    them should hold), then relevance; equals stay in the order of the inputs.
    """

    def focus(scores: str) -> float:
        of = json.loads(scores)
        return min(float(of.get(axis, {}).get(label, 0)) for axis, label in settings.focus)

    def finish(record: Outcome, scores: str) -> Outcome:
        return with_sets(record, json.loads(scores), settings.sets) if settings.sets else record

    by = focus if settings.focus else None
    yield from store.ranked(by, settings.min_relevance, settings.top, finish=finish)


def with_sets(record: Outcome, scores: Mapping[str, Mapping[str, float]], sets: Sets) -> Outcome:
    """The record with the label set of each axis, from the `scores` of a verdict."""
    from whereas.calibration import label_set

    found = {
        axis: label_set(scores[axis], label.label, least)
        for axis, least in sets.least.items()
        if isinstance(label := record.labels.get(axis), Label)
    }
    return msgspec.structs.replace(record, sets=found)


def manifest(summary: Summary, reader: Reader, settings: Settings) -> dict[str, Any]:
    """`run.json`: what was run and what came out. No clock, so that a rerun writes the same."""
    return {
        "whereas": __version__,
        "model": reader.id,
        "taxonomy": f"{reader.taxonomy.name} {reader.taxonomy.version}",
        "settings": msgspec.to_builtins(settings),
        "counts": {name: getattr(summary, name) for name in ("documents", "ok", "review", "error")},
    }


def outcome(
    document: Document, explanation: Explanation, model_id: str, brief: Brief | str | None = None
) -> Outcome:
    """The record of a document that was labelled; `brief` is one, or why there is none."""
    verdict = explanation.verdict
    return msgspec.structs.replace(
        _described(document, model_id),
        outcome="review" if verdict.doubts else "ok",
        reason="; ".join(verdict.doubts) or None,
        relevance=verdict.relevance,
        labels=verdict.labels,
        facts=verdict.facts,
        brief=brief if isinstance(brief, Brief) else None,
        no_brief=brief if isinstance(brief, str) else None,
        unread_sentences=verdict.unread,
    )


def failure(record: Document | Unreadable, reason: str, model_id: str = "") -> Outcome:
    """The record of what could not be read, or not be labelled by the model."""
    if isinstance(record, Document):
        return msgspec.structs.replace(_described(record, model_id), reason=reason)
    digest = hashlib.sha256(record.origin.encode("utf-8", "surrogatepass")).hexdigest()
    return Outcome(id=digest[:16], source=record.origin, outcome="error", reason=reason)


def _described(document: Document, model_id: str) -> Outcome:
    return Outcome(
        id=document.id,
        source=document.origin,
        digest=text_digest(document.text),
        title=document.title,
        outcome="error",
        model=model_id,
        date=document.date,
        publisher=document.source,
        url=document.url,
    )


# ------------------------------------------------------------------ the work


class _Item(msgspec.Struct, frozen=True):
    """A document on its way to row `row` of a file of the store."""

    file: int
    row: int
    document: Document


class _Work:
    """A run under way: the batch that fills up, the files that end in it, and the counts."""

    def __init__(
        self,
        reader: Reader,
        store: Store,
        settings: Settings,
        compose: Compose | None,
        sources: Sequence[Source | Unreadable],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.reader, self.store, self.settings, self.compose = reader, store, settings, compose
        self.progress = progress
        self.batch: list[_Item] = []
        self.characters = 0
        self.ended: list[tuple[int, int]] = []  # files that are read, and their number of rows
        self.kinds: Counter[str] = Counter()
        self.reused = self.files = self.bytes = 0
        self.files_total = len(sources)
        self.bytes_total = sum(_size(source) for source in sources)

    def read(self, source: Source | Unreadable, file: int, stdin: BinaryIO | None) -> None:
        records: Iterable[Document | Unreadable] = (
            read(source, max_bytes=self.settings.max_bytes, stdin=stdin)
            if isinstance(source, Source)
            else [source]
        )
        rows = 0
        for record in records:
            if isinstance(record, Unreadable):
                self.put(file, rows, failure(record, record.reason))
            else:
                self.add(_Item(file, rows, record))
            rows += 1
        self.ended.append((file, rows))

    def add(self, item: _Item) -> None:
        stored = self.store.kind(item.file, item.row, _fingerprint(item.document))
        if stored == "error":
            # It failed before: alone, it costs no other document a second reading.
            self.label([item])
        elif stored is not None:
            self.count(Counter([stored]), reused=True)
        else:
            size = len(item.document.title) + len(item.document.text)
            if self.batch and self.characters + size > BATCH_CHARACTERS:
                self.flush()
            self.batch.append(item)
            self.characters += size
            if len(self.batch) >= self.settings.batch:
                self.flush()

    def flush(self) -> None:
        """Labels the batch and commits all that was done since the last time."""
        batch, self.batch, self.characters = self.batch, [], 0
        if batch:
            self.label(batch)
        for file, rows in self.ended:
            self.store.end(file, rows)
        self.ended.clear()
        self.store.commit()
        self.report()

    def label(self, items: Sequence[_Item]) -> None:
        try:
            found = self.reader.read([item.document for item in items])
            pairs = list(zip(items, found, strict=True))
        except WhereasError:
            raise
        except Exception as error:
            if len(items) > 1:
                for item in items:
                    self.label([item])
            else:
                [item] = items
                reason = f"could not be labelled: {_one_line(error)}"
                failed = failure(item.document, reason, self.reader.id)
                self.put(item.file, item.row, failed, item.document)
            return
        for item, explanation in pairs:
            brief = self.brief(item.document, explanation)
            record = outcome(item.document, explanation, self.reader.id, brief)
            self.put(item.file, item.row, record, item.document, explanation)

    def brief(self, document: Document, explanation: Explanation) -> Brief | str | None:
        try:
            return self.compose(document, explanation) if self.compose else None
        except Exception as error:  # the labels are good without it
            return f"could not be composed: {_one_line(error)}"

    def put(
        self,
        file: int,
        row: int,
        record: Outcome,
        document: Document | None = None,
        explanation: Explanation | None = None,
    ) -> None:
        words, scores = "", "{}"
        if document and explanation:
            words = _words(document, record, self.reader.taxonomy.primary.name)
            scores = json.dumps(explanation.verdict.scores)
        fingerprint = _fingerprint(document) if document else None
        self.store.put(file, row, record, fingerprint, words, scores)
        self.count(Counter([record.outcome]))

    def count(self, kinds: Counter[str], *, reused: bool = False) -> None:
        self.kinds += kinds
        self.reused += kinds.total() if reused else 0

    def done(self, source: Source | Unreadable) -> None:
        self.files += 1
        self.bytes += _size(source)
        self.report()

    def report(self) -> None:
        if self.progress:
            self.progress(
                Progress(
                    documents=self.kinds.total(),
                    errors=self.kinds["error"],
                    reused=self.reused,
                    files=self.files,
                    files_total=self.files_total,
                    bytes=self.bytes,
                    bytes_total=self.bytes_total,
                )
            )


def _inputs(paths: Sequence[str], store: Store) -> list[Source | Unreadable]:
    """The inputs without what an earlier run wrote among them; that there was one, the journal
    shows. Without, an output that is an input would be lost."""
    found = list(find(paths))
    inputs = [
        source
        for source in found
        if isinstance(source, Unreadable) or os.path.realpath(source.path) not in store.outputs
    ]
    if len(inputs) < len(found) and (store.fresh or not inputs):
        raise WhereasError(
            "the output is among the inputs and would be overwritten", "Give another place with -o"
        )
    return inputs


def _size(source: Source | Unreadable) -> int:
    return (source.size or 0) if isinstance(source, Source) else 0


def _words(document: Document, record: Outcome, primary: str) -> str:
    label = record.labels.get(primary)
    spans = label.evidence if isinstance(label, Label) else []
    return " … ".join(" ".join(document.quote(span).split()) for span in spans)


def _fingerprint(document: Document) -> bytes:
    """Of every field: whatever changes in a document may change its outcome or brief."""
    return hashlib.sha256(msgspec.json.encode(document)).digest()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
