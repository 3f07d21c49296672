"""The patient's age, sex and lesion site as numbers for the network; each may be unknown."""

from dataclasses import dataclass

import numpy as np

SITES = (
    *("abdomen", "acral", "back", "chest", "ear", "face", "foot", "genital", "hand", "lower extremity"),
    *("neck", "scalp", "trunk", "upper extremity"),
)
FACTS = 4 + len(SITES)
# The columns of each fact.
AGE, SEX, SITE = slice(0, 2), slice(2, 4), slice(4, FACTS)


@dataclass(frozen=True, slots=True)
class Patient:
    """``age_years`` None, ``sex`` or ``site`` "" where unknown; sex "M" or "F"; site a HAM10000 localization word."""

    age_years: float | None = None
    sex: str = ""
    site: str = ""

    def facts(self) -> np.ndarray:
        """(FACTS,) float32: (age - 50) / 25 and whether the age is known; sex and site one-hot; unknown values are zero."""
        values = np.zeros(FACTS, np.float32)
        if self.age_years is not None:
            values[AGE] = (min(max(self.age_years, 0.0), 110.0) - 50.0) / 25.0, 1.0
        if self.sex in ("M", "F"):
            values[SEX.start + ("M", "F").index(self.sex)] = 1.0
        if self.site in SITES:
            values[SITE.start + SITES.index(self.site)] = 1.0
        return values
