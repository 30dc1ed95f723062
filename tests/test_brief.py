"""Briefs: grounded, bounded, refused where there is nothing to say."""

from __future__ import annotations

import msgspec
import pytest

from whereas import sentences
from whereas.brief import MAX_WORDS, MIN_WORDS, compose, faults
from whereas.model import Explanation
from whereas.records import Brief, BriefSentence, Document, Fact, Label, Span, Verdict
from whereas.taxonomy import Taxonomy

TEXT = (
    "The Commerce Department put nine camera makers, Belmarsh Optics among them, on the Entity "
    "List on Tuesday. It said the nine had sold face-recognition gear to police who track a "
    "minority group. He added that more could follow. Exporters will need a licence for every "
    "shipment, and applications will mostly be turned down. Last year the department listed two "
    "yarn mills over forced labor."
)


def span_of(quote: str, text: str = TEXT) -> Span:
    start = text.index(quote)
    return Span(start, start + len(quote))


def fact(slot: str, quote: str) -> Fact:
    span = span_of(quote)
    return Fact(slot=slot, value=quote, text=quote, start=span.start, end=span.end, score=0.9)


@pytest.fixture
def document() -> Document:
    return Document(id="1", title="Nine camera makers listed", text=TEXT, origin="wire.txt")


@pytest.fixture
def explanation(taxonomy: Taxonomy) -> Explanation:
    cuts = sentences.split(TEXT)
    support = {
        (axis.name, label): [float(len(cuts) - k) for k in range(len(cuts))]
        for axis in taxonomy.axis
        for label in axis.names
    }
    verdict = Verdict(
        relevance=0.98,
        labels={
            "action": Label("export_control", 0.95, [span_of("put nine camera makers")]),
            "secondary_actions": [],
            "rationales": [Label("surveillance", 0.9, [span_of("track a minority group")])],
            "background_rationales": [Label("forced_labor", 0.8, [span_of("over forced labor")])],
            "status": Label("announced", 0.9, [span_of("put nine camera makers")]),
        },
        scores={},
        facts=[
            fact("authority", "Commerce Department"),
            fact("instrument", "Entity List"),
            fact("target", "Belmarsh Optics"),
            fact("count", "nine"),
        ],
        doubts=[],
        background=[],
    )
    return Explanation(verdict=verdict, sentences=cuts, support=support)


def written(document: Document, explanation: Explanation, taxonomy: Taxonomy) -> Brief:
    brief = compose(document, explanation, taxonomy)
    assert isinstance(brief, Brief), brief
    return brief


def test_brief_lead_says_who_whom_under_what_and_why(
    document: Document, explanation: Explanation, taxonomy: Taxonomy
) -> None:
    lead = written(document, explanation, taxonomy).sentences[0].text
    assert lead == (
        "Export control (announced) by Commerce Department, under Entity List, concerning "
        "Belmarsh Optics, over surveillance, recalling forced labor."
    )


def test_brief_drops_the_clause_of_a_missing_fact(
    document: Document, explanation: Explanation, taxonomy: Taxonomy
) -> None:
    bare = msgspec.structs.replace(
        explanation, verdict=msgspec.structs.replace(explanation.verdict, facts=[])
    )
    lead = written(document, bare, taxonomy).sentences[0].text
    assert lead == "Export control (announced) over surveillance, recalling forced labor."


def test_brief_length_is_40_to_90_words(
    document: Document, explanation: Explanation, taxonomy: Taxonomy
) -> None:
    words = len(written(document, explanation, taxonomy).text.split())
    assert MIN_WORDS <= words <= MAX_WORDS


def test_brief_sentences_are_the_documents_own(
    document: Document, explanation: Explanation, taxonomy: Taxonomy
) -> None:
    brief = written(document, explanation, taxonomy)
    assert len(brief.sentences) >= 2
    for sentence in brief.sentences[1:]:
        assert sentence.text == " ".join(document.quote(sentence.citations[0]).split())


def test_brief_does_not_open_a_sentence_whose_antecedent_is_missing(
    document: Document, explanation: Explanation, taxonomy: Taxonomy
) -> None:
    """A ground quoted from "He added …" alone: the sentence before it is not in the brief."""
    ground = Label("surveillance", 0.9, [span_of("He added that more could follow")])
    labels = {**explanation.verdict.labels, "rationales": [ground]}
    support = {("action", "export_control"): [5.0, 0.0, 0.0, 4.0, 0.0]}
    changed = msgspec.structs.replace(
        explanation,
        verdict=msgspec.structs.replace(explanation.verdict, labels=labels),
        support={**explanation.support, **support},
    )
    texts = [s.text for s in written(document, changed, taxonomy).sentences]
    assert len(texts) == 4
    assert texts[1].startswith("The Commerce Department put")
    assert texts[2].startswith("It said"), "its antecedent stands right before it"
    assert texts[3].startswith("Exporters")


def test_brief_none_for_an_irrelevant_document(
    document: Document, explanation: Explanation, taxonomy: Taxonomy
) -> None:
    labels = {**explanation.verdict.labels, "action": Label("none", 0.9)}
    verdict = msgspec.structs.replace(explanation.verdict, labels=labels)
    reason = compose(document, msgspec.structs.replace(explanation, verdict=verdict), taxonomy)
    assert reason == "no brief: action is none"


def test_brief_none_for_a_thin_text(explanation: Explanation, taxonomy: Taxonomy) -> None:
    thin = Document(id="1", title="", text="Nine firms were listed.", origin="x")
    assert compose(thin, explanation, taxonomy) == "no brief: 4 words are too few"


@pytest.mark.parametrize(
    ("text", "citations", "fault"),
    [
        ("Export control by Treasury.", [span_of("Commerce Department")], "'Treasury'"),
        ("Export control concerning 12 parties.", [span_of("nine camera makers")], "'12'"),
        ("Export control.", [], "cites nothing"),
        ("Export control.", [Span(0, 10_000)], "outside the document"),
    ],
)
def test_brief_faults_find_what_the_source_does_not_say(
    document: Document, taxonomy: Taxonomy, text: str, citations: list[Span], fault: str
) -> None:
    body = BriefSentence(document.quote(Span(0, 20)), [Span(0, 20)])
    brief = Brief(text, [BriefSentence(text, citations), body])
    assert any(fault in found for found in faults(brief, document, taxonomy))


def test_brief_faults_find_an_altered_quotation(document: Document, taxonomy: Taxonomy) -> None:
    lead = BriefSentence("Export control.", [span_of("Entity List")])
    altered = BriefSentence("The Commerce Department removed nine", [Span(0, 36)])
    brief = Brief("", [lead, altered])
    assert "statement 2 is not the sentence it cites" in list(faults(brief, document, taxonomy))


def test_brief_a_fact_is_cited_where_it_is_a_word_of_its_own(taxonomy: Taxonomy) -> None:
    """ "two" once cited the middle of "network"."""
    text = (
        "Commerce cut the network off on Tuesday, listing two Chinese firms that had sold their "
        "switches to a prison service. Buyers of the equipment have ninety days to replace it, and "
        "the department will not grant licences for spare parts after that day, it said in a note."
    )
    document = Document(id="1", title="", text=text, origin="x")
    cuts = sentences.split(text)
    two = span_of("two", text.replace("network", "nexxxrk"))
    verdict = Verdict(
        relevance=0.9,
        labels={
            "action": Label("market_ban", 0.9, [span_of("cut the network off", text)]),
            "secondary_actions": [],
            "rationales": [],
            "background_rationales": [],
            "status": Label("announced", 0.9),
        },
        scores={},
        facts=[Fact(slot="count", value=2, text="two", start=two.start, end=two.end, score=0.9)],
        doubts=[],
        background=[],
    )
    support = {("action", "market_ban"): [1.0] * len(cuts)}
    explanation = Explanation(verdict=verdict, sentences=cuts, support=support)
    lead = written(document, explanation, taxonomy).sentences[0]
    assert lead.text == "Market ban (announced) concerning two parties."
    assert two in lead.citations
