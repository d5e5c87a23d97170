import numpy as np
import pytest
from PIL import Image

from hipoa.report.names import FIGURES


def test_all_figures_are_drawn_and_hold_something(fabricated):
    folder = fabricated.root / "figures"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FIGURES)
    for name in FIGURES:
        if name.endswith(".png"):
            assert np.asarray(Image.open(folder / name).convert("L")).std() > 20
        else:
            assert "<path" in (folder / name).read_text()


def test_the_same_tables_give_the_same_bytes(fabricated, tmp_path):
    again = fabricated.draw(tmp_path)
    for name in FIGURES:
        assert (again / name).read_bytes() == (fabricated.root / "figures" / name).read_bytes(), name


def test_a_figure_tells_no_date_and_no_program(fabricated):
    for name in FIGURES:
        content = (fabricated.root / "figures" / name).read_bytes()
        assert b"<dc:date>" not in content
        assert b"tEXt" not in content


@pytest.mark.parametrize("cohort", ["external", "pool"])
def test_a_cohort_may_be_empty(fabricated, study, cohort):
    sizes = {name: cases for name, cases in study.sizes.items() if name != cohort}
    for suffix in (".csv", ".npz"):
        (study.root / "hips" / cohort).with_suffix(suffix).unlink()
    study.sizes = sizes
    if cohort == "pool":
        triage = study.root / "triage.csv"
        triage.write_text(triage.read_text().splitlines()[0] + "\n")
    assert sorted(path.name for path in study.draw(study.root / "again").iterdir()) == sorted(FIGURES)
