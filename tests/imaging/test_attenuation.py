import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipoa.imaging.projection.attenuation import (
    BONE_HU,
    attenuate,
    cortical_bone_hu,
    cortical_bone_per_mm,
    make_curve,
    water_per_mm,
)

ENERGIES = st.floats(40, 150)


@pytest.mark.parametrize(
    ("energy_kev", "water", "bone"),
    [(40, 0.02683, 0.127776), (60, 0.02059, 0.0604416), (100, 0.01707, 0.035616)],
)
def test_water_and_cortical_bone_are_those_of_nist(energy_kev, water, bone):
    """NIST XrayMassCoef, table 4: 0.2683, 0.2059, 0.1707 and 0.6655, 0.3148, 0.1855 cm2/g."""
    assert water_per_mm(energy_kev) == pytest.approx(water)
    assert cortical_bone_per_mm(energy_kev) == pytest.approx(bone)


@given(ENERGIES, ENERGIES)
def test_air_water_and_bone_are_met_exactly(energy_kev, ct_energy_kev):
    hu = np.array([-1000, 0, cortical_bone_hu(ct_energy_kev)])
    air, water, bone = attenuate(hu, make_curve(energy_kev, ct_energy_kev))
    assert air == pytest.approx(0, abs=1e-8)
    assert water == pytest.approx(water_per_mm(energy_kev), rel=1e-5)
    assert bone == pytest.approx(cortical_bone_per_mm(energy_kev), rel=1e-5)


@given(ENERGIES)
def test_at_the_scanner_s_energy_it_is_the_definition_of_hu(energy_kev):
    hu = np.arange(-1000, 3001, 250)
    expected = water_per_mm(energy_kev) * (1 + hu / 1000)
    assert attenuate(hu, make_curve(energy_kev, energy_kev)) == pytest.approx(expected, rel=1e-5, abs=1e-8)


@given(ENERGIES, ENERGIES)
def test_it_rises_with_hu_and_is_never_negative(energy_kev, ct_energy_kev):
    values = attenuate(np.arange(-1024, 4000, 7, dtype=np.int16), make_curve(energy_kev, ct_energy_kev))
    assert (np.diff(values) >= 0).all()
    assert values.min() == 0


@given(ENERGIES, ENERGIES)
def test_of_bone_alone_soft_tissue_is_nothing_and_bone_what_it_was(energy_kev, ct_energy_kev):
    hu = np.arange(-1024, 4000, 7, dtype=np.int16)
    whole, bone = (attenuate(hu, make_curve(energy_kev, ct_energy_kev, alone)) for alone in (False, True))
    assert not bone[hu <= BONE_HU[0]].any()
    assert bone[hu >= BONE_HU[1]] == pytest.approx(whole[hu >= BONE_HU[1]], rel=1e-5)
    assert (np.diff(bone) >= -1e-7).all()
