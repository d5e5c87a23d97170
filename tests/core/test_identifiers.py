"""Names have one spelling, and what a spreadsheet has ruined is no name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipoa.core.identifiers import normalise, parse_name, parse_reader, parse_safe_name

ERRORS = [
    "#N/A",
    "#REF!",
    "#VALUE!",
    "#DIV/0!",
    "#NAME?",
    "#NULL!",
    "#NUM!",
    "#NV",
    "#WERT!",
    "####",
    "Err:502",
    "#REF",
    "#VALUE",
    "#DIV/0",
]
NUMBERS = ["1.23E+10", "1,23E+10", "1E+10", "1.23e+10", "5.00E-12", "-1.2E+3", "1.23E10", "1.23e10"]
MISSING = ["nan", "NaN", "None", "NULL", "N/A", "NA", "<NA>", "-", "?", "..."]


@pytest.mark.parametrize("text", ERRORS + NUMBERS + ["\uff03\uff2e\uff0f\uff21", " #REF! "])
@pytest.mark.parametrize("parse", [parse_name, parse_safe_name, parse_reader])
def test_what_a_spreadsheet_ruined_is_refused(text, parse):
    with pytest.raises(
        ValueError, match=r"is a spreadsheet's error or rounded number .* format the column as text"
    ) as caught:
        parse(text)
    assert text.strip() in {"#N/A", "1.23E+10"} or text not in str(caught.value)


@pytest.mark.parametrize("text", MISSING)
def test_a_word_for_missing_is_refused(text):
    with pytest.raises(ValueError, match='stands for "missing"'):
        parse_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "1E5",
        "12E3",
        "1E-05",
        "1.5",
        "12.0",
        "E+10",
        "#12",
        "#A1",
        "1.23.10",
        "Nan",
        "Null",
        "Nana",
        "A#1",
        "007",
        "P/7",
        "N/A7",
    ],
)
def test_neighbours_of_ruined_names_pass(text):
    assert parse_name(text) == text


def test_a_reader_may_have_no_name_or_these_initials():
    assert [parse_reader(text) for text in ("", " ", "NA", "\uff2e\uff0e\uff21")] == ["", "", "NA", "N.A"]


def test_a_character_that_was_lost_is_refused():
    with pytest.raises(ValueError, match="holds a character that cannot be read: save the table as UTF-8"):
        parse_name("M\ufffdller")


def test_a_name_of_nothing_visible_is_empty():
    with pytest.raises(ValueError, match="is empty"):
        parse_name("\u200b\ufeff \u2060")


@given(st.text(max_size=12))
def test_there_is_one_spelling(text):
    once = normalise(text)
    assert normalise(once) == once
    assert "  " not in once
    assert once == once.strip()
    assert normalise(f"\u200b{text}\u00ad ") == once


@given(st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True))
def test_a_plain_name_stays(name):
    assert normalise(name) == name


@pytest.mark.parametrize("dash", "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u30a0\u207b")
def test_every_dash_is_the_keyboards(dash):
    assert parse_safe_name(f"P{dash}14") == "P-14"


@pytest.mark.parametrize("mark", "\u2018\u2019\u201b\u02bc\u2032\uff07")
def test_every_apostrophe_is_the_keyboards(mark):
    assert parse_name(f"O{mark}Neil") == "O'Neil"


def test_a_long_vowel_is_no_dash():
    assert normalise("\u30ab\u30fc") == "\u30ab\u30fc"
