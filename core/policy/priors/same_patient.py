"""Decides whether two studies with one Patient ID are of one person, as far as a comparison of results needs it (docs/decisions/0055).

A Patient ID is unique only among those of its issuer (PS3.3 C.7.1.1; IHE ITI TF-1, Patient Identifier Domain), and many data sets name no
issuer. A second attribute has to agree then, and none may contradict. A wrong comparison misleads the reader and shows the result of
another person; a comparison that is left out is said with its reason.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from core.counted import counted
from core.policy.priors.choice import parse_date

PLACEHOLDER_IDS = frozenset({
    "anon", "anonym", "anonymous", "anonymized", "anonymised", "deidentified", "unidentified", "unknown", "unk", "unnamed", "none", "null",
    "nil", "nan", "na", "noid", "nopatientid", "id", "pid", "patient", "patientid", "patientname", "pat", "test", "tester", "testing",
    "testid", "testpatient", "patienttest", "dummy", "dummypatient", "demo", "sample", "default", "example", "temp", "tmp", "new",
    "phantom", "qa", "qc", "calibration", "service",
})  # fmt: skip
"""Patient IDs that stand for no person, in lower case and without other characters than letters and digits."""
PLACEHOLDER_NAME_WORDS = PLACEHOLDER_IDS | {"name", "no", "not", "known", "given", "subject", "case", "study"}
DIGITS_IN_ORDER = "0123456789"
FIRST_YEAR, LAST_YEAR = 1901, 2100  # 19000101 and 99991231 stand for unknown dates
SEXES = frozenset({"M", "F"})  # O (other) is written for unknown, too
LEAST_WORDS = 2  # of a name that says who a person is: many persons share a family name


class IdentityDoubt(StrEnum):
    """Why a study is not compared with another one of the same Patient ID. The words are stored."""

    NO_ID = "no_id"
    PLACEHOLDER_ID = "placeholder_id"
    ONE_ISSUER = "one_issuer"
    BIRTH_DATE = "birth_date"
    SEX = "sex"
    NAME = "name"
    NOTHING_ELSE = "nothing_else"


OF_THE_STUDY = {
    IdentityDoubt.NO_ID: "the study has no Patient ID",
    IdentityDoubt.PLACEHOLDER_ID: "the Patient ID of the study is a placeholder, which several persons may have",
}
"""Doubts about one study, which is then compared with nothing."""
BETWEEN_STUDIES = {
    IdentityDoubt.ONE_ISSUER: "only one of the studies names the issuer of the Patient ID",
    IdentityDoubt.BIRTH_DATE: "the birth dates differ",
    IdentityDoubt.SEX: "the sexes differ",
    IdentityDoubt.NAME: "the names differ",
    IdentityDoubt.NOTHING_ELSE: "neither issuer, birth date nor full name shows that it is of the same person",
}
LeftOut = tuple[tuple[IdentityDoubt, int], ...]
"""How many earlier results were left out for each doubt; 0 for a doubt about the study itself."""


@dataclass(frozen=True, slots=True)
class Person:
    """What a study says of its patient, as its header has it; "" where it says nothing."""

    patient_id: str
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""


def doubt_of_id(patient_id: str) -> IdentityDoubt | None:
    """Return why a Patient ID does not say who a person is; None where it may."""
    if not patient_id.strip():
        return IdentityDoubt.NO_ID
    plain = "".join(_words(patient_id))
    repeated = len(set(plain)) <= 1  # "0", "999999", "XXX", and "---", which has neither letters nor digits
    in_order = len(plain) >= 3 and plain in DIGITS_IN_ORDER
    return IdentityDoubt.PLACEHOLDER_ID if repeated or in_order or plain in PLACEHOLDER_IDS else None


def doubt_between(one: Person, other: Person, *, unique_ids: bool = False) -> IdentityDoubt | None:
    """Return why two studies with one Patient ID are not of one person, or not surely so; None where they are.

    ``unique_ids``: the site vouches that no two of its patients have one Patient ID, so that no second attribute is needed. Attributes
    that contradict each other count all the same. Two different issuers are two persons: the caller leaves these out without a word.
    """
    issuers = [person.issuer.strip() for person in (one, other)]
    if issuers[0] != issuers[1]:
        return IdentityDoubt.ONE_ISSUER
    dates = [_known_date(person.birth_date) for person in (one, other)]
    if all(dates) and dates[0] != dates[1]:
        return IdentityDoubt.BIRTH_DATE
    if {person.sex.strip().upper() for person in (one, other)} == SEXES:
        return IdentityDoubt.SEX
    first, second = _name_words(one), _name_words(other)
    if _comparable(first, second) and not first & second:
        return IdentityDoubt.NAME
    same_name = len(first & second) >= LEAST_WORDS and (first <= second or second <= first)
    if issuers[0] or all(dates) or same_name or unique_ids:
        return None
    return IdentityDoubt.NOTHING_ELSE


def left_out_in_words(left_out: LeftOut) -> str:
    """Return the sentences on earlier results of the same Patient ID that were left out; "" where there are none."""
    sentences = []
    for doubt, number in left_out:
        if doubt in OF_THE_STUDY:
            sentences.append(f"Earlier results were not looked for: {OF_THE_STUDY[doubt]}.")
        else:
            results = counted(number, "earlier result with the same Patient ID was", "earlier results with the same Patient ID were")
            sentences.append(f"{results} left out: {BETWEEN_STUDIES[doubt]}.")
    return " ".join(sentences)


def _known_date(text: str) -> str:
    """A birth date (DA); "" where it is missing, wrong or a placeholder."""
    found = parse_date(text)
    return "" if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR else found.isoformat()


def _name_words(person: Person) -> frozenset[str]:
    """The words of a name that say who a person is; none of a pseudonym that repeats the Patient ID."""
    words = _words(person.name)
    if "".join(words) == "".join(_words(person.patient_id)):
        return frozenset()
    return frozenset(word for word in words if _is_of_a_name(word))


def _is_of_a_name(word: str) -> bool:
    """Whether a word is no placeholder, no initial and no number."""
    initial = len(word) == 1 and word.isascii()  # one ideograph is a whole name
    return word not in PLACEHOLDER_NAME_WORDS and not initial and not any(one.isdigit() for one in word)


def _words(text: str) -> list[str]:
    """The words of a text in lower case, without accents."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(one))
    return re.findall(r"[^\W_]+", plain)


def _comparable(first: Iterable[str], second: Iterable[str]) -> bool:
    """Whether both names have a word in one script, such as LATIN."""
    scripts = [{unicodedata.name(word[0], "").partition(" ")[0] for word in words} for words in (first, second)]
    return bool(scripts[0] & scripts[1])
