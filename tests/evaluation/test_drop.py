"""How the p value of the drop between cohorts is written."""

import numpy as np
import pytest

from hipoa.core.files import read_csv
from hipoa.evaluation.comparison.compare import run
from hipoa.evaluation.settings import CompareSettings


@pytest.mark.parametrize(("external", "digits"), [(12, 3), (1, 0)])
def test_it_has_three_digits_and_one_patient_has_none(write_uncertainty, tmp_path, external, digits):
    random = np.random.default_rng([12])
    rows = [
        {"hip_id": f"{cohort}{hip}_L", "cohort": cohort, "grade": 3, "predicted": int(random.integers(1, 6))}
        for cohort, count in (("labelled", 20), ("external", external))
        for hip in range(count)
    ]
    out = tmp_path / "differences.csv"
    run(
        CompareSettings(),
        uncertainty=[write_uncertainty("vit", rows)],
        out=tmp_path / "compare.csv",
        differences=out,
    )
    drops = [
        row["p"] for row in read_csv(out) if row["question"] == "drop" and row["metric"] in ("ECA", "MAE")
    ]
    assert drops
    assert all(float(p) == float(f"{float(p):.{digits}g}") if digits else p == "" for p in drops)
