"""Joins a cohort's shards into one table and one image stack, with one grade per hip."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from hipoa.core.constants import RADIOGRAPH_PX, SHARD_COLUMNS
from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv, read_npz, write_csv, write_npz
from hipoa.core.tables.rows import Reading, hip_id
from hipoa.core.tables.study_tables import read_grades
from hipoa.grading.data.labels import grade_hip
from hipoa.grading.settings import HipsSettings

Row = dict[str, str]

LABEL_COLUMNS = ("cohort", "crowe", "kl", "grade", "off_table", "n_readings", "reader_grades")
SHOWN_REASONS = 3


def run(
    settings: HipsSettings,
    *,
    cohort: str,
    tables: list[Path],
    stacks: list[Path],
    grades: list[Path],
    out: Path,
    stack: Path,
) -> None:
    """Joins a cohort's shards and gives each hip its grade.

    Args:
        settings: The class table and the label rule.
        cohort: labelled, external or pool.
        tables: The shards' tables of radiographs.
        stacks: The shards' images, in the same order.
        grades: Tables of readings; readings of hips of other cohorts are ignored.
        out: The table to write.
        stack: The images to write, of the hips with status ok.

    Raises:
        CohortError: Too large a share of the hips was refused.
        TableError: A table of readings is at fault.
    """
    rows = sorted((row for table in tables for row in _read_shard(table, out)), key=lambda row: row["hip_id"])
    check_refused(rows, cohort, settings.max_refused_share)
    readings = [reading for path in grades for reading in read_grades(path)]
    graded = grade_hips(rows, readings, cohort, settings)
    columns = [*(rows[0] if rows else SHARD_COLUMNS), *LABEL_COLUMNS]
    wanted = [row["hip_id"] for row in rows if row["status"] == "ok"]
    shards = ((images["hip_id"].tolist(), images["radiograph"]) for images in map(read_npz, stacks))
    write_npz(stack, join_images(wanted, shards, cohort))
    write_csv(out, columns, graded)


def check_refused(rows: Sequence[Row], cohort: str, max_share: float) -> None:
    """Stops the run if too large a share of the hips was refused; excluded hips do not count.

    Raises:
        CohortError: Names the number, the share and the first reasons.
    """
    wanted = [row for row in rows if row["status"] != "excluded"]
    refused = [row for row in wanted if row["status"] == "refused"]
    if not refused or len(refused) <= max_share * len(wanted):
        return
    reasons = "; ".join(f"{row['hip_id']}: {row['reason'].rstrip('.')}" for row in refused[:SHOWN_REASONS])
    more = f"; and {len(refused) - SHOWN_REASONS} more" if len(refused) > SHOWN_REASONS else ""
    raise CohortError(
        f"cohort {cohort}",
        f"{len(refused)} of {len(wanted)} hips ({len(refused) / len(wanted):.0%}) were refused, "
        f"{max_share:.0%} are allowed ({reasons}{more})",
        "Correct these CTs, mark them in the column exclude, or raise max_refused_share.",
    )


def grade_hips(
    rows: Iterable[Row], readings: Iterable[Reading], cohort: str, settings: HipsSettings
) -> list[dict[str, object]]:
    """Adds LABEL_COLUMNS to rows of hips, None without a grade; readings are in the order of their tables."""
    of_hip: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        of_hip[hip_id(reading.case_id, reading.side)].append(reading)
    return [
        {**row, "cohort": cohort, **grade_hip(row["hip_id"], of_hip[row["hip_id"]], settings)} for row in rows
    ]


def join_images(
    wanted: Sequence[str], shards: Iterable[tuple[Sequence[str], np.ndarray]], cohort: str
) -> dict[str, np.ndarray]:
    """Stacks the images (n, 150, 150) uint8 of the wanted hips, in their order.

    Shards give ids (m,) and images (m, 150, 150), of other hips too; one is in memory at a time.

    Raises:
        CohortError: A hip has no image.
    """
    row_of = {hip: row for row, hip in enumerate(wanted)}
    joined = np.zeros((len(wanted), RADIOGRAPH_PX, RADIOGRAPH_PX), np.uint8)
    missing = np.ones(len(wanted), dtype=bool)
    for names, images in shards:
        here = [number for number, name in enumerate(names) if name in row_of]
        rows = [row_of[names[number]] for number in here]
        joined[rows], missing[rows] = images[here], False
    if missing.any():
        raise CohortError(
            f"cohort {cohort}",
            f"{missing.sum()} hips have no radiograph, the first is {wanted[int(missing.argmax())]}",
            "Run develop again for this cohort.",
        )
    return {"hip_id": np.array(wanted, dtype=np.str_), "radiograph": joined}


def _read_shard(table: Path, out: Path) -> list[Row]:
    rows = read_csv(table)
    for row in rows:
        if row.get("png"):  # relative to its table, now another one
            row["png"] = Path(os.path.relpath(table.parent / row["png"], out.parent)).as_posix()
    return rows
