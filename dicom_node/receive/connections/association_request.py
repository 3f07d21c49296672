"""Checks the form of an A-ASSOCIATE-RQ PDU before anything is built of it (PS3.8 9.3.2).

pynetdicom makes several objects of each presentation context and transfer syntax. A request of 900 kB holds 15,000 contexts, for which
it takes seconds, whoever sends it.
"""

import struct
from collections.abc import Iterator

FIXED_BYTES = 68  # protocol version, AE titles and reserved bytes, in front of the items
MAX_CONTEXTS = 128  # the odd numbers from 1 to 255 (PS3.8 9.3.2.2)
MAX_SUB_ITEMS = 256  # transfer syntaxes of a context (PS3.6 names 60), or sub-items of the user information: 128 roles at most, and others
APPLICATION_CONTEXT, PRESENTATION_CONTEXT, USER_INFORMATION = 0x10, 0x20, 0x50
_ITEM_HEADER = struct.Struct(">BxH")
_CONTEXT_BYTES = 4  # the id and three reserved bytes, in front of the sub-items


class MalformedRequest(ValueError):
    """An A-ASSOCIATE-RQ is not as PS3.8 9.3.2 says. The message holds nothing of the request."""


def check_request(body: memoryview) -> None:
    """Check the items of an A-ASSOCIATE-RQ PDU: their number, lengths and presentation context ids.

    Parameters
    ----------
    body
        The PDU without its header of 6 bytes.

    Raises
    ------
    MalformedRequest
        With the reason.
    """
    ids: set[int] = set()
    for kind, value in _items(body[FIXED_BYTES:], MAX_CONTEXTS + MAX_SUB_ITEMS, "items"):
        if kind == PRESENTATION_CONTEXT:
            if len(value) < _CONTEXT_BYTES:
                raise MalformedRequest("a presentation context without an id")
            number = value[0]
            if number % 2 == 0:
                raise MalformedRequest("a presentation context with an even id")
            if number in ids:
                raise MalformedRequest("two presentation contexts with the same id")
            ids.add(number)
            _count_items(value[_CONTEXT_BYTES:], "transfer syntaxes of a presentation context")
        elif kind == USER_INFORMATION:
            _count_items(value, "sub-items of the user information")


def _count_items(content: memoryview, what: str) -> None:
    for _ in _items(content, MAX_SUB_ITEMS, what):
        pass


def _items(content: memoryview, limit: int, what: str) -> Iterator[tuple[int, memoryview]]:
    at = count = 0
    while at < len(content):
        if at + _ITEM_HEADER.size > len(content):
            raise MalformedRequest("an item that is cut short")
        kind, length = _ITEM_HEADER.unpack_from(content, at)
        at += _ITEM_HEADER.size
        if at + length > len(content):
            raise MalformedRequest("an item longer than what holds it")
        count += 1
        if count > limit:
            raise MalformedRequest(f"more than {limit} {what}")
        yield kind, content[at : at + length]
        at += length
