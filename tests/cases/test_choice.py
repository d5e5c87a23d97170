"""Words of headers that say which part of the body a series shows."""

import pytest

from hipoa.cases.choice import Part, find_part


@pytest.mark.parametrize(
    ("about", "part"),
    [
        ({"body_part": "HIP"}, Part.HIPS),
        ({"body_part": "ABDOMENPELVIS"}, Part.HIPS),
        ({"body_part": "CHEST", "description": "Thorax/Abdomen/Pelvis 1.5"}, Part.HIPS),
        ({"protocol": "H\u00fcft-TEP_Planung"}, Part.HIPS),
        ({"description": "\u80a1\u95a2\u7bc0 1mm"}, Part.HIPS),
        ({"body_part": "WHOLEBODY"}, Part.HIPS),
        ({"body_part": "HEAD"}, Part.ELSEWHERE),
        ({"body_part": "LSPINE"}, Part.UNKNOWN),
        ({"body_part": "ABDOMEN"}, Part.UNKNOWN),
        ({"body_part": "", "description": "HIPPOCAMPUS"}, Part.UNKNOWN),
        ({"description": "Head 1mm"}, Part.UNKNOWN),
        ({}, Part.UNKNOWN),
    ],
)
def test_body_parts(about, part):
    assert find_part(about) == part
