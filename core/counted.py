"""Counts with their noun, as ``1 image`` and ``3 images``. The console's scripts have the same in ``static/counted.js``."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return the number with its noun.

    ``plural`` is needed where the noun takes more than an s, changes, or brings its verb: ``counted(n, "image is", "images are")``.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
