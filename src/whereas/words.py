"""A second opinion on a document: its words and word pairs, without their order.

A linear model of TF-IDF n-grams. It sees of a document what the encoder's sentences do not add up
to: every word of every sentence, each counted once for the whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from whereas.errors import WhereasError

Floats = npt.NDArray[np.float32]

_WORD = re.compile(r"\b\w\w+\b")


class _Bare(dict[int, str]):
    """A code point without its accents and in its plain form, for `str.translate`.

    Composed (NFKD) code point by code point: normalising a whole text sorts runs of combining marks
    first, which takes the square of their length, only for all of them to be dropped.
    """

    def __missing__(self, code: int) -> str:
        parts = unicodedata.normalize("NFKD", chr(code))
        self[code] = "".join(c for c in parts if not unicodedata.combining(c))
        return self[code]


_BARE = _Bare()


class Words:
    """TF-IDF with linear weights: what `TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True,
    strip_accents="unicode")` of scikit-learn and a linear model on it compute, without either.

    `terms` [V] are words or pairs of words joined by a space, `idf` [V], `weight` [V, C] and `bias`
    [C] over the C columns of a taxonomy (see `whereas.calibration.columns`).
    """

    def __init__(
        self, terms: list[str], idf: Floats, weight: npt.NDArray[np.float16], bias: Floats
    ) -> None:
        self.terms, self.idf, self.weight, self.bias = terms, idf, weight, bias
        self._place = {term: row for row, term in enumerate(terms)}

    @classmethod
    def load(cls, path: Path) -> Words:
        """Raises `WhereasError` when the file is not one that `save` has written."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            found = load_file(path)
            terms = found["terms"].tobytes().decode("utf-8").split("\n")
            words = cls(terms, found["idf"], found["weight"], found["bias"])
        except (SafetensorError, KeyError, UnicodeDecodeError) as error:
            raise WhereasError(f"{path} is damaged: {error}", "Install the model again") from error
        sizes = words.idf.shape, words.weight.shape
        if sizes != ((len(terms),), (len(terms), len(words.bias))):
            raise WhereasError(
                f"{path} is damaged: {len(terms)} terms, but idf and weight of {sizes}",
                "Install the model again",
            )
        return words

    def save(self, path: Path) -> None:
        """Writes a safetensors file: `terms` as the bytes of their UTF-8 joined by newlines, the
        weights in half precision (their rounding moves no logit by .01)."""
        from safetensors.numpy import save_file

        joined = np.frombuffer("\n".join(self.terms).encode("utf-8"), np.uint8)
        tensors: dict[str, npt.NDArray[Any]] = {
            "terms": joined,
            "idf": self.idf,
            "weight": self.weight,
            "bias": self.bias,
        }
        save_file(tensors, path)

    def logits(self, title: str, text: str) -> Floats:
        """Logits [C] of a document; `bias` where it has none of the terms.

        Takes time in proportion to its length: 1 + ln(count) times idf of each term, divided by
        their Euclidean norm, times the term's weights.
        """
        words = _WORD.findall(_plain(f"{title}\n{text}"))
        terms = chain(words, map(" ".join, pairwise(words)))
        counts = Counter(row for t in terms if (row := self._place.get(t)) is not None)
        if not counts:
            return self.bias
        rows = np.fromiter(counts, np.int64)
        values = (1 + np.log(np.fromiter(counts.values(), np.float64))) * self.idf[rows]
        values /= np.linalg.norm(values)
        result: Floats = values.astype(np.float32) @ self.weight[rows].astype(np.float32)
        return result + self.bias


def _plain(text: str) -> str:
    """In lower case and without accents."""
    lower = text.lower()
    return lower if lower.isascii() else lower.translate(_BARE)
