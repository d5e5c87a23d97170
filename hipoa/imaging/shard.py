"""Makes the images of many CTs: read in worker processes, rendered in this one, cached for the next run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field

from hipoa.core.errors import CtError, HipoaError
from hipoa.core.files import read_npz, write_npz
from hipoa.core.fingerprints import fingerprint
from hipoa.core.settings import Settings
from hipoa.core.tables.rows import SIDES, Case, assign_cohorts, shard_of
from hipoa.core.tables.study_tables import read_tables
from hipoa.imaging.localization.scan import locate_hips
from hipoa.imaging.projection.geometry import Projection
from hipoa.imaging.projection.render import crop_together
from hipoa.imaging.projection.request import ImageSet, MakeRequest, Row, request_images
from hipoa.imaging.settings import ProjectSettings
from hipoa.imaging.worker_pool import read_ahead

Images = tuple[dict[str, Row], dict[str, Projection]]
"""By the name of an image its row, and the image where there is one."""


class ShardOptions(Settings):
    """Which cases of a table are worked through, and how."""

    shard: int = Field(0, description="number of the shard")
    shards: int = Field(1, description="number of shards; 0 takes every case of the table")
    readers: int = Field(
        1,
        description="processes that read CTs ahead of the renderer, one CT in each; 0 reads in this process, "
        "which then ends with a CT that crashes it",
    )
    read_timeout_s: float = Field(
        900, description="how long reading a CT and finding its hips may take before the CT is refused, s"
    )
    study: str = Field("", description="study under whose name finished cases are kept")


@dataclass(frozen=True)
class ImageCache:
    """Images of cases, kept by study and case: those of a case that leaves a study can be removed."""

    # By name of the image (a side, or one that both sides share) what makes its request; pickled.
    makers: Mapping[str, MakeRequest]
    settings: ProjectSettings  # the projection
    made_by: Sequence[object]  # whatever else decides about the images: settings, a hash of the code
    folder: Path  # where they are kept. What another study keeps of the same CT is read, never changed
    options: ShardOptions  # the study, and how CTs are read

    def make_images(self, cases: Sequence[Case]) -> Iterator[tuple[Case, Images]]:
        """The images of each case; what was kept is not read again, and a refusal is not kept."""
        # Before anything is read: what is read later may be another file of the same name.
        files = {case.case_id: self._name_file(case) for case in cases}
        kept = {name: path for name, file in files.items() if (path := self._find(file))}
        unread = [case for case in cases if case.case_id not in kept]
        prepared = read_ahead(
            partial(prepare, makers=self.makers, settings=self.settings),
            unread,
            partial(_give_up, names=tuple(self.makers)),
            workers=self.options.readers,
            timeout_s=self.options.read_timeout_s,
        )
        with closing(prepared):
            for case in cases:
                _drop_other_cts(files[case.case_id])
                if case.case_id in kept:
                    yield case, _restore(kept[case.case_id])
                else:
                    yield case, self._render(case, next(prepared), files[case.case_id])

    def _render(self, case: Case, prepared: ImageSet, file: Path) -> Images:
        rows, images, refused = prepared.render(self.settings)
        # Without the file's name, which may be a person's.
        rows |= {
            name: {"status": "refused", "reason": f"{error.found}. {error.do}"}
            for name, error in refused.items()
        }
        # The next version may read what this one cannot. A CT that was replaced meanwhile is not kept: it may
        # have been read under either name, and half of each.
        if not refused and self._is_unchanged(case, file):
            _keep(file, rows, images)
        return rows, images

    def _is_unchanged(self, case: Case, file: Path) -> bool:
        try:
            return file == self._name_file(case)
        except OSError:  # gone meanwhile
            return False

    def _name_file(self, case: Case) -> Path:
        # Who the patient is does not change the image.
        files = fingerprint([replace(case, patient_id="", sex="", age="", scanner="", exclude="")])
        parts = [case.exclude, self.settings.model_dump(), *self.made_by]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return self.folder / self.options.study / case.case_id / f"{files}-{key}.npz"

    def _find(self, file: Path) -> Path | None:
        if file.is_file():
            return file
        return next(self.folder.glob(f"*/{file.parent.name}/{file.name}"), None)


def prepare(case: Case, *, makers: Mapping[str, MakeRequest], settings: ProjectSettings) -> ImageSet:
    """Reads a case and crops what the renderer needs; a fault of the CT refuses its images."""
    excluded = _list_excluded(case, makers)
    wanted = {name: make for name, make in makers.items() if name not in excluded}
    if not wanted:
        return ImageSet(excluded, {}, {})
    try:
        scan = locate_hips(case.ct, case.labels, case.landmarks, settings, case.series)
    except HipoaError as error:
        return ImageSet(excluded, {}, dict.fromkeys(wanted, error))
    images = request_images(scan, wanted, settings)
    # Sent from process to process, one copy of the voxels for all images.
    return replace(images, rows={**excluded, **images.rows}, requests=crop_together(images.requests))


def select_cases(cases: Path, grades: Path | None, cohort: str, options: ShardOptions) -> list[Case]:
    """The cases of a shard of a cohort; of the whole table if ``shards`` is 0."""
    if options.shards == 0:
        return list(read_tables(cases).cases)
    tables = read_tables(cases, grades)
    of_cohort = assign_cohorts(tables.cases, tables.readings)[cohort]
    return [case for case in of_cohort if shard_of(case.case_id, options.shards) == options.shard]


def _list_excluded(case: Case, names: Iterable[str]) -> dict[str, Row]:
    row: Row = {"status": "excluded", "reason": "left out in the table of cases"}
    # What both sides share is left out only with both.
    return {name: row for name in names if set(case.exclude) >= ({name} if name in SIDES else set(SIDES))}


def _give_up(case: Case, why: str, names: Sequence[str]) -> ImageSet:
    do = "Copy or export the CT again, convert it to NIfTI, or raise data.read_timeout_s."
    excluded = _list_excluded(case, names)
    return ImageSet(excluded, {}, {name: CtError("CT", why, do) for name in names if name not in excluded})


def _drop_other_cts(file: Path) -> None:
    # Images of other settings may be used again; those of files that the case no longer names may show
    # someone else.
    files = file.name.partition("-")[0]
    for path in file.parent.glob("[0-9a-f]" * len(files) + "-*.npz"):
        if not path.name.startswith(files):
            path.unlink(missing_ok=True)


def _keep(path: Path, rows: Mapping[str, Row], images: Mapping[str, Projection]) -> None:
    arrays = {f"image {name}": image.line_integral for name, image in images.items()}
    arrays |= {f"slices {name}": image.slices for name, image in images.items() if image.slices is not None}
    scales = {name: image.mm_per_px for name, image in images.items()}
    write_npz(path, {**arrays, "about": np.array(json.dumps({"rows": dict(rows), "mm_per_px": scales}))})


def _restore(path: Path) -> Images:
    kept = read_npz(path)
    about = json.loads(str(kept["about"]))
    return about["rows"], {
        name: Projection(kept[f"image {name}"], scale, kept.get(f"slices {name}"))
        for name, scale in about["mm_per_px"].items()
    }
