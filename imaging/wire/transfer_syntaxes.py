"""Transfer syntax UIDs (PS3.5 Annex A, PS3.6 table A-1) and the groups of them that readers and writers treat alike."""

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
# Pixel data without compression: the deflated syntax compresses the data set as a whole, not its frames.
NATIVE = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN})

_JPEG_FAMILY = "1.2.840.10008.1.2.4."
JPEG_WITH_LOSS = frozenset(_JPEG_FAMILY + str(n) for n in (50, 51, 53, 55))  # baseline, extended, and two retired processes
JPEG_LOSSLESS = frozenset(_JPEG_FAMILY + str(n) for n in (57, 70))
JPEG_LS = frozenset(_JPEG_FAMILY + str(n) for n in (80, 81))
JPEG_2000 = frozenset(_JPEG_FAMILY + str(n) for n in (90, 91, 201, 202, 203))  # 201 to 203: high throughput
MAY_BE_LOSSY = JPEG_WITH_LOSS | {_JPEG_FAMILY + str(n) for n in (81, 91, 203)}  # the last three may be lossless: the codestream says it
# Each frame starts with markers that state its size and precision (`imaging.pixels.codestream`).
WITH_CODESTREAM = JPEG_WITH_LOSS | JPEG_LOSSLESS | JPEG_LS | JPEG_2000
