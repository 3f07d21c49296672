"""scipy.ndimage, which ships no types, under one name for the type checker."""

from typing import Any

from scipy import ndimage as _ndimage

ndimage: Any = _ndimage
