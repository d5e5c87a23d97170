from hipoa.report.cohort import read_hips
from hipoa.report.figures.radiograph_sheets import choose_examples


def first_graded(fabricated):
    return next(hip for hip in read_hips(fabricated.hips) if hip.grade == "1" and hip.side == "L")


def test_examples_are_graded_hips_of_their_class_and_side(fabricated):
    examples = choose_examples(read_hips(fabricated.hips), 2)
    assert sorted(examples) == [(grade, side) for grade in range(1, 8) for side in "LR"]
    for (grade, side), hips in examples.items():
        assert all((hip.grade, hip.side, hip.status) == (str(grade), side, "ok") for hip in hips)
        assert 1 <= len(hips) <= 2


def test_another_patient_comes_before_a_second_ct_of_the_same(fabricated):
    hip = first_graded(fabricated)
    again = hip._replace(hip_id="a-2_L", case_id="a-2")
    other = hip._replace(hip_id="z_L", case_id="z", patient_id="Z")
    assert choose_examples([again, hip, other], 2)[1, "L"] == [again, other]


def test_a_hip_with_an_implant_comes_last(fabricated):
    hip = first_graded(fabricated)
    metal = hip._replace(hip_id="a_L", patient_id="A", implant="replacement")
    assert choose_examples([metal, hip], 1)[1, "L"] == [hip]
    assert choose_examples([metal], 1)[1, "L"] == [metal]
