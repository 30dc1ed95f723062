"""The released model: verified at load, exact spans, the same answer whatever stands beside."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from whereas import model as models
from whereas.errors import WhereasError
from whereas.model import Model
from whereas.records import Document, Label

LISTED = Document(
    id="1",
    title="Commerce adds nine camera makers to the Entity List",
    text=(
        "The Commerce Department added nine companies to the Entity List on Tuesday, saying they "
        "supplied cameras and face-recognition software used for the mass surveillance of an "
        "ethnic minority. The department cited arbitrary detention and other human rights abuses. "
        "Exporters will need a licence for any shipment to the nine, among them Belmarsh Optics."
    ),
    origin="listed.txt",
)
HARVEST = Document(
    id="2",
    title="Late rain delays the harvest",
    text="Growers in the valley expect to pick their apples two weeks later than usual this year. "
    "Prices at the cooperative's auction have not moved, its chairman told members on Monday.",
    origin="harvest.txt",
)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(models.current())


def test_model_tells_a_listing_from_a_harvest(model: Model) -> None:
    listed, harvest = (e.verdict for e in model.read([LISTED, HARVEST]))
    action, none = listed.labels["action"], harvest.labels["action"]
    assert isinstance(action, Label)
    assert isinstance(none, Label)
    assert action.label == "export_control"
    assert none.label == "none"
    assert listed.relevance > 0.9 > 0.1 > harvest.relevance


def test_model_irrelevant_documents_carry_no_grounds(model: Model) -> None:
    labels = model.read([HARVEST])[0].verdict.labels
    assert labels["rationales"] == labels["secondary_actions"] == []
    assert isinstance(labels["status"], Label)
    assert labels["status"].label == "background"


def test_model_evidence_lies_in_the_document(model: Model) -> None:
    verdict = model.read([LISTED])[0].verdict
    spans = [
        span
        for found in verdict.labels.values()
        for label in (found if isinstance(found, list) else [found] if found else [])
        for span in label.evidence
    ]
    assert spans
    for span in spans:
        quote = LISTED.quote(span)
        assert quote.strip() == quote != ""
    assert all(LISTED.quote(fact.span) == fact.text for fact in verdict.facts)


def test_model_scores_do_not_depend_on_neighbours(model: Model) -> None:
    alone = model.read([LISTED])[0].verdict
    together = model.read([HARVEST, LISTED, HARVEST])[1].verdict
    assert alone == together


@pytest.mark.parametrize(
    ("title", "text", "doubt"),
    [
        ("Nine firms listed", "", "thin text: 0 words"),
        ("", "Two words", "thin text: 2 words"),
        (
            "",
            "Der Bundesrat hat die Sanktionen gegenüber Belarus angepasst und drei Unternehmen von "
            "der Liste gestrichen, wie das Staatssekretariat für Wirtschaft am Mittwoch in Bern "
            "mitteilte; die Sperrung der Vermögenswerte werde entsprechend aufgehoben und die "
            "Finanzintermediäre seien angewiesen, entsprechende Geschäftsbeziehungen zu melden.",
            "does not read like English",
        ),
    ],
)
def test_model_doubts_are_said(model: Model, title: str, text: str, doubt: str) -> None:
    document = Document(id="1", title=title, text=text, origin="x")
    assert any(doubt in found for found in model.read([document])[0].verdict.doubts)


def test_model_reads_nothing_at_all(model: Model) -> None:
    verdict = model.read([Document(id="1", title="", text="", origin="x")])[0].verdict
    assert verdict.doubts


def test_model_reads_a_title_that_has_no_word_pieces(model: Model) -> None:
    verdict = model.read([Document(id="1", title="\u200b\u200b", text="", origin="x")])[0].verdict
    assert verdict.doubts


def test_model_every_sentence_of_a_long_document_is_read_or_counted(model: Model) -> None:
    text = " ".join(f"Paragraph number {n} says nothing of note about apples." for n in range(3000))
    explained = model.read([Document(id="1", title="", text=text, origin="x")])[0]
    assert len(explained.sentences) + explained.verdict.unread == 3000
    assert explained.verdict.unread > 0
    assert any("reading budget" in doubt for doubt in explained.verdict.doubts)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(models.current(), tmp_path / "model"))


@pytest.mark.parametrize("name", ["encoder.onnx", "heads.safetensors", "tokenizer.json"])
def test_model_refuses_a_changed_file(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(WhereasError, match=f"{name} is not the released file"):
        Model(copy)


def test_model_refuses_a_cut_off_and_a_missing_file(copy: Path) -> None:
    whole = (copy / "encoder.onnx").read_bytes()
    (copy / "encoder.onnx").write_bytes(whole[:-100])
    with pytest.raises(WhereasError, match="not the released file"):
        Model(copy)
    (copy / "encoder.onnx").unlink()
    with pytest.raises(WhereasError, match="missing"):
        Model(copy)


def test_model_refuses_a_manifest_that_leaves_a_file_out(copy: Path) -> None:
    manifest = json.loads((copy / "model.json").read_text())
    del manifest["files"]["heads.safetensors"]
    (copy / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(WhereasError, match=r"no digest for heads\.safetensors"):
        Model(copy)


def test_model_refuses_a_damaged_manifest_and_another_format(copy: Path) -> None:
    manifest = (copy / "model.json").read_text()
    (copy / "model.json").write_text(re.sub(r'"format": \d+', '"format": 99', manifest))
    with pytest.raises(WhereasError, match="format 99"):
        Model(copy)
    (copy / "model.json").write_text(manifest[:200])
    with pytest.raises(WhereasError, match="damaged"):
        Model(copy)


def test_model_of_before_the_second_opinion_decides_by_sentences_alone(model: Model) -> None:
    if model.card.words_weight:
        pytest.skip("the released model has one")
    states = model.encoder.encode([model.encoder.cut(LISTED)])[0]
    logits = model.logits(LISTED, states)
    assert not logits.words.any()
    assert logits.total.tolist() == (logits.support.sum(0) + model.heads["bias"]).tolist()


def test_model_gives_the_least_probabilities_of_its_label_sets(model: Model) -> None:
    given = {"action": {"0.8": 0.4, "0.9": 0.1}, "status": {"0.8": 0.5, "0.9": 0.2}}
    known = model.card
    try:
        for sets in (given, {}):
            calibration = msgspec.structs.replace(known.calibration, sets=sets)
            model.card = msgspec.structs.replace(known, calibration=calibration)
            if sets:
                assert model.least(0.9) == {"action": 0.1, "status": 0.2}
                with pytest.raises(WhereasError) as wrong:
                    model.least(0.7)
                assert wrong.value.fix == "Levels: 0.8, 0.9"
            else:
                with pytest.raises(WhereasError, match="fewer than 200 development documents"):
                    model.least(0.9)
    finally:
        model.card = known


def test_model_refuses_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(WhereasError, match="holds no model"):
        Model(tmp_path)


def test_model_current_must_have_the_manifest_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = models.current()
    shutil.copytree(folder, tmp_path / folder.name)
    (tmp_path / "CURRENT").write_text(f"{folder.name} {'0' * 64}\n")
    monkeypatch.setattr(models, "models_folder", lambda: tmp_path)
    with pytest.raises(WhereasError, match="not the released one"):
        models.current()
