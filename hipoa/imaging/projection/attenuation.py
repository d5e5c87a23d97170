"""Hounsfield units to linear attenuation, the same for every CT.

Source: J. H. Hubbell and S. M. Seltzer, NIST Standard Reference Database 126, XrayMassCoef, table 4
(tissues as in ICRU Report 44): mass attenuation coefficients in cm2/g, densities in g/cm3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

ENERGY_KEV = (40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
WATER_CM2_PER_G = (0.2683, 0.2269, 0.2059, 0.1837, 0.1707, 0.1505)
WATER_G_PER_CM3 = 1.0
CORTICAL_BONE_CM2_PER_G = (0.6655, 0.4242, 0.3148, 0.2229, 0.1855, 0.1480)
CORTICAL_BONE_G_PER_CM3 = 1.92
BONE_HU = (120.0, 220.0)
"""HU for bone alone: nothing counts up to the first, everything from the second on."""


def water_per_mm(energy_kev: float) -> float:
    """Linear attenuation of water in 1/mm at a photon energy of 40-150 keV."""
    return _per_mm(energy_kev, WATER_CM2_PER_G, WATER_G_PER_CM3)


def cortical_bone_per_mm(energy_kev: float) -> float:
    """Linear attenuation of cortical bone (ICRU-44) in 1/mm at a photon energy of 40-150 keV."""
    return _per_mm(energy_kev, CORTICAL_BONE_CM2_PER_G, CORTICAL_BONE_G_PER_CM3)


def cortical_bone_hu(ct_energy_kev: float) -> float:
    """HU that a scanner of this effective energy gives cortical bone, air taken as empty."""
    return 1000 * (cortical_bone_per_mm(ct_energy_kev) / water_per_mm(ct_energy_kev) - 1)


class Curve(NamedTuple):
    """Linear attenuation by HU: nothing up to a start, then two straight lines."""

    start_hu: float  # where it leaves 0
    per_hu: float  # what each HU adds from there on, 1/mm
    bend_hu: float  # where the second line begins
    more_per_hu: float  # what each HU adds there in addition, 1/mm


def make_curve(energy_kev: float, ct_energy_kev: float, bone_only: bool = False) -> Curve:
    """The linear attenuation of HU at a photon energy.

    Straight from air (-1000 HU, 0) to water (0 HU) and from water to cortical bone, and straight on
    beyond. At equal energies that is the definition of HU; at a lower energy of the projection bone
    weighs more, as it does in a radiograph.

    Args:
        energy_kev: The photon energy of the projection.
        ct_energy_kev: Effective energy of the scanner, at which the HU hold.
        bone_only: Nothing below 120 HU counts, and from 220 HU on everything does. Between them, above
            muscle and below most spongy bone, it rises straight, so that noise makes no holes.
    """
    water = water_per_mm(energy_kev)
    above = (cortical_bone_per_mm(energy_kev) - water) / cortical_bone_hu(ct_energy_kev)
    if not bone_only:
        return Curve(-1000, water / 1000, 0, above - water / 1000)
    start, full = BONE_HU
    slope = (water + above * full) / (full - start)
    return Curve(start, slope, full, above - slope)


def attenuate(hu: Any, curve: Curve) -> Any:
    """Linear attenuation in 1/mm of HU, voxel by voxel: float32, an array or a tensor."""
    # Python's numbers keep float32 in both.
    start, per_hu, bend, more = curve
    return per_hu * (hu - start).clip(min=0) + more * (hu - bend).clip(min=0)


def _per_mm(energy_kev: float, table: tuple[float, ...], density: float) -> float:
    # Between the table's energies mass attenuation is nearly linear on log-log axes.
    log = np.interp(np.log(energy_kev), np.log(ENERGY_KEV), np.log(table))
    return float(np.exp(log)) * density / 10
