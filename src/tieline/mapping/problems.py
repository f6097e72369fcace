"""What is wrong with a table, where, and what was probably meant: all problems of a file, never only the first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from rapidfuzz import fuzz, process

from tieline.errors import ConfigurationError


class Mark(msgspec.Struct, frozen=True, order=True):
    """A place in a file; line and column count from 1."""

    line: int = 1
    column: int = 1


class Problem(msgspec.Struct, frozen=True, order=True):
    """One thing to put right: `mappings/x.yaml:14:22: unknown field 'Quantty'; nearest: 'Quantity'`."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ProblemsFound(ConfigurationError):
    """A table cannot be used; `problems` lists everything that must be put right."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Problems:
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Problem] = []

    def add(self, mark: Mark, message: str) -> None:
        problem = Problem(self.file, mark.line, mark.column, message)
        if problem not in self.found:
            self.found.append(problem)

    def raise_if_any(self) -> None:
        if self.found:
            raise ProblemsFound(self.found)


def nearest(word: str, known: Iterable[str], limit: int = 1) -> list[str]:
    """The known words most like `word`, best first; none when nothing is close."""
    candidates = sorted({str(k) for k in known})
    found = process.extract(word, candidates, scorer=fuzz.WRatio, processor=str.casefold, limit=limit, score_cutoff=60)
    return [match for match, _, _ in found]


def nearest_hint(word: str, known: Iterable[str]) -> str:
    """`"; nearest: 'Quantity'"`, or nothing when no known word is close."""
    found = nearest(word, known)
    return f"; nearest: '{found[0]}'" if found else ""
