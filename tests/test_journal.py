"""The journal belongs to one process, and places that cannot hold it are errors to mend."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from whereas.errors import WhereasError
from whereas.journal import Store


def test_journal_second_run_at_once_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Store(out) as store:
        for step in (lambda: None, lambda: store.begin({}), store.commit):
            step()
            with pytest.raises(WhereasError, match="another run is writing here"):
                Store(out)
    Store(out).close()


@pytest.mark.parametrize("output", ["file/out.jsonl", "file/out", "none/out.csv", "/proc/none/out"])
def test_journal_place_that_cannot_be_written_is_an_error_to_mend(
    tmp_path: Path, output: str
) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(WhereasError, match=r"cannot write to .*Give another place"):
        Store(tmp_path / output)


def test_journal_read_only_folder_is_an_error_to_mend(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(WhereasError, match="Permission denied"):
            Store(tmp_path / "out.jsonl")
    finally:
        tmp_path.chmod(0o700)


def test_journal_unknown_suffix_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(WhereasError, match=r"\.jsonl, \.csv, \.parquet"):
        Store(tmp_path / "out.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_journal_that_is_damaged_is_an_error_to_mend(tmp_path: Path) -> None:
    (tmp_path / ".out.jsonl.journal").write_bytes(b"no database" * 1000)
    with pytest.raises(WhereasError, match=r"damaged.*Delete it"):
        Store(tmp_path / "out.jsonl")
