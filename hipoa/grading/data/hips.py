"""Joins a cohort's shards into one table and one image stack, with one grade per hip."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from hipoa.core.constants import RADIOGRAPH_PX, SHARD_COLUMNS
from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv, read_npz, write_csv, write_npz
from hipoa.core.tables.rows import Reading, hip_id
from hipoa.core.tables.study_tables import read_grades
from hipoa.grading.data.labels import grade_hip
from hipoa.grading.settings import HipsSettings

Row = dict[str, object]

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
        stack: The images to write, of the hips that have a radiograph.

    Raises:
        CohortError: Too large a share of the hips of a cohort other than the pool was refused.
        TableError: A table of readings is at fault.
    """
    rows = sorted((row for table in tables for row in _read_shard(table, out)), key=lambda row: row["hip_id"])
    readings = [reading for path in grades for reading in read_grades(path)]
    graded = grade_hips(rows, readings, cohort, settings)
    if cohort != "pool":
        check_refused(graded, cohort, settings.max_refused_share)
    columns = [*(rows[0] if rows else SHARD_COLUMNS), *LABEL_COLUMNS]
    # Also of the hips that are left out for an implant: the report shows them.
    wanted = [row["hip_id"] for row in rows if row["status"] == "ok"]
    shards = ((images["hip_id"].tolist(), images["radiograph"]) for images in map(read_npz, stacks))
    write_npz(stack, join_images(wanted, shards, cohort))
    write_csv(out, columns, leave_out_implants(graded, settings))


def check_refused(rows: Iterable[Mapping[str, object]], cohort: str, max_share: float) -> None:
    """Stops the run if too large a share of the hips of a graded cohort was refused.

    Excluded hips do not count, nor does a refused hip without a grade whose CT shows another that is graded:
    no label is lost with it. So a CT that comes from the pool, of which only hips that are shown can be read,
    does not raise the share.

    Args:
        rows: Of `grade_hips`.
        cohort: Its name.
        max_share: The share (0-1) that is allowed.

    Raises:
        CohortError: Names the number, the share, the first reasons, and what to do.
    """
    rows = list(rows)
    read = {row["case_id"] for row in rows if row["status"] == "ok" and row["n_readings"]}
    refused, shown = [[row for row in rows if row["status"] == status] for status in ("refused", "ok")]
    refused = [row for row in refused if row["n_readings"] or row["case_id"] not in read]
    total = len(refused) + len(shown)
    if not refused or len(refused) <= max_share * total:
        return
    # Both hips of a CT mostly have the same reason.
    of_reason: dict[tuple[object, str], list[str]] = defaultdict(list)
    for row in refused:
        of_reason[row["case_id"], str(row["reason"]).rstrip(".")].append(str(row["hip_id"]))
    first = list(of_reason.items())[:SHOWN_REASONS]
    reasons = [f"{' and '.join(hips)}: {reason}" for (_, reason), hips in first]
    more = len(refused) - sum(len(hips) for _, hips in first)
    reasons += [f"and {more} more"] if more else []
    raise CohortError(
        f"cohort {cohort}",
        f"{len(refused)} of {total} hips ({len(refused) / total:.0%}) were refused, "
        f"{max_share:.0%} are allowed ({'; '.join(reasons)})",
        "Look at these CTs. Where one shows the hip, mark its centre by landmarks; where it does not, give a "
        "CT that does, or write L, R or both into the column exclude of the table of cases. To go on without "
        f"these hips, set hips.max_refused_share to {math.ceil(100 * len(refused) / total) / 100:g}.",
    )


def leave_out_implants(rows: Iterable[Row], settings: HipsSettings) -> Iterator[Row]:
    """The rows, those of hips with an implant that is to be left out as excluded hips."""
    for row in rows:
        if row["status"] == "ok" and row["implant"] in settings.leave_out_implants:
            yield row | {"status": "excluded", "reason": f"implant ({row['implant']})"}
        else:
            yield row


def grade_hips(
    rows: Iterable[Mapping[str, object]], readings: Iterable[Reading], cohort: str, settings: HipsSettings
) -> list[Row]:
    """Adds LABEL_COLUMNS to rows of hips, None without a grade; readings are in the order of their tables."""
    of_hip: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        of_hip[hip_id(reading.case_id, reading.side)].append(reading)
    return [
        {**row, "cohort": cohort, **grade_hip(hip, of_hip[hip], settings)}
        for row in rows
        for hip in [str(row["hip_id"])]
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


def _read_shard(table: Path, out: Path) -> list[dict[str, str]]:
    rows = read_csv(table)
    for row in rows:
        if row.get("png"):  # relative to its table, now another one
            row["png"] = Path(os.path.relpath(table.parent / row["png"], out.parent)).as_posix()
    return rows
