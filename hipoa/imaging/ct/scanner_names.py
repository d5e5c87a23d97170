"""Recognises makers, models and kernels of CT scanners, in one spelling each.

A text of a header is only recognised, never copied: a hospital may write anything into it, also a name.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

OTHER = "other"

# Further spellings of a maker in headers, beside the parts of its name, and firms that it took over.
_SPELLINGS = {
    "GE": ("gems", "general electric", "imatron"),
    "Philips": ("marconi", "picker", "elscint"),
    "United Imaging": ("uih",),
    "Accuray": ("tomotherapy",),
}
# Families of models by maker, and after the colon their variants. The longest match counts.
_MODELS = {
    "Siemens": """
        SOMATOM Definition: AS, AS+, Flash, Edge, DS
        SOMATOM: go.Now, go.Up, go.All, go.Top, go.Sim, go.Open Pro, go.Fit
        SOMATOM: X.cite, X.ceed, X.creed
        SOMATOM: Force, Drive, Confidence, Perspective, Scope, Spirit, Smile, Pro.Pulse, Plus 4
        Sensation: 4, 10, 16, 40, 64, Open, Cardiac, Cardiac 64
        Emotion: 6, 16, Duo
        Perspective:
        Volume Zoom:
        NAEOTOM Alpha: Peak, Pro, Prime
        Biograph: 6, 16, 20, 40, 64, 128, mCT, Vision, Vision Quadra, Horizon, Trinion
        Symbia: T, T2, T6, T16, Intevo""",
    "GE": """
        LightSpeed: VCT, 16, Pro 16, Pro 32, Ultra, Plus, QX/i, RT, RT16, Xtra
        BrightSpeed: Elite, Edge, Excel, S, QX/i
        HiSpeed: CT/i, QX/i, NX/i, LX/i, DX/i, FX/i, ZX/i, Dual
        ProSpeed:
        Discovery: CT750 HD, CT590 RT, RT, ST, STE, LS, RX, VCT, 600, 610, 690, 710, MI, IQ, NM 570c
        Optima: CT520, CT540, CT580, CT580 RT, CT620, CT660, CT670, CT680
        Revolution: CT, EVO, HD, GSI, Frontier, Maxima, ACT, ACTs, Apex, Ascend, Aspire, Vibe
        Infinia:
        Hawkeye:""",
    "Philips": """
        Brilliance: 6, 10, 16, 40, 64, Big Bore, iCT, iCT 256, iCT SP
        iCT: 128, 256, SP
        Ingenuity: CT, Core, Core 128, Elite, Flex, TF
        Incisive: CT
        IQon: Spectral CT
        Spectral CT: 7500
        Big Bore:
        Mx8000: IDT, IDT 16, Dual
        MX 16-slice:
        Access CT:
        Gemini: TF
        Vereos:
        Precedence:""",
    "Canon/Toshiba": """
        Aquilion: 4, 8, 16, 32, 64, 128, CX, CXL, RXL, LB, Multi, ONE, ONE PRISM, ONE GENESIS, ONE INSIGHT
        Aquilion: PRIME, PRIME SP, Lightning, Lightning SP, Precision, Serve, Serve SP, Start, Exceed LB
        Alexion: 4, 16
        Activion: 16
        Asteion: 4
        Astelion:
        Cartesion Prime:
        Celesteion:""",
    "Fujifilm/Hitachi": """
        SCENARIA: View, Plus
        Supria: Grande, True64, Advance, Optica
        ECLOS: 4, 8, 16
        ROBUSTO:
        Pronto:
        Presto:
        FCT: Embrace, iStream, Speedia""",
    "United Imaging": """
        uCT: 500, 510, 520, 528, 530, 550, 610, 620, 710, 720, 760, 780, 790, 820, 840, 860, 960, 960+
        uCT: ATLAS, Orion, SiriuX
        uMI: 510, 550, 780, Panorama, Vista""",
    "Neusoft": "NeuViz: 16, 64, 128, 16 Essence, 64 In, 64 En, Dual, ACE, Prime, Glory, Epoch, Extra",
    "Shimadzu": "SCT: 7000, 7800",
    "Samsung/NeuroLogica": "BodyTom: Elite\nCereTom:\nOmniTom: Elite",
    "Accuray": "TomoTherapy: Hi Art\nRadixact:",
    "MinFound": "ScintCare CT: 16, 64, 128",
    "Anke": "ANATOM: 16, 32, 64, 128",
    "Varian": "",
}
# Kernels by maker: patterns by purpose; the first match counts.
_KERNELS = {
    "Siemens": {
        "lung": r"Bl[0-9]{2}[dfhimsu]?(\\[1-5])?",
        "soft": r"[BDHIJQSTU][a-z]?[0-4][0-9][dfhimsu]?(\\[1-5])?",
        "bone": r"[BDHIJQSTU][a-z]?[5-9][0-9][dfhimsu]?(\\[1-5])?",
    },
    "GE": {
        "soft": r"(HD )?(SOFT|STANDARD|STND|DETAIL|DETL|CHEST|CHST)",
        "bone": r"(HD )?(BONE|BONE ?PLUS|BONE\+|EDGE|ULTRA)",
        "lung": r"(HD )?LUNG",
    },
    "Philips": {"soft": r"[ABCF]|E[ABC]|U[ABC]", "bone": r"[DE]|Y[ABCD]|DETAIL", "lung": r"L"},
    "Canon/Toshiba": {
        "soft": r"FC[01][0-9](-[HP])?",
        "bone": r"FC[38][0-9](-[HP])?",
        "lung": r"FC5[0-9](-[HP])?",
        OTHER: r"FC[0-9]{2}(-[HP])?",
    },
    "Fujifilm/Hitachi": {OTHER: r"[0-9]{1,3}"},
    "United Imaging": {
        "soft": r"[BH]_(V?SOFT|SMOOTH|STANDARD)_[A-E]",
        "bone": r"[BH]_(BONE|V?SHARP)_[A-E]",
        "lung": r"[BH]_LUNG_[A-E]",
    },
}
# Words that tell their purpose, whoever made the scanner.
_PLAIN = {"soft": r"SOFT|STANDARD|SMOOTH", "bone": r"BONE|SHARP", "lung": r"LUNG"}
# A letter or number alone is a kernel only for makers who name them so.
_BRIEF = ("Philips", "Fujifilm/Hitachi")


@lru_cache(maxsize=256)
def recognise_maker(*texts: str) -> str:
    """The maker by the manufacturer and model of a header; "other" if they name none, empty if they are."""
    for text in texts:
        words = _split(text)
        for maker in _MODELS:
            spellings = (*maker.lower().split("/"), *_SPELLINGS.get(maker, ()))
            if any(f" {spelling} " in words for spelling in spellings):
                return maker
    by_model = _find_model(" ".join(texts))
    return by_model[0] if by_model else OTHER if any(texts) else ""


@lru_cache(maxsize=256)
def recognise_model(text: str) -> str:
    """The model of a scanner: one of a list, "other", or empty for an empty text."""
    found = _find_model(text)
    return found[1] if found else OTHER if text else ""


@lru_cache(maxsize=256)
def recognise_kernel(text: str, maker: str) -> tuple[str, str]:
    """The kernel of a reconstruction, "other" or empty; and "soft", "bone", "lung", "other" or empty.

    Source: Siemens' operating instructions of the SOMATOM Sensation (B10 to B40 for body tissue, B50 to B80
    where sharpness is asked for), and so for its later names by number. For the other makers the kernels'
    own words; letters and FC numbers as they are commonly used. Nothing but the choice among several
    reconstructions and the report's subgroups rests on it.

    Args:
        text: The text of the header; several values are joined by backslashes.
        maker: From :func:`recognise_maker`.
    """
    word = " ".join(text.split())
    if not word:
        return "", ""
    makers = [maker] if maker in _KERNELS else [one for one in _KERNELS if one not in _BRIEF]
    for table in (*(_KERNELS[one] for one in makers), _PLAIN):
        for kind, pattern in table.items():
            if re.fullmatch(pattern, word, re.IGNORECASE):
                return (word.capitalize() if table is _KERNELS["Siemens"] else word.upper()), kind
    return OTHER, OTHER


def _split(text: str) -> str:
    """Words, numbers and pluses of a text, each between blanks."""
    return f" {' '.join(re.findall(r'[a-z]+|[0-9]+|[+]', text.lower()))} "


def _find_model(text: str) -> tuple[str, str] | None:
    words = _split(text)
    found = [(len(key), *named) for key, named in _list_models().items() if key in words]
    return max(found)[1:] if found else None


@cache
def _list_models() -> dict[str, tuple[str, str]]:
    """From the words of a model to its maker and its name."""
    models = {}
    for maker, families in _MODELS.items():
        for line in families.strip().splitlines():
            family, _, variants = line.strip().partition(":")
            for variant in ["", *filter(None, variants.strip().split(", "))]:
                name = f"{family} {variant}".strip()
                models[_split(name)] = maker, name
    return models
