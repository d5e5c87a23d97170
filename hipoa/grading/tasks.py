"""What a network can be asked to grade: a new task is one entry here and in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A classification of hips.

    Attributes:
        column: Of the table of hips; its classes are counted from 1.
        classes: How many there are.
    """

    column: str
    classes: int

    def target(self, row: Mapping[str, str]) -> int:
        """The class of a row of the table of hips, counted from 0."""
        return int(row[self.column]) - 1


TASKS = {"combined": Task("grade", 7)}
