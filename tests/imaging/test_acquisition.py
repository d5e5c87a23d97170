"""What is read of a header beside the image: recognised, in one spelling, and never copied."""

import pytest
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.sequence import Sequence

from hipoa.imaging.ct.acquisition import Acquisition
from hipoa.imaging.ct.dicom.elements import list_frames, read_texts

MARK = "Zyxwv"
MAKERS = {
    "SIEMENS": "Siemens",
    "Siemens Healthineers": "Siemens",
    "GE MEDICAL SYSTEMS": "GE",
    "Philips Medical Systems": "Philips",
    "TOSHIBA": "Canon/Toshiba",
    "TOSHIBA_MEC": "Canon/Toshiba",
    "CANON_MEC": "Canon/Toshiba",
    "Hitachi Medical Corporation": "Fujifilm/Hitachi",
    "FUJIFILM Corporation": "Fujifilm/Hitachi",
    "UIH": "United Imaging",
    "United Imaging": "United Imaging",
    "NeuSoft": "Neusoft",
    "SHIMADZU": "Shimadzu",
    "NeuroLogica": "Samsung/NeuroLogica",
    "Accuray": "Accuray",
    "": "",
    "Somebody's workstation": "other",
}
MODELS = {
    "SOMATOM Definition AS+": ("Siemens", "SOMATOM Definition AS+"),
    "SOMATOM Definition AS": ("Siemens", "SOMATOM Definition AS"),
    "SOMATOM Definition Flash": ("Siemens", "SOMATOM Definition Flash"),
    "SOMATOM Force": ("Siemens", "SOMATOM Force"),
    "SOMATOM go.Up": ("Siemens", "SOMATOM go.Up"),
    "Sensation 64": ("Siemens", "Sensation 64"),
    "SOMATOM Sensation 16": ("Siemens", "Sensation 16"),
    "Emotion 16 (2010)": ("Siemens", "Emotion 16"),
    "NAEOTOM Alpha": ("Siemens", "NAEOTOM Alpha"),
    "Biograph64_mCT": ("Siemens", "Biograph 64"),
    "LightSpeed VCT": ("GE", "LightSpeed VCT"),
    "LightSpeed16": ("GE", "LightSpeed 16"),
    "Discovery CT750 HD": ("GE", "Discovery CT750 HD"),
    "Revolution EVO": ("GE", "Revolution EVO"),
    "Optima CT660": ("GE", "Optima CT660"),
    "BrightSpeed": ("GE", "BrightSpeed"),
    "Brilliance 64": ("Philips", "Brilliance 64"),
    "iCT 256": ("Philips", "iCT 256"),
    "IQon - Spectral CT": ("Philips", "IQon Spectral CT"),
    "Ingenuity Core 128": ("Philips", "Ingenuity Core 128"),
    "Incisive CT": ("Philips", "Incisive CT"),
    "Spectral CT 7500": ("Philips", "Spectral CT 7500"),
    "Aquilion ONE": ("Canon/Toshiba", "Aquilion ONE"),
    "Aquilion PRIME SP": ("Canon/Toshiba", "Aquilion PRIME SP"),
    "Aquilion": ("Canon/Toshiba", "Aquilion"),
    "Aquilion Lightning": ("Canon/Toshiba", "Aquilion Lightning"),
    "Activion16": ("Canon/Toshiba", "Activion 16"),
    "Asteion": ("Canon/Toshiba", "Asteion"),
    "SCENARIA": ("Fujifilm/Hitachi", "SCENARIA"),
    "Supria": ("Fujifilm/Hitachi", "Supria"),
    "uCT 760": ("United Imaging", "uCT 760"),
    "uCT960+": ("United Imaging", "uCT 960+"),
    "NeuViz 128": ("Neusoft", "NeuViz 128"),
    "": ("", ""),
    "Victor's": ("other", "other"),
}
KERNELS = {
    ("SIEMENS", "B30f"): ("B30f", "soft"),
    ("SIEMENS", "B60s"): ("B60s", "bone"),
    ("SIEMENS", "Br40d\\3"): ("Br40d\\3", "soft"),
    ("SIEMENS", "I31f\\2"): ("I31f\\2", "soft"),
    ("SIEMENS", "Bl57d\\2"): ("Bl57d\\2", "lung"),
    ("SIEMENS", "H31s"): ("H31s", "soft"),
    ("SIEMENS", "J45f"): ("J45f", "soft"),
    ("SIEMENS", "Qr44"): ("Qr44", "soft"),
    ("GE MEDICAL SYSTEMS", "STANDARD"): ("STANDARD", "soft"),
    ("GE MEDICAL SYSTEMS", "DETAIL"): ("DETAIL", "soft"),
    ("GE MEDICAL SYSTEMS", "BONEPLUS"): ("BONEPLUS", "bone"),
    ("GE MEDICAL SYSTEMS", "EDGE"): ("EDGE", "bone"),
    ("GE MEDICAL SYSTEMS", "LUNG"): ("LUNG", "lung"),
    ("Philips", "B"): ("B", "soft"),
    ("Philips", "YA"): ("YA", "bone"),
    ("Philips", "L"): ("L", "lung"),
    ("TOSHIBA", "FC08"): ("FC08", "soft"),
    ("TOSHIBA", "FC18-H"): ("FC18-H", "soft"),
    ("TOSHIBA", "FC30"): ("FC30", "bone"),
    ("TOSHIBA", "FC52"): ("FC52", "lung"),
    ("TOSHIBA", "FC64"): ("FC64", "other"),
    ("HITACHI", "32"): ("32", "other"),
    ("UIH", "B_SOFT_B"): ("B_SOFT_B", "soft"),
    # Of a CT without its maker's name what is nobody else's; a letter or a number may be anything.
    ("", "B30f"): ("B30f", "soft"),
    ("", "bone"): ("BONE", "bone"),
    ("", "B"): ("other", "other"),
    ("", "32"): ("other", "other"),
    ("Neusoft", "Standard"): ("STANDARD", "soft"),
    ("SIEMENS", f"B30f {MARK}"): ("other", "other"),
    ("SIEMENS", f"B30f\\{MARK}"): ("other", "other"),
    ("SIEMENS", ""): ("", ""),
}


def header(**elements):
    dataset = Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


@pytest.mark.parametrize(("text", "maker"), MAKERS.items())
def test_a_maker_has_one_spelling(text, maker):
    assert Acquisition.of({"Manufacturer": text}).manufacturer == maker


@pytest.mark.parametrize(("text", "maker", "model"), [(text, *names) for text, names in MODELS.items()])
def test_a_model_has_one_spelling_and_tells_its_maker(text, maker, model):
    found = Acquisition.of({"ManufacturerModelName": text})
    assert (found.manufacturer, found.model) == (maker, model)


@pytest.mark.parametrize(("maker", "text", "kernel", "kind"), [(*k, *v) for k, v in KERNELS.items()])
def test_a_kernel_is_known_by_its_maker_s_names(maker, text, kernel, kind):
    found = Acquisition.of({"Manufacturer": maker, "ConvolutionKernel": text})
    assert (found.kernel, found.kernel_kind) == (kernel, kind)


def test_what_a_hospital_adds_to_a_name_is_left_out():
    texts = {"Manufacturer": f"SIEMENS {MARK}", "ManufacturerModelName": f"{MARK} SOMATOM Force, {MARK} 12"}
    assert Acquisition.of(texts) == Acquisition("Siemens", "SOMATOM Force")


def test_no_text_of_a_header_is_copied():
    texts = dict.fromkeys(keyword_dict, MARK)
    assert len(texts) > 1000
    assert Acquisition.of(texts) == Acquisition("other", "other", "other", "other")


AGES = {
    "063Y": "63",
    "018M": "1",
    "089Y": "89",
    "090Y": "90+",
    "105Y": "90+",
    "999Y": "",
    "000Y": "",
    "63": "",
    "": "",
}


@pytest.mark.parametrize(("text", "age"), AGES.items())
def test_an_age_is_in_whole_years_and_the_oldest_are_one_group(text, age):
    assert Acquisition.of({"PatientAge": text}).age == age


@pytest.mark.parametrize(
    ("born", "scanned", "age"),
    [
        ("19500615", "20200614", "69"),
        ("19500615", "20200615", "70"),
        ("19000101", "20200615", ""),
        ("19500615", "", ""),
        ("20300101", "20200101", ""),
        ("19250101", "20200101", "90+"),
    ],
)
def test_an_age_that_is_not_stated_follows_from_the_dates(born, scanned, age):
    assert Acquisition.of({"PatientBirthDate": born, "StudyDate": scanned}).age == age


def test_numbers_out_of_range_are_not_known():
    stated = {"KVP": "120", "SliceThickness": "1.25", "PatientSex": "f"}
    assert Acquisition.of(stated) == Acquisition(kv=120, thickness_mm=1.25, sex="F")
    assert Acquisition.of({"KVP": "0", "SliceThickness": "0", "PatientSex": "O"}) == Acquisition()


def test_functional_groups_are_looked_into():
    """A multi-frame CT says there what a classic one says at once; a frame its own where they differ."""
    shared, first, second = Dataset(), Dataset(), Dataset()
    shared.CTXRayDetailsSequence = Sequence([header(KVP=100)])
    for group, kernel in ((first, "B30f"), (second, "B70f")):
        group.CTReconstructionSequence = Sequence([header(ConvolutionKernel=kernel)])
    dataset = header(Manufacturer="SIEMENS")
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence([first, second])
    frames = [Acquisition.of(texts) for texts in list_frames(dataset, read_texts(dataset))]
    assert frames[0] == Acquisition("Siemens", "", "B30f", "soft", kv=100)
    assert frames[1].kernel == "B70f"
