"""The hip centres of a CT, however they were found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hipoa.core.errors import CtError
from hipoa.core.tables.rows import SIDES

# Used where only a centre is known: the mean femoral head, men 49.2 and women 45.3 mm in diameter
# (project's method notes, section 4).
USUAL_RADIUS_MM = 23.6
# The right head lies at least this far to the right of the left one.
LEAST_APART_MM = 60.0


@dataclass(frozen=True)
class Hip:
    """One femoral head."""

    side: str  # "L" or "R" of the patient
    centre_ras_mm: tuple[float, float, float]
    radius_mm: float
    method: str  # "landmarks", "labels" or "locator"
    confidence: float  # 0-1; 1 for a landmark
    warnings: tuple[str, ...] = ()  # what the user should know, one sentence each, without the full stop
    # The centre of the native acetabulum, where it was marked; a head that has migrated lies elsewhere.
    socket_ras_mm: tuple[float, float, float] | None = None
    # From a landmark or label to the head that the CT shows there; None where there is no mark, or no head.
    mark_to_head_mm: float | None = None
    replaced: bool = False  # whether the locator saw the metal head of a replaced hip

    def middle_ras_mm(self, centre: str) -> tuple[float, float, float]:
        """What an image is centred on: the head, or with "native_socket" the socket where it is known."""
        return self.socket_ras_mm if centre == "native_socket" and self.socket_ras_mm else self.centre_ras_mm


@dataclass(frozen=True)
class HipCentres:
    """The hips of one CT.

    Raises:
        CtError: The left hip does not lie to the left of the right one.
    """

    hips: Mapping[str, Hip]  # by side, those found
    missing: Mapping[str, str] = field(default_factory=dict)  # by side, why the others were not
    # By side, what to do about a missing one, where it is not to mark it.
    advice: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.hips) | set(self.missing) != set(SIDES) or set(self.hips) & set(self.missing):
            raise ValueError("every side is either found or missing")
        if len(self.hips) == 2:
            left, right = (self.hips[side].centre_ras_mm[0] for side in SIDES)
            if (apart_mm := right - left) < LEAST_APART_MM:
                found = f"left and right centres lie only {apart_mm:.0f} mm apart"
                if apart_mm < 0:
                    found = f"left and right centres appear swapped ({-apart_mm:.0f} mm)"
                do = "Check the sides (the patient's) and whether the coordinates are RAS or LPS."
                raise CtError("hip centres", found, do)

    def advise(self, side: str) -> str:
        """What to do about a missing side."""
        return self.advice.get(side, "Mark it by landmarks or labels, or exclude it.")

    def describe_missing(self) -> list[str]:
        """Why sides are missing, one line each, with the advice of their own."""
        return [
            f"{side}: {reason}" + (f". {self.advice[side]}" if side in self.advice else "")
            for side, reason in self.missing.items()
        ]

    def require_one(self, where: str) -> None:
        """Stops where no hip was found.

        Raises:
            CtError: Naming the reasons.
        """
        if not self.hips:
            advice = sorted(set(self.advice.values()))
            do = " ".join(advice) or "Give a CT of the pelvis, or mark the hips by --landmarks."
            raise CtError(where, "; ".join(sorted(set(self.missing.values()))), do)
