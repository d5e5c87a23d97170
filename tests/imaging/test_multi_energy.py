"""What was computed from several energies is named by its header, and its description is never told."""

import struct

import numpy as np
import pytest

from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom.multi_energy import Kind, name_kind
from hipoa.imaging.ct.formats import read_volume

SECRET = "Doe Jane"
PLAIN = "ORIGINAL\\PRIMARY\\AXIAL"


def tags(said="", kind=PLAIN, units="", comment=""):
    return {"SeriesDescription": said, "ImageType": kind, "RescaleType": units, "ImageComments": comment}


KINDS = {
    "electron density by its unit": (tags(units="EDW"), "electron density"),
    "atomic number by its unit": (tags(units="Z_EFF"), "effective atomic number"),
    "concentration by its unit": (tags(units="MGML"), "the concentration of a material"),
    "modified HU": (tags(units="HU_MOD"), "modified HU"),
    "a removed material": (tags(kind=f"{PLAIN}\\MAT_REMOVED"), "modified HU"),
    "atomic number by the type": (tags(kind=f"{PLAIN}\\EFF_ATOMIC_NUM"), "effective atomic number"),
    "material density of GE": (tags(kind=f"{PLAIN}\\GSI MD"), "the concentration of a material"),
    "a material pair of GE": (tags("2.5mm IODINE(WATER)"), "the concentration of a material"),
    "iodine of Philips": (tags("Iodine no Water[mg/ml]"), "the concentration of a material"),
    "atomic number of Philips": (tags("Z Effective"), "effective atomic number"),
    "electron density of Philips": (tags("Electron Density[%EDW]"), "electron density"),
    "calcium of Philips": (tags("Calcium Suppression 25 Index[HU*]"), "CT without its calcium"),
    "Rho/Z of Siemens": (tags("Rho/Z"), "effective atomic number"),
    "40 keV of Philips": (tags("MonoE 40keV[HU]"), "monoenergetic, 40 keV"),
    "40 keV of Siemens": (tags("Monoenergetic Plus 40 keV"), "monoenergetic, 40 keV"),
    "40 keV in a comment": (tags(comment="Becken_40_keV"), "monoenergetic, 40 keV"),
    "190 keV": (tags("VMI 190 keV", units="HU"), "monoenergetic, 190 keV"),
    "40 keV of Siemens by the type": (tags(kind=f"{PLAIN}\\DE_MONO 40"), "monoenergetic, 40 keV"),
    "40 keV by the type alone": (tags(kind=f"{PLAIN}\\40KEV"), "monoenergetic, 40 keV"),
    "40 keV of GE": (tags("GSI 40"), "monoenergetic, 40 keV"),
    "40 keV without its unit": (tags("MONO 40"), "monoenergetic, 40 keV"),
    "120 keV without its unit": (tags("MONO_120"), "monoenergetic, 120 keV"),
    "120 keV of mono": (tags("mono 1.0 120 keV"), "monoenergetic, 120 keV"),
    "the unit before the number": (tags("Becken keV 40"), "monoenergetic, 40 keV"),
    "40 keV in Japanese": (tags("仮想単色X線 40"), "monoenergetic, 40 keV"),
    "40 keV in full width": (
        tags("仮想単色X線\u3000\uff14\uff10\uff4b\uff45\uff36"),
        "monoenergetic, 40 keV",
    ),
    "40 keV in Japanese of DICOM": (
        tags("仮想単色X線 40".encode("iso2022_jp").decode("ascii")),
        "monoenergetic, 40 keV",
    ),
    "iodine in German": (tags("Jodkarte 1.5"), "the concentration of a material"),
    "iodine in Japanese": (tags("ヨード密度"), "the concentration of a material"),
    "iodine by the type": (tags(kind=f"{PLAIN}\\IODINE"), "the concentration of a material"),
    "iodine and calcium": (tags("Iodine(Calcium)"), "the concentration of a material"),
    "hydroxyapatite": (tags("HAP(Water)"), "the concentration of a material"),
    "electron density in German": (tags("Elektronendichte"), "electron density"),
    "electron density in Japanese": (tags("電子密度"), "electron density"),
    "electron density by the type": (tags(kind=f"{PLAIN}\\RHO"), "electron density"),
    "bone removed": (tags("Bone removal"), "CT without its calcium"),
    "an unknown energy": (tags(kind=f"{PLAIN}\\VMI"), "monoenergetic, of unknown energy"),
}


@pytest.mark.parametrize("case", KINDS)
def test_what_holds_other_numbers_than_those_of_ct_is_named(case):
    header, name = KINDS[case]
    said = f"{SECRET} {header['SeriesDescription']}"
    assert name_kind({**header, "SeriesDescription": said}) == Kind(name, is_hu=False)


USABLE = {
    "65 keV": (tags("MonoE 65keV[HU]"), "monoenergetic, 65 keV"),
    "70 keV": (tags("Abd MonoPlus 70 keV", kind=f"{PLAIN}\\VMI"), "monoenergetic, 70 keV"),
    "95 keV": (tags("VMI 95.0 keV"), "monoenergetic, 95 keV"),
    "virtual non-contrast": (tags("VNC[HU*]"), "virtual non-contrast"),
    "virtual non-contrast of the standard": (
        tags("Virtual Non-Contrast", kind=f"{PLAIN}\\MAT_REMOVED", units="HU_MOD"),
        "virtual non-contrast",
    ),
    "virtual non-contrast in German": (tags("Virtuell nativ"), "virtual non-contrast"),
    "virtual non-contrast by the type": (tags(kind=f"{PLAIN}\\VNC"), "virtual non-contrast"),
    "70 keV of GE": (tags("GSI 70"), "monoenergetic, 70 keV"),
    "virtual unenhanced": (tags("VUE 2.5mm"), "virtual non-contrast"),
}


@pytest.mark.parametrize("case", USABLE)
def test_what_is_about_a_ct_is_named_and_usable(case):
    header, name = USABLE[case]
    assert name_kind(header) == Kind(name)


@pytest.mark.parametrize(
    "header",
    [
        {},
        tags(units="HU"),
        tags(units="US"),
        tags("Pelvis 120 kV Br59"),
        tags("Abdomen iodine contrast 70 kV"),
        tags("Becken nativ, Knochen mono", comment="100 ml iodine"),
        tags("Bone, edema protocol"),
        *(tags(f"CT Becken {kv} keV 1.0") for kv in (80, 100, 120, 135, 140)),
        *(tags(said) for said in ("Bone removal off", "Bone_Removal: OFF", "Iodine removal off")),
        *(tags(said) for said in ("Monitor", "Monitor 40", "mono", "Becken nativ", "Hip bone 1.0", "40 mm")),
        *(tags(said) for said in ("Z-axis", "Mono 0.6", "mono 40 mm", "GSI 120 kV", "GSI ASIR 40%", "HAP")),
        tags("Knochen mono", comment="100 ml iodine (water oral)"),
        tags("DE_Abdomen F_0.5", kind="ORIGINAL\\PRIMARY\\AXIAL\\CT_SOM5 SPI DUAL\\STD\\SNRG\\DET_AB"),
        tags(kind="DERIVED\\PRIMARY\\AXIAL\\MONOCHROME2"),
    ],
)
def test_plain_ct_has_no_kind(header):
    assert name_kind(header) == Kind()


def test_the_stated_energy_goes_before_what_is_said():
    header = tags("MonoE 70 keV", kind=f"{PLAIN}\\VMI")
    assert name_kind(header | {"MonoenergeticEnergyEquivalent": "40.0"}).name == "monoenergetic, 40 keV"
    header = tags(kind=f"{PLAIN}\\VMI")
    assert name_kind(header | {"MonoenergeticEnergyEquivalent": "70.0"}) == Kind("monoenergetic, 70 keV")


@pytest.fixture(scope="module")
def stored():
    """HU (columns, rows, slices) of air, fat, muscle and bone."""
    rng = np.random.default_rng([5])
    return (rng.choice([-1000, -100, 50, 700], (11, 13, 10)) + rng.integers(-20, 21, (11, 13, 10))).astype(
        np.int16
    )


def refused(folder, message, series=""):
    with pytest.raises(CtError, match=message) as error:
        read_volume(folder, series)
    assert not any(secret in str(error.value) for secret in (*SECRET.split(), "12345", "2.25"))


def say(text):
    return {"0008|103e": f"{SECRET} {text}"}.items()


def test_a_plain_series_is_taken_before_longer_ones_of_several_energies(tmp_path, stored, write_stack):
    write_stack(tmp_path / "plain", stored, series="1", number=2)
    longer = np.concatenate([stored, stored], 2)
    write_stack(tmp_path / "mono", longer + 9, series="2", number=3, tags=say("MonoE 40keV[HU]"))
    write_stack(tmp_path / "vnc", longer + 5, series="3", number=4, tags=say("VNC"))
    volume = read_volume(tmp_path)
    assert sorted(volume.hu.ravel()) == sorted(stored.ravel())
    assert volume.warnings == ()
    named = read_volume(tmp_path, "4")
    assert sorted(named.hu.ravel()) == sorted((longer + 5).ravel())
    assert named.warnings == ("multi-energy images (virtual non-contrast): taken as plain CT",)
    refused(
        tmp_path,
        r"no CT series 3 to use \(it has 2: 10 slices, step 3 mm; 4: 20 .*; 20 multi-energy .*, 40 keV\)\)",
        "3",
    )


def test_a_folder_of_nothing_else_is_refused_by_the_kind(tmp_path, stored, write_stack):
    write_stack(tmp_path, stored, tags=say("MonoE 40keV[HU]"))
    refused(tmp_path, r"\(10 multi-energy images \(monoenergetic, 40 keV\)\).*or one of 65 to 95 keV")


def test_what_is_about_a_ct_is_taken_and_said(tmp_path, stored, write_stack):
    write_stack(tmp_path, stored, tags=say("MonoE 70keV[HU]"))
    assert read_volume(tmp_path).warnings == (
        "multi-energy images (monoenergetic, 70 keV): taken as plain CT",
    )


def set_bits(folder, stored_bits, highest):
    """The headers say so many bits, and which one is the highest."""
    for path in folder.iterdir():
        content = path.read_bytes()
        for element, value in ((0x101, stored_bits), (0x102, highest)):
            at = content.index(struct.pack("<HHI", 0x28, element, 2)) + 8
            content = content[:at] + struct.pack("<H", value) + content[at + 2 :]
        path.write_bytes(content)


@pytest.mark.parametrize(("bits", "highest"), [(12, 15), (12, 12), (16, 11)])
def test_bits_that_contradict_themselves_are_refused(tmp_path, stored, write_stack, bits, highest):
    write_stack(tmp_path, (stored + 1024) * 16 if highest == 15 else stored + 1024)
    set_bits(tmp_path, bits, highest)
    refused(tmp_path, r"\(10 CT images whose HighBit is not BitsStored - 1\)\. Export the series again\.")


def test_twelve_bits_pass(tmp_path, stored, write_stack):
    write_stack(tmp_path, stored)
    set_bits(tmp_path, 12, 11)
    assert sorted(read_volume(tmp_path).hu.ravel()) == sorted(stored.ravel())
