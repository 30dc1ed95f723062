"""Every format has a good file, made here, and bad twins; each bad one gives one clear line."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whereas import readers
from whereas.readers import Source, find, read
from whereas.records import Document, Unreadable, content_id

HEADLINE = "Ministry bars Norvane Optics from new licences"
BODY = (
    "The Ministry of Trade barred Norvane Optics from new export licences on Monday.\n\n"
    "Its minister said the firm’s cameras were used to follow members of a minority."
)


def source(path: Path) -> Source:
    return Source(path.as_posix(), path.stat().st_size, path.stat().st_mtime_ns)


def read_all(path: Path, **options: Any) -> list[Document | Unreadable]:
    return list(read(source(path), **options))


def read_bytes(tmp_path: Path, name: str, data: bytes | str, **options: Any) -> list[Any]:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_all(path, **options)


def good(records: list[Any]) -> Document:
    [record] = records
    assert isinstance(record, Document), record
    return record


def reason(records: list[Any]) -> str:
    [record] = records
    assert isinstance(record, Unreadable), record
    assert record.reason
    assert "\n" not in record.reason
    return record.reason


def from_stdin(data: bytes | str) -> list[Any]:
    stream = io.BytesIO(data.encode() if isinstance(data, str) else data)
    return list(read(Source("-", None, None), stdin=stream))


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


# ------------------------------------------------------------------ find


def test_find_walks_a_folder_in_order_and_passes_over_what_is_no_document(tmp_path: Path) -> None:
    for name in ("b/two.txt", "a.jsonl.gz", "c.py", "d.png", ".hidden.txt", ".git/x.txt", "e"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (tmp_path / "f.doc").write_text("x")
    found = [item.path for item in find([str(tmp_path)]) if isinstance(item, Source)]
    assert [Path(path).relative_to(tmp_path).as_posix() for path in found] == [
        "a.jsonl.gz",
        "b/two.txt",
        "e",
        "f.doc",
    ]


def test_find_keeps_the_path_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a.txt").write_text("four")
    monkeypatch.chdir(tmp_path)
    [found] = find(["./in/"])
    assert isinstance(found, Source)
    assert found.path == "./in/sub/a.txt"
    assert found.size == 4
    assert found.mtime_ns == os.stat("in/sub/a.txt").st_mtime_ns


def test_find_reads_a_file_named_twice_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "link.txt").symlink_to("a.txt")
    monkeypatch.chdir(tmp_path)
    found = list(find(["a.txt", "./a.txt", str(tmp_path), "*.txt", "-", "-"]))
    assert [item.path for item in found if isinstance(item, Source)] == ["a.txt", "-"]


def test_find_expands_a_pattern_and_reports_one_without_a_match(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "a.md"):
        (tmp_path / name).write_text("x")
    assert [Path(s.path).name for s in find([f"{tmp_path}/*.txt"])] == ["a.txt", "b.txt"]  # type: ignore[union-attr]
    assert "no file matches" in reason(list(find([f"{tmp_path}/*.pdf"])))


def test_find_takes_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("x")
    (tmp_path / "b*").symlink_to("nowhere")
    [found] = find([str(tmp_path / "a[1].txt")])
    assert isinstance(found, Source)
    assert "no such file" in reason(list(find([str(tmp_path / "b*")])))


def test_find_reports_missing_paths_and_empty_folders(tmp_path: Path) -> None:
    assert "no such file" in reason(list(find([str(tmp_path / "gone.txt")])))
    assert "no documents" in reason(list(find([str(tmp_path)])))
    assert "null" in reason(list(find(["a\0b"])))


def test_find_reports_a_loop_once_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "sub" / "z.txt").write_text("x")
    (tmp_path / "self").symlink_to("self")
    found = list(find([str(tmp_path)]))
    assert [item.path for item in found if isinstance(item, Source)] == [f"{tmp_path}/sub/z.txt"]
    reasons = [item.reason for item in found if isinstance(item, Unreadable)]
    assert len(reasons) == 2
    assert any("a loop" in text for text in reasons)


def test_find_reports_a_forbidden_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: str) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", forbidden)
    assert "no permission" in reason(list(find([str(tmp_path)])))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_find_does_not_wait_for_a_pipe_in_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert "a pipe" in reason(list(find([str(tmp_path)])))
    [named] = find([str(tmp_path / "pipe.txt")])
    assert named == Source(f"{tmp_path}/pipe.txt", None, None)


# ------------------------------------------------------------------ what any file can suffer


def test_read_reports_a_file_that_vanished_or_is_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(BODY)
    [found] = find([str(path)])
    assert isinstance(found, Source)
    path.unlink()
    assert "no such file" in reason(list(read(found)))

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(readers, "open", forbidden, raising=False)
    assert "no permission" in reason(list(read(found)))


@pytest.mark.parametrize("suffix", sorted(readers.READERS))
def test_read_reports_empty_and_random_bytes_once(tmp_path: Path, suffix: str) -> None:
    assert reason(read_bytes(tmp_path, f"a{suffix}", b"")) == "empty file"
    noise = bytes(range(256)) * 40
    assert reason(read_bytes(tmp_path, f"b{suffix}", noise))


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html", ".json", ".csv", ".jsonl", ".eml"])
def test_read_reports_white_space_alone_once(tmp_path: Path, suffix: str) -> None:
    assert "no" in reason(read_bytes(tmp_path, f"a{suffix}", " \n\n \n"))


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html", ".json", ".xml", ".eml", ".txt.gz"])
def test_read_reports_what_is_larger_than_max_bytes(tmp_path: Path, suffix: str) -> None:
    data = gzip.compress(b"word " * 100) if suffix.endswith("gz") else b"word " * 100
    assert "larger than 400 bytes" in reason(
        read_bytes(tmp_path, f"a{suffix}", data, max_bytes=400)
    )


def test_read_names_a_binary_under_a_text_suffix(tmp_path: Path) -> None:
    assert "a PDF: name it .pdf" in reason(read_bytes(tmp_path, "a.txt", b"%PDF-1.7\nxx"))
    assert "an image" in reason(read_bytes(tmp_path, "a.md", b"\x89PNG\r\n\x1a\nxx"))
    assert "a zip archive: unpack" in reason(read_bytes(tmp_path, "a.csv", b"PK\x03\x04xx"))


def test_read_sniffs_unknown_suffixes(tmp_path: Path) -> None:
    assert good(read_bytes(tmp_path, "press.release", BODY)).text == BODY
    assert "an RTF file" in reason(read_bytes(tmp_path, "a.rtf", b"{\\rtf1 x}"))
    assert "legacy Office" in reason(
        read_bytes(tmp_path, "a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 64)
    )
    assert "a spreadsheet: save it as CSV" in reason(
        read_bytes(tmp_path, "a.xlsx", b"PK\x03\x04....xl/workbook.xml")
    )


def test_read_writes_names_that_are_not_unicode_as_json(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    try:
        with open(name, "wb") as file:
            file.write(BODY.encode())
    except OSError:
        pytest.skip("the file system wants Unicode")
    [found] = find([str(tmp_path)])
    assert isinstance(found, Source)
    document = good(list(read(found)))
    assert document.origin.endswith("caf�.txt")
    assert msgspec.json.encode(document)


def test_import_loads_no_format_library() -> None:
    code = (
        "import sys, whereas.readers;"
        "print({m.partition('.')[0] for m in sys.modules} & {'lxml', 'docx', 'pyarrow',"
        " 'trafilatura', 'pypdfium2', 'charset_normalizer', 'email', 'numpy'})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert run.stdout.strip() == "set()"


# ------------------------------------------------------------------ text, encodings


def test_txt_takes_a_headline_from_the_text(tmp_path: Path) -> None:
    document = good(read_bytes(tmp_path, "a.txt", f"\n{HEADLINE}\n\n{BODY}\n"))
    assert document.title == HEADLINE
    assert document.text == BODY
    assert document.origin == f"{tmp_path}/a.txt"
    assert document.id == content_id(HEADLINE, BODY)


@pytest.mark.parametrize(
    "text",
    [
        "A sentence that ends in a full stop.\n\nMore of it.",
        "A line that goes on\nin the next line.",
        "word " * 60 + "\n\nMore of it.",
        "Only one line",
    ],
)
def test_txt_without_a_headline_has_no_title(tmp_path: Path, text: str) -> None:
    document = good(read_bytes(tmp_path, "a.txt", text))
    assert document.title == ""
    assert document.text == text.strip()


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "cp1251", "gb18030"]
)
def test_txt_encodings(tmp_path: Path, encoding: str) -> None:
    text = {
        "cp1251": "Министерство запретило поставки камер. Причина: слежка за меньшинством.",
        "gb18030": "商务部禁止向该公司出口相机。部长说，原因是侵犯人权。",
    }.get(encoding, BODY + " Café Müller isn’t “listed” – yet.")
    assert good(read_bytes(tmp_path, "a.txt", text.encode(encoding))).text == text


def test_txt_one_bad_byte_does_not_change_the_encoding(tmp_path: Path) -> None:
    text = "Żółć, źródło, gęś, łąka, świerszcz, ćma. "
    document = good(read_bytes(tmp_path, "a.txt", text.encode() + b"\xff" + text.encode()))
    assert document.text == f"{text}�{text}".strip()


def test_txt_normalises_newlines_and_drops_nul(tmp_path: Path) -> None:
    data = b"One goes\r\non and\ron.\x00 " + b"Two. " * 20
    assert good(read_bytes(tmp_path, "a.txt", data)).text.startswith("One goes\non and\non. Two.")


def test_txt_broken_or_unmarked_utf16_is_not_text(tmp_path: Path) -> None:
    assert "broken UTF-16" in reason(read_bytes(tmp_path, "a.txt", BODY.encode("utf-16")[:-1]))
    assert "not text" in reason(
        read_bytes(tmp_path, "b.txt", b"Plain words.".decode().encode("utf-16-le"))
    )


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(sorted(readers.READERS)))
def test_read_never_raises_and_always_answers(data: bytes, suffix: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        records = read_bytes(Path(folder), f"a{suffix}", data)
    assert records
    assert msgspec.json.encode(records)


# ------------------------------------------------------------------ Markdown


def test_md_front_matter_and_markup(tmp_path: Path) -> None:
    text = """---
title: "Norvane loses its licences"
date: 2031-04-02
author: Ida Quell
tags: [trade]
---

# Norvane loses its licences

The **ministry** named [Norvane Optics](https://norvane.example/(a)) and *two* `other` firms,
among them snake_case_ltd.

> It sold \\*cameras\\*. ![map](m.png)

| Firm | Seat |
|------|------|
| Norvane | Aldmoor |

- one <b>firm</b>
"""
    document = good(read_bytes(tmp_path, "a.md", text))
    assert document.title == "Norvane loses its licences"
    assert (document.date, document.author) == ("2031-04-02", "Ida Quell")
    assert document.text == (
        "The ministry named Norvane Optics and two other firms,\namong them snake_case_ltd.\n\n"
        "It sold *cameras*. map\n\nFirm | Seat\nNorvane | Aldmoor\n\n- one firm"
    )


@pytest.mark.parametrize("heading", ["## The *new* list ##\n", "The *new* list\n==============\n"])
def test_md_title_is_the_first_heading(tmp_path: Path, heading: str) -> None:
    document = good(read_bytes(tmp_path, "a.md", f"{heading}\nIt names Norvane.\n\n# Later\n"))
    assert document.title == "The new list"
    assert document.text == "It names Norvane.\n\nLater"


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "**a ",
        "<!--",
        "|-",
        "| ",
        " #",
        "> ",
        "- ",
        "--- ",
        "`",
        "\\(",
        "[a](b",
        "_ ",
        "<http://",
    ],
)
def test_md_takes_linear_time_on_hostile_text(tmp_path: Path, piece: str) -> None:
    start = time.perf_counter()
    read_bytes(tmp_path, "a.md", "# x" + piece * 20_000 + "x\n\n" + piece * 20_000 + "x\n")
    assert time.perf_counter() - start < 2


def test_md_bad_twin(tmp_path: Path) -> None:
    assert "no text" in reason(read_bytes(tmp_path, "a.md", "---\nauthor: Ida Quell\n---\n"))


# ------------------------------------------------------------------ HTML

PAGE = f"""<!doctype html><html><head><title>{HEADLINE} | The Aldmoor Post</title>
<meta property="og:title" content="{HEADLINE}">
<meta property="og:site_name" content="The Aldmoor Post">
<meta name="author" content="Ida Quell">
<meta property="article:published_time" content="2024-04-02T08:00:00Z">
<link rel="canonical" href="https://post.example/norvane"></head><body>
<nav><a href="/">Home</a> <a href="/s">Subscribe now</a></nav>
<article><h1>{HEADLINE}</h1>
<p>{BODY.split(chr(10))[0]} The order takes effect at once and covers every shipment of lenses.</p>
<p>Norvane said that it would appeal against the order, which it called unfounded and unfair.</p>
<p>Rights groups had asked for the step since a report on the cameras came out in the spring.</p>
</article><footer>All rights kept</footer><script>var tracker = 1;</script></body></html>"""


def test_html_article_and_its_metadata(tmp_path: Path) -> None:
    document = good(read_bytes(tmp_path, "a.html", PAGE))
    assert document.title == HEADLINE
    assert document.text.startswith("The Ministry of Trade barred")
    assert document.text.endswith("in the spring.")
    assert "Subscribe" not in document.text
    assert document.date == "2024-04-02"
    assert document.author == "Ida Quell"
    assert document.url == "https://post.example/norvane"
    assert document.source == "The Aldmoor Post"


def test_html_declared_encoding(tmp_path: Path) -> None:
    page = (
        '<html><head><meta charset="windows-1250"></head><body><p>Spółka Wężyk jest na liście</p>'
    )
    assert "Spółka Wężyk" in good(read_bytes(tmp_path, "a.htm", page.encode("cp1250"))).text


def test_html_falls_back_to_all_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import trafilatura

    def broken(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(trafilatura, "bare_extraction", broken)
    page = (
        "<title>Short</title><style>p{}</style>"
        "<p>One\n <b>bold</b> word.<p>Two<br>three.<script>x</script>"
    )
    document = good(read_bytes(tmp_path, "a.html", page))
    assert document.title == "Short"
    assert document.text == "One bold word.\n\nTwo\nthree."


def test_html_comment_before_the_root_is_survived(tmp_path: Path) -> None:
    page = "<!-- saved from a browser --><html><body><p>Listed.</p></body></html><!-- end -->"
    assert good(read_bytes(tmp_path, "a.html", page)).text == "Listed."
    assert readers.pages.html_to_text(page) == "Listed."


def test_html_control_characters_are_survived(tmp_path: Path) -> None:
    page = "<html><body><p>One\x0b \x1ftwo.</p></body></html>"
    assert readers.pages.html_to_text(page) == "One two."


def test_html_bad_twin(tmp_path: Path) -> None:
    page = "<html><body><script>draw()</script></body></html>"
    assert "drawn by a script" in reason(read_bytes(tmp_path, "a.html", page))


def test_html_deep_nesting_is_survived(tmp_path: Path) -> None:
    assert len(read_bytes(tmp_path, "a.html", "<div>" * 20_000 + BODY)) == 1


# ------------------------------------------------------------------ PDF


def make_pdf(path: Path, pages: list[list[str]], *, title: str = "", password: str = "") -> Path:
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    encryption = StandardEncryption(password) if password else None
    canvas = Canvas(str(path), encrypt=encryption)
    canvas.setTitle(title)
    for lines in pages:
        for number, line in enumerate(lines):
            canvas.drawString(72, 760 - 14 * number, line)
        canvas.showPage()
    canvas.save()
    return path


PRINT = [
    "Order on optical goods",
    "The ministry withdrew the licences of Norvane Optics because its sur-",
    "veillance cameras were sold to the police of a region where people are",
    "held without trial, and it lists dual-use goods. Dealers in such dual-",
    "use goods must report.",
    "A second paragraph begins here and is a good deal longer than a line of",
    "Aldmoor print.",
]


def test_pdf_paragraphs_and_divided_words(tmp_path: Path) -> None:
    document = good(read_all(make_pdf(tmp_path / "a.pdf", [PRINT])))
    assert document.title == "Order on optical goods"
    assert document.text == (
        "The ministry withdrew the licences of Norvane Optics because its surveillance cameras "
        "were sold to the police of a region where people are held without trial, and it lists "
        "dual-use goods. Dealers in such dual-use goods must report.\n\n"
        "A second paragraph begins here and is a good deal longer than a line of Aldmoor print."
    )


def test_pdf_title_from_its_properties_if_sensible(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", [PRINT], title="Norvane loses its licences")
    assert good(read_all(path)).title == "Norvane loses its licences"
    path = make_pdf(tmp_path / "b.pdf", [PRINT], title="Microsoft Word - final v3.docx")
    assert good(read_all(path)).title == "Order on optical goods"


def test_pdf_running_heads_and_page_numbers_go(tmp_path: Path) -> None:
    pages = [
        ["Aldmoor Gazette 17/2031", f"The {word} article names one firm.", f"- {number} -"]
        for number, word in enumerate(("first", "second", "third"), start=1)
    ]
    text = good(read_all(make_pdf(tmp_path / "a.pdf", pages))).text
    assert "Gazette" not in text
    assert "- 1 -" not in text
    assert text.count("article names one firm.") == 3


def test_pdf_page_numbers_go_from_short_files_too(tmp_path: Path) -> None:
    pages = [["Norvane was listed.", "Page 1 of 2"], ["Its appeal failed in 2031.", "2"]]
    text = good(read_all(make_pdf(tmp_path / "a.pdf", pages))).text
    assert text == "Norvane was listed. Its appeal failed in 2031."


def test_pdf_bad_twins(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", [PRINT], password="secret")
    assert "encrypted PDF" in reason(read_all(path))
    path = make_pdf(tmp_path / "b.pdf", [[], []])
    assert "run OCR first" in reason(read_all(path))
    data = make_pdf(tmp_path / "c.pdf", [PRINT]).read_bytes()
    assert "damaged or not a PDF" in reason(read_bytes(tmp_path, "d.pdf", data[:200]))


# ------------------------------------------------------------------ Word


def make_docx(path: Path) -> Path:
    import docx

    file = docx.Document()
    file.add_paragraph(HEADLINE)
    file.add_paragraph("Before the table.")
    table = file.add_table(2, 2)
    for row, cells in enumerate((("Firm", "Seat"), ("Norvane", "Aldmoor"))):
        for column, words in enumerate(cells):
            table.cell(row, column).text = words
    file.add_paragraph("After the table.")
    file.save(str(path))
    return path


def test_docx_paragraphs_and_tables_in_order(tmp_path: Path) -> None:
    document = good(read_all(make_docx(tmp_path / "a.docx")))
    assert document.title == HEADLINE
    assert (
        document.text == "Before the table.\n\nFirm | Seat\n\nNorvane | Aldmoor\n\nAfter the table."
    )
    assert document.author is None


def test_docx_keeps_insertions_and_drops_deletions(tmp_path: Path) -> None:
    import docx
    from docx.oxml import parse_xml

    file = docx.Document()
    paragraph = file.add_paragraph("The firm ")
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    for change in (
        f"<w:ins {space}><w:r><w:t>was listed</w:t></w:r></w:ins>",
        f"<w:del {space}><w:r><w:delText>was praised</w:delText></w:r></w:del>",
        f"<w:moveFrom {space}><w:r><w:t>elsewhere</w:t></w:r></w:moveFrom>",
    ):
        paragraph._p.append(parse_xml(change))
    file.save(str(tmp_path / "a.docx"))
    assert good(read_all(tmp_path / "a.docx")).text == "The firm was listed"


def test_docx_bad_twins(tmp_path: Path) -> None:
    data = make_docx(tmp_path / "a.docx").read_bytes()
    assert "damaged or not a Word file" in reason(read_bytes(tmp_path, "b.docx", data[:-500]))
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512
    assert "save it as .docx without a password" in reason(read_bytes(tmp_path, "c.docx", ole))


def test_docx_bomb_is_refused(tmp_path: Path) -> None:
    import zipfile

    path = make_docx(tmp_path / "a.docx")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/x.bin", b"\0" * 5_000_000)
    assert "unpacks to" in reason(read_all(path, max_bytes=1_000_000))


# ------------------------------------------------------------------ e-mail


def make_email(**bodies: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Norvane löst Verträge"
    message["From"] = "Ida Quell <ida@post.example>"
    message["Date"] = "Wed, 02 Apr 2031 08:00:00 +0200"
    message["Message-ID"] = "<1@post.example>"
    if "plain" in bodies:
        message.set_content(bodies["plain"])
    if "html" in bodies:
        message.add_alternative(bodies["html"], subtype="html")
    return message


def test_eml_headers_and_plain_text(tmp_path: Path) -> None:
    message = make_email(plain=BODY, html="<p>Another body</p>")
    message.add_attachment(b"secret", maintype="text", subtype="plain", filename="a.txt")
    document = good(read_bytes(tmp_path, "a.eml", message.as_bytes()))
    assert document.title == "Norvane löst Verträge"
    assert document.text == BODY
    assert (document.date, document.author) == ("2031-04-02", "Ida Quell")
    assert document.meta == {"message_id": "<1@post.example>"}


def test_eml_html_when_there_is_no_text(tmp_path: Path) -> None:
    message = make_email(html="<html><body><p>Norvane was listed.</p></body></html>")
    assert good(read_bytes(tmp_path, "a.eml", message.as_bytes())).text == "Norvane was listed."


def test_eml_wrong_charset_is_survived(tmp_path: Path) -> None:
    head = b"Subject: List\nContent-Type: text/plain; charset=x-none\n\n"
    assert (
        good(read_bytes(tmp_path, "a.eml", head + "Schön ist’s.".encode())).text == "Schön ist’s."
    )


def test_eml_raw_bytes_in_headers_are_survived(tmp_path: Path) -> None:
    data = b"Subject: L\xf6st\nFrom: J\xf6rg <j@post.example>\nMessage-ID: <\xff@x>\n\nText."
    document = good(read_bytes(tmp_path, "a.eml", data))
    assert msgspec.json.encode(document)


def test_eml_bad_twins(tmp_path: Path) -> None:
    assert "not an e-mail" in reason(read_bytes(tmp_path, "a.eml", "Just words.\n\nMore words."))
    message = make_email()
    message.add_attachment(b"x", maintype="application", subtype="pdf", filename="order.pdf")
    assert "order.pdf" in reason(read_bytes(tmp_path, "b.eml", message.as_bytes()))


# ------------------------------------------------------------------ JSON Lines


def test_jsonl_rows_and_origins(tmp_path: Path) -> None:
    rows = jsonl({"id": 7, "title": " T ", "text": " One.\r\nTwo. ", "tier": 2}) + "\n"
    rows += jsonl({"headline": "Stub"})
    first, second = read_bytes(tmp_path, "a.jsonl", rows)
    assert first == Document(
        id="7", title="T", text="One.\nTwo.", origin=f"{tmp_path}/a.jsonl#1", meta={"tier": 2}
    )
    assert (second.title, second.text, second.origin) == ("Stub", "", f"{tmp_path}/a.jsonl#2")
    assert second.id == content_id("Stub", "")


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("id", "id"),
        ("title", "title headline subject name"),
        ("text", "text body content event_text article full_text abstract summary description"),
        ("url", "url link source_url"),
        ("date", "date pub_date publication_date published published_at event_date"),
        ("source", "source publisher outlet site agency"),
        ("author", "author"),
    ],
)
def test_jsonl_aliases(tmp_path: Path, field: str, names: str) -> None:
    for name in names.split():
        other = "title" if field == "text" else "text"
        row = {other: "x", name.upper().replace("_", " "): "value"}
        assert getattr(good(read_bytes(tmp_path, "a.jsonl", jsonl(row))), field) == "value"


def test_jsonl_first_alias_with_a_value_wins_and_the_rest_is_meta(tmp_path: Path) -> None:
    row = {"summary": "short", "body": "long", "text": " ", "headline": None, "name": "N"}
    document = good(read_bytes(tmp_path, "a.jsonl", jsonl(row)))
    assert (document.title, document.text) == ("N", "long")
    assert document.meta == {"summary": "short"}


def test_jsonl_meta_keeps_names_and_survives_a_round_trip(tmp_path: Path) -> None:
    first = good(
        read_bytes(tmp_path, "a.jsonl", jsonl({"Text": "x", "Desk No": 0, "meta": {"k": 1}}))
    )
    assert first.meta == {"Desk No": 0, "k": 1}
    again = good(read_bytes(tmp_path, "b.jsonl", msgspec.json.encode(first)))
    assert again.meta == {**first.meta, "origin": first.origin}


def test_jsonl_values_that_are_no_strings(tmp_path: Path) -> None:
    line = (
        '{"text": ["One.", "Two."], "source": {"id": 1, "name": "Post"}, "author": ["A", "B"],'
        ' "nan": NaN, "big": 99999999999999999999, "lone": "\\ud800", "deep": '
        + "[" * 200 + "]" * 200 + "}"
    )  # fmt: skip
    document = good(read_bytes(tmp_path, "a.jsonl", line))
    assert document.text == "One.\n\nTwo."
    assert (document.source, document.author) == ("Post", "A, B")
    assert document.meta["big"] == "99999999999999999999"
    assert document.meta["lone"] == "�"
    assert "nan" not in document.meta
    assert str(document.meta["deep"]).count("[") < 50
    assert msgspec.json.encode(document)


def test_jsonl_a_bad_line_does_not_stop_the_others(tmp_path: Path) -> None:
    lines = [
        b'{"text": "one"}',
        b'{"text": "tw',
        b"[1]",
        b'{"label": "x"}',
        b'{"text": "' + b"x" * 300 + b'"}',
        b'{"text": "\x00\x01\x02\x03\x04"}',
        b"[" * 100_000,
        b'{"text": "last"}',
    ]
    records = read_bytes(tmp_path, "a.jsonl", b"\n".join(lines[:6]), max_bytes=200)
    assert [type(record).__name__[0] for record in records] == list("DUUUUU")
    reasons = [record.reason for record in records[1:]]
    assert reasons[0].startswith("line 2: not valid JSON")
    assert "type list" in reasons[1]
    assert "the columns are label" in reasons[2]
    assert "larger than 200" in reasons[3]
    assert "line 6" in reasons[4]
    assert records[4].origin.endswith("#5")
    records = read_bytes(tmp_path, "b.jsonl", b"\n".join([lines[0], *lines[6:]]))
    assert [type(record).__name__[0] for record in records] == list("DUD")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_jsonl_encodings(tmp_path: Path, encoding: str) -> None:
    text = "The firm’s café is “listed”, Müller said."
    lines = f'{{"text": "{text}"}}\n{{"text": "{text} Again."}}\n'
    records = read_bytes(tmp_path, "a.jsonl", lines.encode(encoding))
    assert [record.text for record in records] == [text, f"{text} Again."]


class Endless(io.RawIOBase):
    """Lines without end, and how many were asked for."""

    def __init__(self, line: bytes, first: bytes = b"") -> None:
        self.line, self.first, self.given = line, first, 0

    def read1(self, room: int) -> bytes:
        chunk, self.first = (self.first, b"") if self.first else (self.line, b"")
        self.given += 1
        return chunk


def test_jsonl_is_streamed() -> None:
    stream: Any = Endless(b'{"text": "' + b"x" * 1000 + b'"}\n')
    records = read(Source("-", None, None), stdin=stream)
    assert [record.origin for record in itertools.islice(records, 3)] == ["-#1", "-#2", "-#3"]
    assert stream.given == 3


def test_jsonl_gz_is_streamed_and_bounded_per_row(tmp_path: Path) -> None:
    rows = jsonl(*({"text": f"{n} " + "x" * 500} for n in range(100)))
    records = read_bytes(tmp_path, "a.jsonl.gz", gzip.compress(rows.encode()), max_bytes=2000)
    assert len([record for record in records if isinstance(record, Document)]) == 100


def test_jsonl_under_json_and_json_under_jsonl(tmp_path: Path) -> None:
    rows = [{"text": "one"}, {"text": "two"}]
    for name, data in (("a.json", jsonl(*rows)), ("b.jsonl", json.dumps(rows, indent=1))):
        assert [record.text for record in read_bytes(tmp_path, name, data)] == ["one", "two"]


# ------------------------------------------------------------------ JSON


def test_json_array_and_single_object(tmp_path: Path) -> None:
    array = json.dumps([{"text": "one"}, 5, {"text": "two"}])
    first, bad, second = read_bytes(tmp_path, "a.json", array)
    assert (first.text, second.text, second.origin) == ("one", "two", f"{tmp_path}/a.json#3")
    assert "type int" in bad.reason
    single = good(read_bytes(tmp_path, "b.json", '{"title": "T", "body": "B"}'))
    assert (single.title, single.text, single.origin) == ("T", "B", f"{tmp_path}/b.json")


def test_json_bad_twins(tmp_path: Path) -> None:
    assert "not valid JSON" in reason(read_bytes(tmp_path, "a.json", '[{"text": "one"},'))
    assert "no documents in it" in reason(read_bytes(tmp_path, "b.json", "[]"))
    assert "without documents" in reason(read_bytes(tmp_path, "c.json", "17"))
    assert "not valid JSON" in reason(read_bytes(tmp_path, "d.json", "[" * 100_000))


REGISTER = {
    "title": "Addition of Norvane Optics to the List",
    "type": "Rule",
    "abstract": "The Bureau adds one entity.",
    "document_number": "2031-04567",
    "publication_date": "2031-04-02",
    "html_url": "https://register.example/2031-04567",
    "agencies": [{"name": "Commerce Department"}, {"name": "Industry and Security Bureau"}],
}


def test_json_federal_register_answer(tmp_path: Path) -> None:
    answer = json.dumps({"count": 1, "description": "Documents", "results": [REGISTER]})
    document = good(read_bytes(tmp_path, "a.json", answer))
    assert document == Document(
        id="fr:2031-04567",
        title="Addition of Norvane Optics to the List",
        text="The Bureau adds one entity.",
        origin=f"{tmp_path}/a.json#1",
        date="2031-04-02",
        source="Federal Register",
        url="https://register.example/2031-04567",
        author="Commerce Department, Industry and Security Bureau",
        meta={"type": "Rule"},
    )


def test_json_federal_register_sections_and_body(tmp_path: Path) -> None:
    row = {**REGISTER, "action": "Final rule.", "dates": "Effective April 2, 2031."}
    document = good(read_bytes(tmp_path, "a.json", json.dumps(row)))
    assert document.text == (
        "AGENCY:\n\nCommerce Department, Industry and Security Bureau\n\nACTION:\n\nFinal rule.\n\n"
        "SUMMARY:\n\nThe Bureau adds one entity.\n\nDATES:\n\nEffective April 2, 2031."
    )
    row["body_html"] = "<h2>SUMMARY:</h2><p>All of <em>it</em>.</p>"
    assert good(read_bytes(tmp_path, "b.json", json.dumps(row))).text == "SUMMARY:\n\nAll of it."


def test_json_federal_register_without_results(tmp_path: Path) -> None:
    answer = json.dumps({"count": 0, "description": "Documents about nothing"})
    assert "without results" in reason(read_bytes(tmp_path, "a.json", answer))


# ------------------------------------------------------------------ CSV


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_csv_delimiters_quotes_and_newlines(tmp_path: Path, mark: str) -> None:
    lines = [
        mark.join(("Headline", "Body", "Pub Date")),
        mark.join(("One", f'"First{mark} it said ""no"".\r\nSecond."', "2031-04-02")),
        "",
        mark.join(("Two", "Plain", "")),
    ]
    name = "a.tsv" if mark == "\t" else "a.csv"
    first, second = read_bytes(tmp_path, name, "\r\n".join(lines))
    assert first.text == f'First{mark} it said "no".\nSecond.'
    assert (first.title, first.date, first.origin) == ("One", "2031-04-02", f"{tmp_path}/{name}#1")
    assert (second.text, second.date, second.origin) == ("Plain", None, f"{tmp_path}/{name}#2")


def test_csv_from_a_spreadsheet(tmp_path: Path) -> None:
    data = "sep=;\r\nTitle;Text\r\nÖl, Gas;Café\r\n".encode("cp1252")
    document = good(read_bytes(tmp_path, "a.csv", data))
    assert (document.title, document.text) == ("Öl, Gas", "Café")


def test_csv_of_an_old_macintosh(tmp_path: Path) -> None:
    first, second = read_bytes(tmp_path, "a.csv", "title,text\rA,one\rB,two\r")
    assert (first.text, second.text) == ("one", "two")


def test_csv_long_fields(tmp_path: Path) -> None:
    text = "word " * 60_000
    assert good(read_bytes(tmp_path, "a.csv", f"title,text\nT,{text}\n")).text == text.strip()


def test_csv_without_a_title_or_text_column(tmp_path: Path) -> None:
    message = reason(read_bytes(tmp_path, "a.csv", "date,body text\n2031,x\n"))
    assert "the columns are date, body text" in message
    assert "headline" in message
    assert "event_text" in message


def test_csv_bad_rows_do_not_stop_the_others(tmp_path: Path) -> None:
    data = 'title,text\nA,one\nB,two, or three\n,\n,""\n"C" c,four\n"D" d,five,six\nE,"open\nF,x\n'
    records = read_bytes(tmp_path, "a.csv", data)
    assert [type(record).__name__[0] for record in records] == list("DUDUU")
    assert "3 cells under 2 columns" in records[1].reason
    assert records[2].title == "C c"
    assert "quote" in records[3].reason
    assert "quote" in records[4].reason


def test_csv_an_open_quote_does_not_swallow_the_file(tmp_path: Path) -> None:
    data = 'title,text\nA,one\nB,"two\n' + "C,three\n" * 100
    first, bad = read_bytes(tmp_path, "a.csv", data, max_bytes=300)
    assert first.text == "one"
    assert "larger than 300" in bad.reason


def test_csv_header_alone_is_empty(tmp_path: Path) -> None:
    assert "empty" in reason(read_bytes(tmp_path, "a.csv", "title,text\n"))


def test_csv_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"title,text\n" + (b"T," + b"word " * 200 + b"\n") * 2000)
    with path.open("r+b") as file:  # the end is broken, the beginning is read all the same
        file.truncate(path.stat().st_size - 20)
    records = read_all(path)
    assert len(list(itertools.islice(read(source(path)), 5))) == 5
    assert isinstance(records[-1], Unreadable)
    assert "gzip" in records[-1].reason
    assert sum(isinstance(record, Document) for record in records) > 100


# ------------------------------------------------------------------ Parquet


def make_parquet(path: Path, columns: dict[str, list[Any]], **options: Any) -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), path, **options)
    return path


def test_parquet_rows(tmp_path: Path) -> None:
    import datetime

    columns = {
        "headline": ["One", "Two", None],
        "body": ["Text.", None, None],
        "event_date": [datetime.date(2031, 4, 2), None, None],
        "raw": [b"\xff\xfe", None, None],
        "seen": [datetime.datetime(2031, 4, 2, 8), None, None],
    }
    first, second, third = read_all(make_parquet(tmp_path / "a.parquet", columns))
    assert first == Document(
        id=content_id("One", "Text."),
        title="One",
        text="Text.",
        origin=f"{tmp_path}/a.parquet#1",
        date="2031-04-02",
        meta={"seen": "2031-04-02T08:00:00"},
    )
    assert (second.title, second.text) == ("Two", "")
    assert third.origin.endswith("#3")
    assert "neither title nor text" in third.reason


def test_parquet_is_read_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from whereas.readers import rows

    made = []
    build = rows.row
    monkeypatch.setattr(rows, "row", lambda *given: made.append(1) or build(*given))
    path = make_parquet(tmp_path / "a.parquet", {"text": ["x"] * 500}, row_group_size=100)
    assert len(list(itertools.islice(read(source(path)), 2))) == 2
    assert len(made) == 2
    assert len(read_all(path)) == 500


def test_parquet_bad_twins(tmp_path: Path) -> None:
    path = make_parquet(tmp_path / "a.parquet", {"text": ["x" * 50] * 50})
    data = path.read_bytes()
    assert "damaged or not a Parquet file" in reason(
        read_bytes(tmp_path, "b.parquet", data[: len(data) // 2])
    )
    path = make_parquet(tmp_path / "c.parquet", {"label": ["x"]})
    assert "no title or text column: the columns are label" in reason(read_all(path))
    path = make_parquet(tmp_path / "d.parquet", {"text": ["x" * 5000 + str(n) for n in range(9)]})
    assert "unpacks to" in reason(read_all(path, max_bytes=500))
    assert "larger than 2,000" in read_all(path, max_bytes=2000)[0].reason  # type: ignore[union-attr]
    assert "empty" in reason(read_all(make_parquet(tmp_path / "e.parquet", {"text": []})))


# ------------------------------------------------------------------ Federal Register XML

RULE = """<RULE><PREAMB><AGENCY TYPE="S">DEPARTMENT OF COMMERCE</AGENCY>
<SUBAGY>Bureau of Industry and Security</SUBAGY><CFR>15 CFR Part 744</CFR>
<SUBJECT>Addition of <E T="03">Norvane Optics</E> to the List</SUBJECT>
<AGY><HD SOURCE="HED">AGENCY:</HD><P>Bureau of Industry and Security.</P></AGY>
<ACT><HD SOURCE="HED">ACTION:</HD><P>Final rule.</P></ACT>
<SUM><P>One entity is&#x2009;added for its<PRTPAGE P="171"/>cameras &amp; lenses.</P></SUM></PREAMB>
<SUPLINF><HD SOURCE="HED">SUPPLEMENTARY INFORMATION:</HD><HD SOURCE="HD1">Background</HD>
<P>The entity sold cameras.</P>
<GPOTABLE><ROW><ENT>Norvane</ENT><ENT>Aldmoor</ENT></ROW></GPOTABLE></SUPLINF>
<SIG><NAME>Ida Quell,</NAME><TITLE>Deputy.</TITLE></SIG>
<FRDOC>[FR Doc. 2031-04567 Filed 4-1-31; 8:45 am]</FRDOC><BILCOD>BILLING CODE 1</BILCOD></RULE>"""

ORDER = """<PRESDOCU><EXECORD><EXECORDR>Executive Order 19999 of April 1, 2031</EXECORDR>
<HD SOURCE="HED">Protecting Optical Supply</HD><FP>It is ordered as follows.</FP>
<FRDOC>[FR Doc. 2031-04568</FRDOC></EXECORD></PRESDOCU>"""


def test_xml_one_rule(tmp_path: Path) -> None:
    document = good(read_bytes(tmp_path, "a.xml", RULE))
    assert document.id == "fr:2031-04567"
    assert document.title == "Addition of Norvane Optics to the List"
    assert document.author == "DEPARTMENT OF COMMERCE, Bureau of Industry and Security"
    assert document.source == "Federal Register"
    assert document.text.split("\n\n") == [
        "15 CFR Part 744",
        "AGENCY:",
        "Bureau of Industry and Security.",
        "ACTION:",
        "Final rule.",
        "SUMMARY:",
        "One entity is added for its cameras & lenses.",
        "SUPPLEMENTARY INFORMATION:",
        "Background",
        "The entity sold cameras.",
        "Norvane | Aldmoor",
        "Ida Quell,",
        "Deputy.",
    ]


def test_xml_a_days_issue(tmp_path: Path) -> None:
    issue = (
        "<?xml version='1.0'?><!DOCTYPE FEDREG SYSTEM 'fedreg.dtd'><FEDREG>"
        f"<DATE>Wednesday, April 2, 2031</DATE><RULES>{RULE}</RULES><NOTICES><NOTICE></NOTICE>"
        f"</NOTICES><PRESDOCS>{ORDER}</PRESDOCS></FEDREG>"
    )
    first, empty, order = read_bytes(tmp_path, "a.xml.gz", gzip.compress(issue.encode()))
    assert (first.date, first.origin) == ("2031-04-02", f"{tmp_path}/a.xml.gz#1")
    assert "no text" in empty.reason
    assert (order.id, order.title) == ("fr:2031-04568", "Protecting Optical Supply")
    assert order.text == "Executive Order 19999 of April 1, 2031\n\nIt is ordered as follows."


def test_xml_entities_are_never_resolved(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE RULE [<!ENTITY l0 "ha">{laughs}]><RULE><P>&l11;</P></RULE>'
    assert "entit" in reason(read_bytes(tmp_path, "a.xml", bomb))
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    theft = f'<!DOCTYPE RULE [<!ENTITY s SYSTEM "{secret.as_uri()}">]><RULE><P>x&s;</P></RULE>'
    assert "entities" in reason(read_bytes(tmp_path, "b.xml", theft))
    dtd = tmp_path / "evil.dtd"
    dtd.write_text('<!ENTITY mdash "-"><!ENTITY s "the secret">')
    outside = f'<!DOCTYPE RULE SYSTEM "{dtd.as_uri()}"><RULE><P>One&mdash;two &s;</P></RULE>'
    assert good(read_bytes(tmp_path, "c.xml", outside)).text == "One—two &s;"


def test_xml_bad_twins(tmp_path: Path) -> None:
    assert "damaged XML" in reason(read_bytes(tmp_path, "a.xml", RULE[:-40]))
    assert "<rss>" in reason(read_bytes(tmp_path, "b.xml", "<rss><channel/></rss>"))
    assert "damaged XML" in reason(read_bytes(tmp_path, "c.xml", "<RULE>" * 100_000))


# ------------------------------------------------------------------ gzip


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", BODY),
        ("a.md", BODY),
        ("a.html", PAGE),
        ("a.json", json.dumps({"text": BODY})),
        ("a.jsonl", jsonl({"text": BODY})),
        ("a.csv", 'text\n"x, y"\n'),
        ("a.xml", RULE),
    ],
)
def test_gz_of_each_text_format_reads_the_same(tmp_path: Path, name: str, data: str) -> None:
    plain = good(read_bytes(tmp_path, name, data))
    packed = good(read_bytes(tmp_path, f"{name}.gz", gzip.compress(data.encode())))
    assert msgspec.structs.replace(packed, origin="") == msgspec.structs.replace(plain, origin="")


def test_gz_bombs_are_stopped(tmp_path: Path) -> None:
    bomb = gzip.compress(b"\n" * 2_000_000)
    assert "larger than 10,000 bytes" in reason(
        read_bytes(tmp_path, "a.txt.gz", bomb, max_bytes=10_000)
    )
    assert "gzip bomb" in reason(read_bytes(tmp_path, "a.jsonl.gz", bomb, max_bytes=1000))
    rows = gzip.compress(b'{"text": "x"}\n' * 200_000)
    records = read_bytes(tmp_path, "b.jsonl.gz", rows, max_bytes=1000)
    assert "gzip bomb" in records[-1].reason
    assert len(records) < 5000


def test_gz_bad_twins(tmp_path: Path) -> None:
    packed = gzip.compress(os.urandom(500).hex().encode())
    assert "damaged or not a gzip" in reason(read_bytes(tmp_path, "a.txt.gz", packed[:-100]))
    assert "damaged or not a gzip" in reason(read_bytes(tmp_path, "b.txt.gz", BODY))


# ------------------------------------------------------------------ standard input


def test_stdin_tells_its_formats_apart() -> None:
    assert [d.origin for d in from_stdin(jsonl({"text": "a"}, {"text": "b"}))] == ["-#1", "-#2"]
    assert [d.text for d in from_stdin('[{"text": "a"},\n {"text": "b"}]')] == ["a", "b"]
    assert good(from_stdin('{\n "text": "a"\n}')).text == "a"
    assert good(from_stdin(json.dumps({"results": [REGISTER]}))).id == "fr:2031-04567"
    assert good(from_stdin(PAGE)).source == "The Aldmoor Post"
    assert good(from_stdin(RULE)).id == "fr:2031-04567"
    assert good(from_stdin(f"[Update] {HEADLINE}\n\n{BODY}")).title == f"[Update] {HEADLINE}"
    assert good(from_stdin(gzip.compress(BODY.encode()))).text == BODY


def test_stdin_in_small_pieces() -> None:
    class Pieces(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return super().read1(3)

    def pieces(data: str) -> list[Any]:
        return list(read(Source("-", None, None), stdin=Pieces(data.encode())))

    assert [record.origin for record in pieces(jsonl({"text": "a"}, {"text": "b"}))] == [
        "-#1",
        "-#2",
    ]
    assert good(pieces(PAGE)).source == "The Aldmoor Post"


def test_stdin_bad_input() -> None:
    assert reason(from_stdin("")) == "empty file"
    assert "not text" in reason(from_stdin(bytes(range(256)) * 4))
    assert "not valid JSON" in reason(from_stdin('[{"text": "a"'))


def test_stdin_stays_open() -> None:
    stream = io.BytesIO(BODY.encode())
    assert len(list(read(Source("-", None, None), stdin=stream))) == 1
    assert not stream.closed


def test_readers_csv_one_damaged_line_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [
        "1,one,First text",
        "2,a\ufffdb,x",
        "3,\x01\x02\x03\x04\x05,y",
        "4,four," + "Fourth text " * 20,
    ]
    path.write_text("id,title,text\n" + "\n".join(rows) + "\n", "utf-8")
    found = [r for s in readers.find([str(path)]) for r in readers.read(s)]
    assert [getattr(r, "id", None) for r in found] == ["1", "2", None, "4"]
    assert isinstance(found[2], Unreadable)
    assert found[2].origin.endswith("#3")


@pytest.mark.parametrize(
    ("data", "title"),
    [
        ("headline,body\nOne,First text\n", "One"),
        ("title\ttext\nOne\tFirst text\n", "One"),
        ("From: a@example.org\nTo: b@example.org\nSubject: One\n\nFirst text\n", "One"),
    ],
)
def test_readers_standard_input_tells_tables_and_mail(data: str, title: str) -> None:
    source = Source("-", None, None)
    [found] = list(readers.read(source, stdin=io.BytesIO(data.encode())))
    assert isinstance(found, Document)
    assert (found.title, found.text) == (title, "First text")


def test_readers_standard_input_prose_with_commas_stays_prose() -> None:
    data = b"Text, as we know it, is prose.\nIt goes on, line by line.\n"
    [found] = list(readers.read(Source("-", None, None), stdin=io.BytesIO(data)))
    assert isinstance(found, Document)
    assert "as we know it" in found.text
