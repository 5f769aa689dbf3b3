"""The address book: text -> point, or an honest "ambiguous", "not found", "unreadable"."""

from __future__ import annotations

import re

import pandas as pd

from geo_service.addresses import reading
from geo_service.addresses.answers import SAME_SPOT_M, Address, settle
from geo_service.addresses.names import PLACES
from geo_service.addresses.parts import take_apart
from geo_service.addresses.search import Search
from geo_service.addresses.table import Table

_NUMBER_BEGUN = re.compile(r"(?P<road>.*?[^\d\s-]\s?)(?P<number>\d+(?:-\d*)?[a-z]?)号?")
_CHINESE = re.compile("[\u4e00-\u9fff]")


class AddressBook:
    """A city's address table, ready to find places by what people write.

    A text is taken apart by the table's own names, and rows are looked up by road and number, or
    compound and building, within the areas named. What stays open is told, not guessed: a road in
    two towns without a hint is ambiguous, a name the table lacks is not found, damaged text is
    unreadable. One slip in a name is mended where sound, order or context speak for it.

    Parameters
    ----------
    table : DataFrame
        ``address``, ``lon``, ``lat`` (degrees), and optionally county, township, community, road,
        number, compound, building, unit, code. Without ``road`` and ``compound`` the parts are
        taken from the text.

    Raises
    ------
    InputError
        ``field_missing``, ``value_invalid``, ``lonlat_swapped``.

    Examples
    --------
    >>> table = pd.DataFrame({
    ...     "address": ["许昌市魏都区建设路10号", "许昌市魏都区建设路14号"],
    ...     "lon": [113.8500, 113.8508], "lat": [34.03, 34.03],
    ... })
    >>> book = AddressBook(table)
    >>> found = book.find("魏都区建設路１０號附近")
    >>> found.status, found.matched, found.matched_on, found.radius_m
    ('found', '许昌市魏都区建设路10号', ('county', 'road', 'number'), 170.0)
    >>> book.find("建设路12号").matched_on, book.find("和平路12号").status
    (('road', 'number~'), 'not_found')
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = Table(table)

    def __len__(self) -> int:
        return len(self._table)

    def find(self, text: str) -> Address:
        """Find the place a text names.

        Parameters
        ----------
        text : str
            As people write it: parts missing or out of order, any spelling of buildings, phone
            numbers and words around it.

        Returns
        -------
        Address
        """
        asked = reading.question(text)
        if asked is None:
            return Address("unreadable")
        table = self._table
        rows = table.written(text)
        if rows.size:
            return settle(table, rows, asked, ("address",), 1.0, room_m=SAME_SPOT_M)
        parts = take_apart(asked.text, table.names)
        if parts.altered or not any(parts.of(kind) for kind in PLACES):
            parts = take_apart(asked.text, table.names, slips=True)
        return Search(table, asked, parts).run()

    def suggest(self, text: str, *, limit: int = 8) -> list[str]:
        """Complete what someone is typing, by names and house numbers of the table.

        Parameters
        ----------
        text : str
            The beginning of a road, compound, community or township; or a whole road and the
            beginning of a house number.
        limit : int
            At most so many.

        Returns
        -------
        list of str
            Names that begin so, the most frequent first, then names that hold the text; with a
            number begun, the road's numbers that go on so, in order.

        Examples
        --------
        >>> table = pd.DataFrame({
        ...     "address": ["建设路1号", "建设路12号", "建安大道3号"],
        ...     "lon": [113.85, 113.86, 113.87], "lat": [34.03, 34.03, 34.03],
        ... })
        >>> AddressBook(table).suggest("建")
        ['建设路', '建安大道']
        >>> AddressBook(table).suggest("建设路1")
        ['建设路1号', '建设路12号']
        """
        asked = reading.canonical(text)
        if not asked or limit < 1 or reading.is_damaged(text):
            return []
        begun = _NUMBER_BEGUN.fullmatch(asked)
        if begun:
            numbered = self._table.numbers_on(begun["road"].strip(), begun["number"])
            if numbered:
                between = " " if begun["road"].endswith(" ") else ""
                counter = "号" if _CHINESE.search(begun["road"]) else ""
                return [f"{begun['road'].strip()}{between}{n}{counter}" for n in numbered[:limit]]
        return self._table.names_with(asked)[:limit]
