"""A folder of DICOM slices to two radiographs, beside the same CT as NIfTI and beside other readers of it.

The series of 400 slices lies among two scouts and a second series of 200; a long one has 1000 slices of the
same step. Each run is a process of its own, all in turn.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import numpy as np

from benchmarks.case import BuiltCase
from benchmarks.series import write_series

# Slices, not imports, are what is compared.
OURS = """
import sys, time
from hipoa.cli import main
import hipoa.imaging.drr, hipoa.imaging.projection.joseph, hipoa.imaging.ct.dicom.series
started = time.perf_counter()
assert main(sys.argv[1:]) == 0
"""
COMMAND = """
import sys, time
started = time.perf_counter()
from hipoa.cli import main
assert main(sys.argv[1:]) == 0
"""
SIMPLEITK = """
import sys, time
import SimpleITK as sitk
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
started = time.perf_counter()
reader = sitk.ImageSeriesReader()
series = reader.GetGDCMSeriesIDs(sys.argv[1])
files = max((reader.GetGDCMSeriesFileNames(sys.argv[1], one) for one in series), key=len)
reader.SetFileNames(files)
sitk.GetArrayFromImage(reader.Execute())
"""
PYDICOM = """
import sys, time
from pathlib import Path
import numpy as np
import pydicom, pydicom.pixels
started = time.perf_counter()
series = {}
for file in Path(sys.argv[1]).iterdir():
    image = pydicom.dcmread(file)
    series.setdefault(image.SeriesInstanceUID, []).append(image)
longest = sorted(max(series.values(), key=len), key=lambda image: image.ImagePositionPatient[2])
np.stack([pydicom.pixels.apply_rescale(image.pixel_array, image).astype(np.int16) for image in longest])
"""
DICOM2NIFTI = """
import sys, time
import dicom2nifti.common, dicom2nifti.convert_dicom
started = time.perf_counter()
from pathlib import Path
files = [str(file) for file in Path(sys.argv[1]).iterdir() if file.name.startswith("3-")]
images = [dicom2nifti.common.pydicom.dcmread(file) for file in files]
dicom2nifti.convert_dicom.dicom_array_to_nifti(images, None, reorient_nifti=False)
"""


def time_dicom(
    case: BuiltCase, folder: Path, repeats: int, run: Callable[..., tuple[float, float]]
) -> dict[str, object]:
    """Seconds, ratios and peak memory, medians over the rounds.

    Args:
        case: The CT.
        folder: Where the slices lie, or are written.
        repeats: Rounds.
        run: Seconds and peak MB of a piece of Python with its arguments.
    """
    slices, packed = write_series(folder, case)
    more, more_packed = write_series(folder, case, long=True)
    with tempfile.TemporaryDirectory() as out:
        drr = {
            name: ["drr", str(ct), "--out", out]
            for name, ct in (
                ("nifti", packed),
                ("dicom", slices),
                ("nifti_1000", more_packed),
                ("dicom_1000", more),
            )
        }
        ways = {name: (OURS, arguments) for name, arguments in drr.items()}
        ways |= {f"{name}_command": (COMMAND, arguments) for name, arguments in drr.items()}
        marked = [*drr["dicom_1000"], "--landmarks", str(case.landmarks)]
        ways["dicom_1000_landmarks"] = OURS, marked
        ways |= {"simpleitk": (SIMPLEITK, [str(slices)]), "pydicom": (PYDICOM, [str(slices)])}
        if any(distributions(name="dicom2nifti")):
            ways["dicom2nifti"] = DICOM2NIFTI, [str(slices)]
        rounds = [{name: run(code, *given) for name, (code, given) in ways.items()} for _ in range(repeats)]
    seconds, peaks_mb = (
        {name: float(np.median([each[name][which] for each in rounds])) for name in ways} for which in (0, 1)
    )
    return {
        "dicom_ratio_vs_nifti": seconds["dicom"] / seconds["nifti"],
        "dicom_command_ratio_vs_nifti": seconds["dicom_command"] / seconds["nifti_command"],
        "dicom_1000_ratio_vs_400": seconds["dicom_1000"] / seconds["dicom"],
        "dicom_1000_command_ratio_vs_400": seconds["dicom_1000_command"] / seconds["dicom_command"],
        "dicom_ratio_vs_simpleitk": seconds["simpleitk"] / seconds["dicom"],
        "dicom_ratio_vs_pydicom": seconds["pydicom"] / seconds["dicom"],
        "dicom_peak_mb_vs_nifti": peaks_mb["dicom_command"] / peaks_mb["nifti_command"],
        "dicom_1000_peak_mb_vs_nifti": peaks_mb["dicom_1000_command"] / peaks_mb["nifti_1000_command"],
        "dicom_seconds": seconds,
        "dicom_peaks_mb": peaks_mb,
    }
