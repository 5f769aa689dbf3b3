"""Address -> point: the city's address book.

`AddressBook` finds the place a text names, with the segments it was found by, a confidence and a
radius; or says that the text is ambiguous, unknown or damaged.
"""

from geo_service.addresses.answers import Address, Candidate
from geo_service.addresses.book import AddressBook

__all__ = ["Address", "AddressBook", "Candidate"]
