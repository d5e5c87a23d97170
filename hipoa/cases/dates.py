"""Parses dates as spreadsheets and surgeons write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from hipoa.core.identifiers import normalise

# The year before the first one of a Japanese era.
_ERAS = {"R": 2018, "令和": 2018, "H": 1988, "平成": 1988, "S": 1925, "昭和": 1925}
_MONTHS = "jan feb mar/mär/mrz apr may/mai jun jul aug sep oct/okt nov dec/dez"
_MONTH_OF = {
    word: number for number, words in enumerate(_MONTHS.split(), start=1) for word in words.split("/")
}
# A date may be followed by the weekday and the time.
_REST = r"\s?(?:\(\w{1,3}\))?(?:[T ]\s?\d\d?:\d\d.*|[T ]\d{4}(?:\d\d)?)?"
_FORMS = [
    re.compile(form + _REST)
    for form in (
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
        r"(?P<year>\d{4})\s?[-./年 ]\s?(?P<month>\d\d?)\s?[-./月 ]\s?(?P<day>\d\d?)[.日]?",
        r"(?P<era>R|H|S|令和|平成|昭和)\.?(?P<year>\d\d?|元)[./年-](?P<month>\d\d?)[./月-](?P<day>\d\d?)日?",
        r"(?i:(?P<day>\d\d?)[. -]*(?P<name>[a-zä]{3})[a-z]*[., -]+(?P<year>\d{4}))",
        r"(?i:(?P<name>[a-zä]{3})[a-z]*\.? (?P<day>\d\d?)[., -]+(?P<year>\d{4}))",
        # With points, the day comes first wherever that is usual.
        r"(?P<day>\d\d?)\s?\.\s?(?P<month>\d\d?)\s?\.\s?(?P<year>\d{4})",
    )
]
_DAY_OR_MONTH_FIRST = re.compile(rf"(\d\d?)\s?([/-])\s?(\d\d?)\s?\2\s?(\d{{4}}){_REST}")


def parse_date(text: str, order: str = "") -> str:
    """A date as YYYYMMDD, given the order of its column as `find_order` finds it; "" if it is not certain."""
    try:
        return date(*_find_parts(normalise(text), order)).strftime("%Y%m%d")
    except ValueError:  # no such day
        return ""


def find_order(texts: Iterable[str]) -> str:
    """The order of day ("d") and month in dates such as 1/31/2020; "" if none or several are found."""
    found = [_DAY_OR_MONTH_FIRST.fullmatch(normalise(text)) for text in texts]
    orders = {_order_of(int(one[1]), int(one[3])) for one in found if one} - {""}
    return orders.pop() if len(orders) == 1 else ""


def _order_of(first: int, second: int) -> str:
    if second > 12:
        return "md"
    return "dm" if first > 12 else ""


def _find_parts(text: str, order: str) -> tuple[int, int, int]:
    """Year, month and day; zeros if there are none."""
    if found := next(filter(None, (form.fullmatch(text) for form in _FORMS)), None):
        parts = found.groupdict()
        year = _ERAS.get(parts.get("era", ""), 0) + (1 if parts["year"] == "元" else int(parts["year"]))
        month = _MONTH_OF.get(parts["name"].lower(), 0) if "name" in parts else int(parts["month"])
        return year, month, int(parts["day"])
    if not (found := _DAY_OR_MONTH_FIRST.fullmatch(text)):
        return 0, 0, 0
    first, second = int(found[1]), int(found[3])
    order = "dm" if first == second else _order_of(first, second) or order
    month, day = {"dm": (second, first), "md": (first, second)}.get(order, (0, 0))
    return int(found[4]), month, day


def parse_reading_date(text: str, order: str = "") -> str:
    """The date of a reading as YYYY-MM-DD, or as written if day and month cannot be told apart.

    Raises:
        ValueError: It is no date.
    """
    if found := parse_date(text, order):
        return f"{found[:4]}-{found[4:6]}-{found[6:]}"
    # Other text may be anything, such as a name.
    if text and not re.fullmatch(r"[\d\s./:年月日-]+", text):
        raise ValueError("is no date")
    return text
