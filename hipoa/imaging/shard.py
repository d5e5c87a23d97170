"""Works through many CTs: read in processes of their own, rendered in this one, kept for the next run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from hipoa.core.errors import HipoaError
from hipoa.core.files import read_npz, write_npz
from hipoa.core.fingerprints import fingerprint
from hipoa.core.tables.rows import SIDES, Case, assign_cohorts, shard_of
from hipoa.core.tables.study_tables import read_tables
from hipoa.imaging.localization.scan import Scan, examine
from hipoa.imaging.projection.geometry import Projection
from hipoa.imaging.projection.render import choose_renderer
from hipoa.imaging.projection.request import Exposure, Row, cut_together
from hipoa.imaging.settings import ProjectSettings
from hipoa.imaging.worker_pool import read_ahead

Aim = Callable[[Scan, str, ProjectSettings], tuple[Row, Exposure]]
Worked = tuple[Case, dict[str, Row], dict[str, Projection]]
"""A case, and by the name of an image what is known of it, and the image where there is one."""


@dataclass(frozen=True)
class Prepared:
    """A case that has been read.

    Attributes:
        rows: By the name of an image, what is known of it.
        exposures: By name, the images to be rendered; of the others the row says why not.
    """

    rows: dict[str, Row]
    exposures: dict[str, Exposure]


@dataclass(frozen=True)
class Work:
    """How cases are worked through.

    Attributes:
        aims: The names of the images (a side, or one that both sides share) and what makes each; functions
            of modules, which are pickled.
        settings: The projection.
        made_by: Whatever else decides about the images: settings, a hash of the code.
        cache: A folder in which finished cases are kept, by study and case: who leaves a study's table can
            be taken out.
        readers: Processes that read, a count; 0 reads within this one, unguarded.
        timeout_s: How long reading a CT may take.
        study: Whose cases they are. What another study keeps of the same CT is read, never changed.
    """

    aims: Mapping[str, Aim]
    settings: ProjectSettings
    made_by: Sequence[object]
    cache: Path
    readers: int
    timeout_s: float
    study: str = ""

    def through(self, cases: Sequence[Case]) -> Iterator[Worked]:
        """Each case in its turn; what was kept is not read again, and a refusal is not kept."""
        # Taken before anything is read: what is read later may be another file of the same name.
        places = {case.case_id: self._place(case) for case in cases}
        kept = {name: path for name, place in places.items() if (path := self._find(place))}
        todo = [case for case in cases if case.case_id not in kept]
        read = partial(prepare, aims=self.aims, settings=self.settings)
        give_up = partial(_give_up, names=tuple(self.aims))
        options = {"readers": self.readers, "timeout_s": self.timeout_s}
        with closing(read_ahead(read, todo, give_up, **options)) as prepared:
            for case in cases:
                _drop_other_cts(places[case.case_id])
                if case.case_id in kept:
                    yield case, *_restore(kept[case.case_id])
                else:
                    yield case, *self._finish(case, next(prepared), places[case.case_id])

    def _finish(
        self, case: Case, prepared: Prepared, place: Path
    ) -> tuple[dict[str, Row], dict[str, Projection]]:
        rows, images = dict(prepared.rows), {}
        for name, exposure in prepared.exposures.items():
            try:
                images[name] = exposure.expose(self.settings)
                rows[name] = rows[name] | {"renderer": choose_renderer(self.settings.renderer)}
            except HipoaError as error:
                rows[name] = refuse(error)
        # The next version may read what this one cannot. A CT that was replaced meanwhile is not kept: it may
        # have been read under either name, and half of each.
        if not any(row["status"] == "refused" for row in rows.values()) and self._is_still(case, place):
            _keep(place, rows, images)
        return rows, images

    def _is_still(self, case: Case, place: Path) -> bool:
        try:
            return place == self._place(case)
        except OSError:  # gone meanwhile
            return False

    def _place(self, case: Case) -> Path:
        # Who the patient is does not change the image.
        files = fingerprint([replace(case, patient_id="", sex="", age="", scanner="", exclude="")])
        parts = [case.exclude, self.settings.model_dump(), *self.made_by]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return self.cache / self.study / case.case_id / f"{files}-{key}.npz"

    def _find(self, place: Path) -> Path | None:
        if place.is_file():
            return place
        return next(self.cache.glob(f"*/{place.parent.name}/{place.name}"), None)


def prepare(case: Case, *, aims: Mapping[str, Aim], settings: ProjectSettings) -> Prepared:
    """Reads a case and cuts out what the renderer needs; a fault of the CT becomes the reason of its rows."""
    rows: dict[str, Row] = {name: _exclude() for name in aims if _is_excluded(name, case)}
    exposures: dict[str, Exposure] = {}
    wanted = {name: one for name, one in aims.items() if name not in rows}
    if not wanted:
        return Prepared(rows, {})
    try:
        scan = examine(case.ct, case.labels, case.landmarks, settings, case.series)
    except HipoaError as error:
        return Prepared(rows | {name: refuse(error) for name in wanted}, {})
    for name, one in wanted.items():
        try:
            rows[name], exposures[name] = one(scan, name, settings)
        except HipoaError as error:
            rows[name] = refuse(error)
    # Sent from process to process, one copy of the voxels for all images.
    return Prepared(rows, cut_together(exposures))


def refuse(error: HipoaError) -> Row:
    """The row of what cannot be had, without the file's name, which may be a person's."""
    return {"status": "refused", "reason": f"{error.found}. {error.do}"}


def select_cases(cases: Path, grades: Path | None, cohort: str, shard: int, shards: int) -> list[Case]:
    """The cases of a shard of a cohort; of the whole table if ``shards`` is 0."""
    if shards == 0:
        return list(read_tables(cases).cases)
    tables = read_tables(cases, grades)
    of_cohort = assign_cohorts(tables.cases, tables.readings)[cohort]
    return [case for case in of_cohort if shard_of(case.case_id, shards) == shard]


def _is_excluded(name: str, case: Case) -> bool:
    return name in case.exclude if name in SIDES else set(SIDES) <= set(case.exclude)


def _exclude() -> Row:
    return {"status": "excluded", "reason": "left out in the table of cases"}


def _give_up(case: Case, why: str, names: Sequence[str]) -> Prepared:
    do = "Copy or export the CT again, convert it to NIfTI, or raise data.read_timeout_s."
    reason: Row = {"status": "refused", "reason": f"{why}. {do}"}
    return Prepared({name: _exclude() if _is_excluded(name, case) else reason for name in names}, {})


def _drop_other_cts(place: Path) -> None:
    # Of other settings it may serve again; of files that the case no longer names it may show someone else.
    files = place.name.partition("-")[0]
    for path in place.parent.glob("[0-9a-f]" * len(files) + "-*.npz"):
        if not path.name.startswith(files):
            path.unlink(missing_ok=True)


def _keep(path: Path, rows: Mapping[str, Row], images: Mapping[str, Projection]) -> None:
    arrays = {f"image {name}": image.line_integral for name, image in images.items()}
    scales = {name: image.mm_per_px for name, image in images.items()}
    write_npz(path, {**arrays, "about": np.array(json.dumps({"rows": dict(rows), "mm_per_px": scales}))})


def _restore(path: Path) -> tuple[dict[str, Row], dict[str, Projection]]:
    kept = read_npz(path)
    about = json.loads(str(kept["about"]))
    scales = about["mm_per_px"].items()
    return about["rows"], {name: Projection(kept[f"image {name}"], scale) for name, scale in scales}
