"""Associations that violate PS3.8 and PS3.7, each as the parts in which it is sent."""

import struct
from collections.abc import Iterator

from tests.fuzz.raw_association import (
    ABORT,
    AC,
    DATA,
    LITTLE,
    RELEASE,
    RELEASE_RP,
    RJ,
    RQ,
    associate_rq,
    command,
    context,
    element,
    item,
    pdu,
    store,
    store_rq,
    value,
)
from tests.fuzz.seed_files import Seed

CT = b"1.2.840.10008.5.1.4.1.1.2"
EMPTY = b"\x08\0\5\0\0\0\0\0"  # a data set with one empty element
Stream = list[bytes]


def regular_stream(seed: Seed) -> Stream:
    """Return a valid stream: association, one C-STORE, release."""
    syntax, sop_class, uid = seed.syntax.encode(), seed.sop_class.encode("ascii", "replace"), seed.sop_instance.encode("ascii", "replace")
    return [associate_rq([context(1, sop_class, [syntax])]), store(1, sop_class, uid, seed.data_set), RELEASE]


def hostile_streams() -> Iterator[tuple[str, Stream]]:
    """Yield every stream with its name."""
    yield from _before_the_association()
    yield from _requests()
    for name, parts in _within():
        yield name, [associate_rq([context(1, CT, [LITTLE.encode()])]), *parts, RELEASE]


def _before_the_association() -> Iterator[tuple[str, Stream]]:
    for kind in (0, 8, 0x16, 0x47, 0x80, 0xFF):
        yield f"PDU type {kind:02X}", [pdu(kind, b"x" * 20)]
    for kind in (AC, RJ, DATA, 5, RELEASE_RP, ABORT):
        yield f"PDU type {kind:02X} first", [pdu(kind, b"\0" * 4)]
    for length in (0, 1, 67, 68, 0x7FFFFFFF, 0xFFFFFFFF):
        yield f"a request of {length} bytes", [pdu(RQ, b"\0\1" + b"\0" * 66, length)]
    yield "an HTTP request", [b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n"]
    yield "a TLS hello", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 500]
    yield "half a header", [b"\x01\x00\x00"]
    yield "nothing", [b""]
    yield "zeros", [bytes(100_000)]
    yield "ones", [b"\xff" * 100_000]


def _requests() -> Iterator[tuple[str, Stream]]:
    one = context(1, CT, [LITTLE.encode()])
    yield "65,535 contexts", [associate_rq([context(n, CT, [LITTLE.encode()]) for n in range(65_535)])]
    yield "10,000 contexts of one number", [associate_rq([one] * 10_000)]
    yield "no context", [associate_rq([])]
    yield "even numbers", [associate_rq([context(n, CT, [LITTLE.encode()]) for n in (0, 2, 4)])]
    yield "20,000 transfer syntaxes", [associate_rq([context(1, CT, [b"1.2"] * 8_000)] * 3)]
    yield "no transfer syntax", [associate_rq([context(1, CT, [])])]
    yield "an abstract syntax of 60,000 bytes", [associate_rq([context(1, b"1." * 30_000, [LITTLE.encode()])])]
    yield "a syntax that is no UID", [associate_rq([context(1, b"\xff\0../%s", [b"\x80" * 64])])]
    yield "an item that claims more", [associate_rq([item(0x20, b"\1\0\0\0", 65_000)])]
    yield "an item of no length", [associate_rq([item(0x20, b"", 0)] * 100)]
    yield "unknown items", [associate_rq([item(kind, b"abc") for kind in range(0x60, 0xFF)])]
    yield "no user information", [associate_rq([one], user=b"")]
    yield "sub-items that lie", [associate_rq([one], user=item(0x51, b"\0\0\0\1", 60_000))]
    for size in (0, 1, 6, 7, 0xFFFFFFFF):
        user = item(0x51, struct.pack(">L", size))
        yield f"a maximum length of {size}", [associate_rq([one], user=user), store(1, CT, b"1.2.3", b"x" * 99)]
    length = item(0x51, b"\0\0\x40\0")
    yield "6,000 sub-items", [associate_rq([one], user=length + item(0x54, b"\0\1x\1\1") * 6_000)]
    yield "a user identity of 60,000 bytes", [associate_rq([one], user=length + item(0x58, b"\2\1\xff\xf0" + b"u" * 60_000))]
    yield "protocol version 0", [associate_rq([one], version=0)]
    yield "protocol version 65535", [associate_rq([one], version=0xFFFF)]
    for title in (b"", b"\0" * 16, b"\xff" * 16, b"PACS\n\x1b[2J", b"'; DROP TABLE --", b"%s%n\\..\\"):
        yield f"calling AE title {title!r}", [associate_rq([one], calling=title)]
        yield f"called AE title {title!r}", [associate_rq([one], called=title)]


def _within() -> Iterator[tuple[str, Stream]]:
    """Yield what is sent on an established association; it may have ended before the release."""
    rq = associate_rq([context(1, CT, [LITTLE.encode()])])
    ask = store_rq(CT, b"1.2.3")
    yield "a second request", [rq]
    for kind in (AC, RJ, RELEASE_RP, 0, 8, 0xFF):
        yield f"PDU type {kind:02X} on an association", [pdu(kind, b"\0" * 68)]
    yield "an abort of no length", [pdu(ABORT, b"")]
    yield "a release of 10,000 bytes", [pdu(5, b"x" * 10_000)]
    for length in (0, 1, 5, 0x7FFFFFFF, 0xFFFFFFFF):
        yield f"P-DATA that claims {length} bytes", [pdu(DATA, value(1, 3, ask), length)]
        yield f"a value that claims {length} bytes", [pdu(DATA, value(1, 3, ask, length))]
    for number in (0, 2, 3, 255):
        yield f"context {number}, never accepted", [store(number, CT, b"1.2.3", b"x")]
    for header in (0x80, 0xFF, 0x04):
        yield f"control header {header:02X}", [pdu(DATA, value(1, header, ask))]
    yield "a command that never ends", [pdu(DATA, value(1, 1, ask)) * 3_000]
    yield "a data set without a command", [pdu(DATA, value(1, 2, b"x" * 100))]
    yield "a command without its data set", [pdu(DATA, value(1, 3, ask))]
    yield "two commands", [pdu(DATA, value(1, 3, ask)), pdu(DATA, value(1, 3, ask))]
    yield "a data set where there is none", [pdu(DATA, value(1, 3, store_rq(CT, b"1.2.3", data_set=0x0101))), pdu(DATA, value(1, 2, b"x"))]
    yield "1,000 values of one byte", [pdu(DATA, value(1, 3, ask)), pdu(DATA, value(1, 0, b"x")) * 1000 + pdu(DATA, value(1, 2, b""))]
    yield "empty values", [pdu(DATA, value(1, 3, ask)), pdu(DATA, value(1, 0, b"") * 5_000 + value(1, 2, b""))]
    for field in (0, 0x20, 0x21, 0x10, 0x30, 0x100, 0x110, 0x120, 0x130, 0x140, 0x150, 0xFFF, 0x7777, 0x8001, 0x8020, 0xFFFF):
        asked = store_rq(CT, b"1.2.3", field=field)
        yield f"command field {field:04X}", [pdu(DATA, value(1, 3, asked)), pdu(DATA, value(1, 2, EMPTY))]
    yield "a group length that lies", [pdu(DATA, value(1, 3, command(ask[12:], group_length=0xFFFFFFFF))), pdu(DATA, value(1, 2, b"x"))]
    yield "a command of nothing", [pdu(DATA, value(1, 3, b""))]
    yield "a command of noise", [pdu(DATA, value(1, 3, bytes(range(256)) * 4))]
    yield "an element in the command that claims 4 GB", [pdu(DATA, value(1, 3, command(element((0, 2), b"1.2", 0xFFFFFFFF))))]
    nameless = command(element((0, 2), CT), element((0, 0x100), b"\1\0"), element((0, 0x800), b"\1\0"))
    yield "no message ID", [pdu(DATA, value(1, 3, nameless))]
    yield "UIDs that are none", [store(1, b"\xff" * 64, b"../../x\0", EMPTY)]
    yield "UIDs of 60,000 bytes", [store(1, b"1." * 30_000, b"2." * 30_000, b"x")]
    yield "a hundred stores without waiting", [store(1, CT, b"1.2.3", EMPTY) * 100]
