"""Size, components, precision, sign, colour and loss of a compressed frame, read from its markers.

Read before decoding, so that a frame whose size differs from the header's is refused before anything is allocated.
Sources: ITU-T T.81 B.2 (JPEG), T.87 C.2 (JPEG-LS), T.800 A.5, A.6 (JPEG 2000 and HTJ2K).
"""

from dataclasses import dataclass

_SOF = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
_SOF_LOSSLESS, _SOF_JPEG_LS, _SOS = frozenset({0xC3, 0xC7, 0xCB, 0xCF}), 0xF7, 0xDA
_WITHOUT_SEGMENT = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class Codestream:
    """Description of a compressed frame by its own markers.

    ``adobe_transform``: 0 none, 1 YCbCr, 2 YCCK, None without APP14. ``components``: JPEG component identifiers.
    ``colour_transform``: JPEG 2000's own multi-component transform is used. ``lossy``: the process loses information: a DCT, JPEG-LS with
    an allowed difference (NEAR), the irreversible wavelet. A reversible JPEG 2000 stream may have been cut, which it does not say.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False
    jfif: bool = False
    adobe_transform: int | None = None
    components: tuple[int, ...] = ()
    colour_transform: bool = False
    lossy: bool = False

    @property
    def is_ycbcr(self) -> bool | None:
        """Whether the three components of a JPEG are YCbCr by its markers; None where they do not say, or contradict each other.

        With JFIF, which is always YCbCr, an Adobe segment may say "no transform". libjpeg, and so most viewers, believe JFIF.
        """
        if self.adobe_transform is not None:
            return None if self.jfif and self.adobe_transform != 1 else self.adobe_transform == 1
        if self.components == (82, 71, 66):  # "RGB"
            return False
        return True if self.jfif else None


def read_codestream(frame: bytes) -> Codestream | None:
    """The description of a frame; None if the bytes are neither JPEG, JPEG-LS nor JPEG 2000."""
    if frame[:2] == b"\xff\xd8":
        return _read_jpeg(frame)
    if frame[:4] == b"\xff\x4f\xff\x51":
        return _read_jpeg_2000(frame, 0)
    if frame[:12] == b"\x00\x00\x00\x0cjP  \r\n\x87\n":  # a JP2 file, which PS3.5 8.2.4 forbids and some devices write
        start = frame.find(b"\xff\x4f\xff\x51")
        return _read_jpeg_2000(frame, start) if start > 0 else None
    return None


def _read_jpeg(frame: bytes) -> Codestream | None:
    at, size = 2, len(frame)
    jfif, adobe = False, None
    while at + 4 <= size:
        if frame[at] != 0xFF:
            return None
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _WITHOUT_SEGMENT:
            at += 2
            continue
        length = int.from_bytes(frame[at + 2 : at + 4], "big")
        body = frame[at + 4 : at + 2 + length]
        if marker in _SOF:
            if len(body) < 6 or len(body) < 6 + 3 * body[5]:
                return None
            ids = tuple(body[6 + 3 * i] for i in range(body[5]))
            return Codestream(
                rows=int.from_bytes(body[1:3], "big"),
                columns=int.from_bytes(body[3:5], "big"),
                samples=body[5],
                precision=body[0],
                jfif=jfif,
                adobe_transform=adobe,
                components=ids,
                lossy=_allows_difference(frame, at + 2 + length) if marker == _SOF_JPEG_LS else marker not in _SOF_LOSSLESS,
            )
        if marker == 0xE0 and body[:5] == b"JFIF\0":
            jfif = True
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker in (0xD9, _SOS):
            return None
        at += 2 + length
    return None


def _allows_difference(frame: bytes, at: int) -> bool:
    """Whether NEAR of a JPEG-LS scan is above zero (T.87 C.2.3). ``at``: the marker behind the frame header."""
    while at + 5 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] == _SOS:
            near = at + 5 + 2 * frame[at + 4]
            return frame[near : near + 1] > b"\0"
        at += 1 if frame[at + 1] == 0xFF else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return False


def _read_jpeg_2000(frame: bytes, start: int) -> Codestream | None:
    siz = frame[start + 4 : start + 4 + 41]  # Lsiz Rsiz X Y XO YO XT YT XTO YTO Csiz, then Ssiz of the first component
    if len(siz) < 39:
        return None
    x, y, x0, y0 = (int.from_bytes(siz[i : i + 4], "big") for i in (4, 8, 12, 16))
    depth = siz[38]
    cod = frame.find(b"\xff\x52", start, start + 4096)
    return Codestream(
        rows=y - y0,
        columns=x - x0,
        samples=int.from_bytes(siz[36:38], "big"),
        precision=(depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
        colour_transform=cod > 0 and frame[cod + 8 : cod + 9] == b"\x01",
        lossy=cod > 0 and frame[cod + 13 : cod + 14] == b"\0",
    )
