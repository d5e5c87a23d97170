"""The label volumes that the locator's networks are trained on, by number.

Every volume has voxels of 2 mm along R, A, S. Of ten, four show real bones, one bones of the shape model, two
built-in patients, three no hip.
"""

from __future__ import annotations

import numpy as np
from canvas import Anatomy
from with_hips import draw_model, draw_patient, draw_real
from without_hips import draw_belly, draw_chest, draw_clutter, draw_head, draw_knee, draw_shoulder

_WITHOUT = (draw_shoulder, draw_chest, draw_belly, draw_head, draw_knee, draw_clutter, draw_shoulder)


def draw(number: int, kept: bool = False) -> Anatomy:
    """The label volume of this number; of the kept ones, other bones that train nothing."""
    rng = np.random.default_rng([20261130, int(kept), number])
    place = number % 10
    if place < 4:
        return draw_real(rng, kept)
    if place == 4:
        return draw_model(rng)
    if place < 7:
        return draw_patient(rng)
    return _WITHOUT[(number // 10 * 3 + place - 7) % len(_WITHOUT)](rng)
