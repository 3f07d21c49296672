"""Imports pydicom without the library ``requests``.

pydicom uses it to download test files, which the node never does, or urllib instead. Importing it takes a third of the time.
"""

import sys
from types import ModuleType
from typing import cast

UNUSED = "requests"


def import_pydicom() -> None:
    """Import pydicom in such a way that its attempt to import ``requests`` fails. No effect where one of them is imported already."""
    if UNUSED in sys.modules or "pydicom" in sys.modules:
        return
    sys.modules[UNUSED] = cast(ModuleType, None)  # Python's way to say that a module cannot be imported
    try:
        import pydicom  # noqa: F401
    finally:
        del sys.modules[UNUSED]
