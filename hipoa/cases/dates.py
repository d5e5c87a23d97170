"""Dates as spreadsheets and surgeons write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from hipoa.core.identifiers import normalise

_ERAS = {"R": 2018, "令和": 2018, "H": 1988, "平成": 1988, "S": 1925, "昭和": 1925}
_MONTHS = (
    "jan",
    "feb",
    "mar mär mrz",
    "apr",
    "may mai",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct okt",
    "nov",
    "dec dez",
)
_MONTH_OF = {word: number for number, words in enumerate(_MONTHS, start=1) for word in words.split()}
# Behind a date may stand the weekday and the time.
_BEHIND = r"\s?(?:\(\w{1,3}\))?(?:[T ]\s?\d\d?:\d\d.*|[T ]\d{4}(?:\d\d)?)?"
_YEAR_FIRST = re.compile(
    rf"(?:(?P<y>\d{{4}})(?P<m>\d\d)(?P<d>\d\d)|"
    rf"(?P<year>\d{{4}})\s?[-./年 ]\s?(?P<month>\d\d?)\s?[-./月 ]\s?(?P<day>\d\d?)[.日]?){_BEHIND}"
)
_ERA = re.compile(rf"(R|H|S|令和|平成|昭和)\.?(\d\d?|元)[./年-](\d\d?)[./月-](\d\d?)日?{_BEHIND}")
_YEAR_LAST = re.compile(rf"(\d\d?)\s?([./-])\s?(\d\d?)\s?\2\s?(\d{{4}}){_BEHIND}")
_IN_WORDS = re.compile(
    rf"(?:(?P<day>\d\d?)[. -]*(?P<month>[a-zä]{{3}})[a-z]*|"
    rf"(?P<first>[a-zä]{{3}})[a-z]*\.? (?P<second>\d\d?))[., -]+(?P<year>\d{{4}}){_BEHIND}",
    re.IGNORECASE,
)


def parse_date(text: str, order: str = "") -> str:
    """A date as YYYYMMDD; "" if it is none, or one of which day and month cannot be told.

    Args:
        text: The cell.
        order: "dm" where in its column the day goes before the month, "md" where it follows, as
            `find_order` finds it.
    """
    try:
        return date(*_take_apart(normalise(text), order)).strftime("%Y%m%d")
    except ValueError:  # no such day
        return ""


def find_order(texts: Iterable[str]) -> str:
    """Whether of dates such as 1/31/2020 the day or the month goes before; "" where none or both."""
    found = {_order(first, second) for first, sign, second, _ in map(_split, texts) if sign != "."} - {""}
    return found.pop() if len(found) == 1 else ""


def _split(text: str) -> tuple[str, str, str, str]:
    """The parts of a date that ends in the year: first number, sign, second number, year."""
    found = _YEAR_LAST.fullmatch(normalise(text))
    return (found[1], found[2], found[3], found[4]) if found else ("0", "", "0", "0")


def _order(first: str, second: str) -> str:
    if int(second) > 12:
        return "md"
    return "dm" if int(first) > 12 else ""


def _take_apart(text: str, order: str) -> tuple[int, int, int]:
    """Year, month and day."""
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day = filter(None, found.groups())
        return int(year), int(month), int(day)
    if found := _ERA.fullmatch(text):
        year = 1 if found[2] == "元" else int(found[2])
        return _ERAS[found[1]] + year, int(found[3]), int(found[4])
    if found := _IN_WORDS.fullmatch(text):
        month = _MONTH_OF.get((found["month"] or found["first"]).lower(), 0)
        return int(found["year"]), month, int(found["day"] or found["second"])
    first, sign, second, year = _split(text)
    # With points the day goes before wherever that is usual.
    order = "dm" if sign == "." or first == second else _order(first, second) or order
    day, month = {"dm": (first, second), "md": (second, first)}.get(order, ("0", "0"))
    return int(year), int(month), int(day)


def parse_reading_date(text: str, order: str = "") -> str:
    """The date of a reading: YYYY-MM-DD, or as it stands where day and month cannot be told apart.

    Raises:
        ValueError: It is no date.
    """
    date = parse_date(text, order)
    if date:
        return f"{date[:4]}-{date[4:6]}-{date[6:]}"
    # Other text may be anything, as a name.
    if text and not re.fullmatch(r"[\d\s./:年月日-]+", text):
        raise ValueError("is no date")
    return text
