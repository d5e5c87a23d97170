"""How fast and how exact the projection is beside its peers; see README.md in this folder.

python benchmarks/projection.py [--json FILE] [--quick] [--repeats N] [--folder DIR] [--gpu]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

# One thread, before anything counts the processors.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"
if "--gpu" not in sys.argv:
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# Not this folder, whose files would stand before packages of the same name.
sys.path[0] = str(Path(__file__).parents[1])

import numpy as np
import torch
from scipy import ndimage

from benchmarks.case import BuiltCase, make_case
from benchmarks.dicom import COMMAND, time_dicom
from benchmarks.peers import Renderer, make_gpu_renderers, make_renderers
from benchmarks.stopwatch import describe_machine
from hipoa.imaging.ct.body import find_body
from hipoa.imaging.ct.formats import read_volume
from hipoa.imaging.projection.attenuation import Curve, attenuate, make_curve
from hipoa.imaging.projection.geometry import XrayGeometry
from hipoa.imaging.projection.render import ProjectionRequest, crop_together

OURS, DEFAULT = "hipoa joseph_cpu, crop", "DiffDRR siddon, whole CT (its default)"
BEST = ("DiffDRR siddon, crop, patches", "DiffDRR trilinear, crop, patches")
RTK, NANODRR = "ITK-RTK Joseph, crop", "nanodrr, crop"
# An AP beam at 1020 mm, 150 x 150 pixels of 1 mm on the detector.
GEOMETRY = XrayGeometry(1020, 850, 125, 150)
_STEP_MM = 0.15
# What the tutorial of DiffDRR does, the hips in the middle; imports are not timed.
_TUTORIAL = """
import sys, time
import torch
from diffdrr.data import read
from diffdrr.drr import DRR
torch.set_num_threads(1)
path, n, *places = sys.argv[1:]
started = time.perf_counter()
subject = read(path, orientation="AP")
drr = DRR(subject, sdd=1020, height=int(n), delx=150 / int(n))
for place in places:
    r, a, s = map(float, place.split(","))
    with torch.inference_mode():
        place = torch.tensor([[r, 850 + a, s]])
        drr(torch.zeros(1, 3), place, parameterization="euler_angles", convention="ZXY")
"""
_OURS = """
import sys, time
from hipoa.cli import main
import hipoa.imaging.drr, hipoa.imaging.projection.joseph
started = time.perf_counter()
assert main(sys.argv[1:]) == 0
"""
# A process's own peak: getrusage would count the memory of the one that started it.
_SAY = """
peak_kb = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(time.perf_counter() - started, peak_kb)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="The projection beside its peers, one thread.")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    parser.add_argument(
        "--quick", action="store_true", help="a sixteenth of the pixels, a 64th of the voxels"
    )
    parser.add_argument("--repeats", type=int, default=7, help="rounds of all renderers; medians are given")
    parser.add_argument("--folder", type=Path, help="where the case is kept for the next time")
    parser.add_argument("--gpu", action="store_true", help="rendering alone, on the first GPU")
    given = parser.parse_args()
    if given.gpu and not torch.cuda.is_available():
        parser.error("--gpu: torch finds no GPU")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        case = make_case(folder, given.quick)
        geometry = XrayGeometry(1020, 850, 125, 36) if given.quick else GEOMETRY
        make = make_gpu_renderers if given.gpu else make_renderers
        milliseconds, errors = compare_renderers(case, geometry, given.repeats, make)
        if given.gpu:
            figures: dict[str, object] = {"milliseconds": milliseconds, "errors_vs_trilinear": errors}
            figures |= describe_machine()
        else:
            figures = summarise(milliseconds, errors) | run_whole(case, geometry.detector_px, given.repeats)
            figures |= time_dicom(case, folder, given.repeats, run)
    print_table(milliseconds, errors, figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def compare_renderers(
    case: BuiltCase,
    geometry: XrayGeometry,
    repeats: int,
    make: Callable[[ProjectionRequest, Curve], dict[str, Renderer]],
) -> tuple[dict[str, float], dict[str, float]]:
    """By renderer the median milliseconds for the right hip, and the error against the reference."""
    volume = read_volume(case.plain)
    placed = replace(geometry, centre_ras_mm=case.centres_ras_mm["R"])
    request = ProjectionRequest(volume, find_body(volume), placed)
    curve = make_curve(50, 70)
    reference = integrate_finely(crop_together({"": request})[""], curve)
    renderers = make(request, curve)
    errors = {name: measure_error(render(), reference) for name, render in renderers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in renderers}
    for _ in range(repeats):
        # Interleaved, so that what else the machine does falls on all of them. The first image in its turn
        # finds its memory out of the caches, and in a virtual machine even unmapped: it is not timed.
        for name, render in renderers.items():
            render()
            started = time.perf_counter()
            render()
            seconds[name].append(time.perf_counter() - started)
    return {name: 1000 * float(np.median(times)) for name, times in seconds.items()}, errors


def integrate_finely(request: ProjectionRequest, curve: Curve) -> np.ndarray:
    """The reference: attenuation interpolated between voxel centres, in float64, every 0.15 mm of depth."""
    hu = np.where(request.body.mark(), request.volume.hu, np.float32(-1000))
    density = attenuate(hu, curve).astype(np.float64)
    source, target = request.geometry.rays_ijk(request.volume.ras_from_ijk)
    length_mm = np.linalg.norm(np.subtract(*request.geometry.rays_ras_mm()), axis=-1)
    along = np.sort((np.array([-1, density.shape[1]]) - source[0, 0, 1]) / (target - source)[0, 0, 1])
    n = int(np.ceil(np.ptp(along) * request.geometry.source_to_detector_mm / _STEP_MM))
    alpha = along[0] + np.ptp(along) * (np.arange(n) + 0.5)[:, None] / n
    image = np.empty(source.shape[:2])
    for v, (starts, ways) in enumerate(zip(source, target - source, strict=True)):
        places = np.moveaxis(starts[:, None] + alpha * ways[:, None], -1, 0)
        image[v] = ndimage.map_coordinates(density, places, order=1, mode="grid-constant").sum(-1)
    return image * length_mm * np.ptp(along) / n


def measure_error(image: np.ndarray, reference: np.ndarray) -> float:
    """Root mean square difference over the reference's mean."""
    return float(np.sqrt(((image - reference) ** 2).mean()) / reference.mean())


def summarise(milliseconds: dict[str, float], errors: dict[str, float]) -> dict[str, object]:
    best = min(milliseconds[name] for name in BEST)
    return {
        "render_ratio_vs_diffdrr": milliseconds[DEFAULT] / milliseconds[OURS],
        "render_whole_ratio_vs_diffdrr": milliseconds[DEFAULT]
        / milliseconds[OURS.replace("crop", "whole CT")],
        "render_ratio_vs_diffdrr_best": best / milliseconds[OURS],
        "render_ratio_vs_rtk": milliseconds[RTK] / milliseconds[OURS] if RTK in milliseconds else None,
        "render_ratio_vs_nanodrr": milliseconds[NANODRR] / milliseconds[OURS]
        if NANODRR in milliseconds
        else None,
        "relative_error_vs_trilinear": errors[OURS],
        "milliseconds": milliseconds,
        "errors_vs_trilinear": errors,
    }


def run_whole(case: BuiltCase, detector_px: int, repeats: int) -> dict[str, object]:
    """From a CT file to two radiographs, each in a process of its own; imports apart but for the command.

    As delivered, hipoa renders 300 x 300 pixels and shrinks them; with as many pixels as DiffDRR it has names
    of its own.
    """
    volume = read_volume(case.packed)
    middle = volume.corners_ras_mm.mean(0)
    places = [",".join(map(str, centre - middle)) for centre in case.centres_ras_mm.values()]
    del volume
    detector = f"--detector-px {detector_px} --source-to-hip-mm {GEOMETRY.source_to_hip_mm}".split()
    detector += ["--source-to-detector-mm", str(GEOMETRY.source_to_detector_mm)]
    tutorials = [run(_TUTORIAL, str(case.packed), str(detector_px), *places)]
    with tempfile.TemporaryDirectory() as folder:
        located = ["drr", str(case.packed), "--out", folder]
        mapped = ["drr", str(case.plain), "--out", folder, "--landmarks", str(case.landmarks)]
        ways = [located, mapped, [*located, *detector], [*mapped, *detector]]
        # The first one may have to compile the kernels.
        time_command(mapped)
        runs = [[run(_OURS, *arguments)[0] for arguments in ways] for _ in range(repeats)]
        commands = [time_command(mapped) for _ in range(repeats)]
        tutorials.append(run(_TUTORIAL, str(case.packed), str(detector_px), *places))
        # Of the whole command, imported as it goes.
        peaks_mb = [run(COMMAND, *arguments)[1] for arguments in (located, mapped)]
    seconds = np.median(np.array(runs), axis=0).tolist()
    tutorial = sum(spent for spent, _ in tutorials) / len(tutorials)
    return {
        "end_to_end_ratio_vs_diffdrr": tutorial / seconds[0],
        "end_to_end_mapped_ratio_vs_diffdrr": tutorial / seconds[1],
        "end_to_end_same_pixels_ratio_vs_diffdrr": tutorial / seconds[2],
        "end_to_end_mapped_same_pixels_ratio_vs_diffdrr": tutorial / seconds[3],
        "end_to_end_seconds": seconds[0],
        "end_to_end_mapped_seconds": seconds[1],
        "diffdrr_seconds": tutorial,
        "command_seconds": float(np.median(commands)),
        "peak_rss_mb": peaks_mb[0],
        "peak_rss_mapped_mb": peaks_mb[1],
        "diffdrr_peak_rss_mb": max(peak_mb for _, peak_mb in tutorials),
    }


def run(code: str, *arguments: str) -> tuple[float, float]:
    """Seconds without imports, and the peak memory in MB, of a piece of Python in a process of its own."""
    command = [sys.executable, "-c", code + _SAY, *arguments]
    out = subprocess.run(command, env=_environment(), stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, peak_kb = map(float, out.split()[-2:])
    return seconds, peak_kb * 1024 / 1e6


def time_command(arguments: list[str]) -> float:
    """Seconds from a cold start, imports included."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "hipoa", *arguments], env=_environment(), check=True)
    return time.perf_counter() - started


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")])}


def print_table(milliseconds: dict[str, float], errors: dict[str, float], figures: dict[str, object]) -> None:
    print(
        f"| renderer, one hip of {GEOMETRY.detector_px} x {GEOMETRY.detector_px} | ms | x DiffDRR | error |"
    )
    print("|---|---|---|---|")
    for name, value in sorted(milliseconds.items(), key=lambda item: item[1]):
        print(f"| {name} | {value:.1f} | {milliseconds[DEFAULT] / value:.1f} | {errors[name]:.1e} |")
    print()
    for name, value in figures.items():
        if not isinstance(value, dict):
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print(f"{name}: {'not installed' if value is None else shown}")


if __name__ == "__main__":
    main()
