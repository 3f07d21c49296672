"""The result of one check of ``doctor``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes
    ----------
    name
        What was checked.
    ok
        Whether the node can work as it is.
    found
        What was found, in words.
    fix
        What to do; empty where nothing is to be done.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""
