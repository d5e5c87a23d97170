"""Hounsfield units to linear attenuation, the same for every CT.

Source: J. H. Hubbell and S. M. Seltzer, NIST Standard Reference Database 126, XrayMassCoef, table 4
(tissues as in ICRU Report 44): mass attenuation coefficients in cm2/g, densities in g/cm3.
"""

from __future__ import annotations

import numpy as np

ENERGY_KEV = (40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
WATER_CM2_PER_G = (0.2683, 0.2269, 0.2059, 0.1837, 0.1707, 0.1505)
WATER_G_PER_CM3 = 1.0
CORTICAL_BONE_CM2_PER_G = (0.6655, 0.4242, 0.3148, 0.2229, 0.1855, 0.1480)
CORTICAL_BONE_G_PER_CM3 = 1.92


def water_per_mm(energy_kev: float) -> float:
    """Linear attenuation of water in 1/mm at a photon energy of 40-150 keV."""
    return _per_mm(energy_kev, WATER_CM2_PER_G, WATER_G_PER_CM3)


def cortical_bone_per_mm(energy_kev: float) -> float:
    """Linear attenuation of cortical bone (ICRU-44) in 1/mm at a photon energy of 40-150 keV."""
    return _per_mm(energy_kev, CORTICAL_BONE_CM2_PER_G, CORTICAL_BONE_G_PER_CM3)


def cortical_bone_hu(ct_energy_kev: float) -> float:
    """HU that a scanner of this effective energy gives cortical bone, air taken as empty."""
    return 1000 * (cortical_bone_per_mm(ct_energy_kev) / water_per_mm(ct_energy_kev) - 1)


def per_hu(energy_kev: float, ct_energy_kev: float) -> tuple[float, float]:
    """What a HU adds to the linear attenuation from air (-1000 HU) to water, and above water; 1/mm.

    Args:
        energy_kev: Of the projection.
        ct_energy_kev: Effective energy of the scanner, at which the HU hold.
    """
    water = water_per_mm(energy_kev)
    return water / 1000, (cortical_bone_per_mm(energy_kev) - water) / cortical_bone_hu(ct_energy_kev)


def attenuate(hu: np.ndarray, energy_kev: float, ct_energy_kev: float) -> np.ndarray:
    """Linear attenuation in 1/mm (float32) of HU (any shape), voxel by voxel.

    Straight from air (-1000 HU, 0) to water (0 HU) and from water to cortical bone, and straight on
    beyond. At equal energies that is the definition of HU; at a lower energy of the projection bone
    weighs more, as it does in a radiograph. Air and below is exactly 0.

    Args:
        hu: Hounsfield units.
        energy_kev: Of the projection.
        ct_energy_kev: Effective energy of the scanner, at which the HU hold.
    """
    below, above = map(np.float32, per_hu(energy_kev, ct_energy_kev))
    x = np.asarray(hu, np.float32)
    return below * np.maximum(x + 1000, 0) + (above - below) * np.maximum(x, 0)


def _per_mm(energy_kev: float, table: tuple[float, ...], density: float) -> float:
    # Between the table's energies mass attenuation is nearly straight on log-log paper.
    log = np.interp(np.log(energy_kev), np.log(ENERGY_KEV), np.log(table))
    return float(np.exp(log)) * density / 10
