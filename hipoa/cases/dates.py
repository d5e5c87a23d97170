"""Dates as spreadsheets and surgeons write them."""

from __future__ import annotations

import re

from hipoa.core.identifiers import normalise

_ERAS = {"R": 2018, "令和": 2018, "H": 1988, "平成": 1988, "S": 1925, "昭和": 1925}


def parse_date(text: str) -> str:
    """A date as YYYYMMDD; "" if it is none, or one of which day and month cannot be told."""
    # Without anything between them month and day have two digits each: 202012 is a month, 2020115 either.
    found = re.fullmatch(r"(\d{4})(?:\D{1,2}(\d\d?)\D{1,2}(\d\d?)|(\d\d)(\d\d))\D?(?: .*)?", normalise(text))
    german = re.fullmatch(r"(\d\d?)\.\s?(\d\d?)\.\s?(\d{4})", normalise(text))
    slashed = re.fullmatch(r"(\d\d?)/(\d\d?)/(\d{4})", normalise(text))
    era = re.fullmatch(r"(R|H|S|令和|平成|昭和)\.?(\d\d?)[./年-](\d\d?)[./月-](\d\d?)日?", normalise(text))
    if found:
        year, month, day = map(int, filter(None, found.groups()))
    elif german:
        day, month, year = map(int, german.groups())
    elif slashed and (month_and_day := _sort_month_and_day(int(slashed[1]), int(slashed[2]))):
        year, (month, day) = int(slashed[3]), month_and_day
    elif era:
        year, month, day = (_ERAS[era[1]] + int(era[2]), int(era[3]), int(era[4]))
    else:
        return ""
    return f"{year:04d}{month:02d}{day:02d}"


def _sort_month_and_day(one: int, other: int) -> tuple[int, int] | None:
    """Which is the month, where the other is too great for one, or both are the same."""
    if one == other or max(one, other) > 12 >= min(one, other):
        return min(one, other), max(one, other)
    return None


def parse_reading_date(text: str) -> str:
    """The date of a reading: YYYY-MM-DD, or as it stands where day and month cannot be told apart.

    Raises:
        ValueError: It is no date.
    """
    date = parse_date(text)
    if date:
        return f"{date[:4]}-{date[4:6]}-{date[6:]}"
    # Other text may be anything, as a name.
    if text and not re.fullmatch(r"[\d\s./:年月日-]+", text):
        raise ValueError("is no date")
    return text
