"""The tasks of a network: which ordinal indices it grades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MISSING = -1
"""The class of a hip that was not graded on an index."""


@dataclass(frozen=True)
class Head:
    """One ordinal index that a network grades."""

    name: str  # of the index, and of its column in the table of hips
    first: int  # the mildest class, as the table writes it
    classes: int  # how many there are

    def target(self, row: Mapping[str, str]) -> int:
        """The class of a row of the table of hips, counted from 0; `MISSING` for an empty cell."""
        return int(row[self.name]) - self.first if row[self.name] else MISSING


GRADE, CROWE, KL = Head("grade", 1, 7), Head("crowe", 1, 4), Head("kl", 0, 5)

HEADS = {head.name: head for head in (GRADE, CROWE, KL)}

TASKS = {"combined": (GRADE,), "separate": (CROWE, KL)}
"""Task to heads: the combined class alone, or Crowe and KL side by side on one network."""
