"""Which codec decodes text: the defined terms of Specific Character Set, and nothing else, select one (PS3.3 C.12.1.1.2).

pydicom takes a term that it does not know for the name of a Python codec. A sender could so select any of them; some, such as
``punycode``, take time that grows with the square of the length of the text. Latin alphabet No. 9 is
missing in pydicom, which reads it as Latin-1: other characters in eight places.
"""

import re

from pydicom import charset
from pydicom.misc import warn_and_log

# Spellings of defined terms that pydicom corrects, such as "ISO-IR 100" and "ISO_2022_IR_87".
_MISSPELT = re.compile(r"ISO[^_]IR|ISO.2022.IR.")
_LATIN_9, _ESCAPE_TO_LATIN_9 = "iso8859_15", b"\x1b-b"  # the escape: PS3.3 table C.12-3
# pydicom's writer looks up the codec of a defined term once more by its own name.
_CODECS = frozenset({_LATIN_9, *charset.python_encoding.values()})
_correct_spelling = charset._python_encoding_for_corrected_encoding


def _codec_of_unknown_term(term: str) -> str:
    """The codec of a misspelt defined term; of any other value the default repertoire, with a warning that does not quote it."""
    if _MISSPELT.match(term):
        return _correct_spelling(term)
    if term in _CODECS:
        return term
    warn_and_log("Unknown character set - using default encoding instead")
    return charset.default_encoding


def restrict_character_sets() -> None:
    """Let pydicom, in this process, decode text by the codecs of all defined terms, and by no others."""
    charset.python_encoding.update({"ISO_IR 203": _LATIN_9, "ISO 2022 IR 203": _LATIN_9})
    charset.CODES_TO_ENCODINGS[_ESCAPE_TO_LATIN_9] = _LATIN_9
    charset.ENCODINGS_TO_CODES[_LATIN_9] = _ESCAPE_TO_LATIN_9
    charset._python_encoding_for_corrected_encoding = _codec_of_unknown_term  # type: ignore[assignment]
