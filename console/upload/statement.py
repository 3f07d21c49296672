"""What a person states about uploaded photographs: patient, date, kind and region of the skin. DICOM files say it themselves."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from imaging.photograph.skin_regions import region_keys


def _plain(value: str) -> str:
    """Refuse what DICOM text may not hold (PS3.5 6.2, VR LO and PN): backslash, control characters, and the delimiters of names."""
    stripped = value.strip()
    if not stripped.isprintable() or set(stripped) & set("\\^="):
        raise ValueError("one line without the characters \\ ^ =")
    return stripped


def _region(value: str) -> str:
    if value and value not in region_keys():
        raise ValueError("a region of the body map")
    return value


def _past(value: date | Literal[""]) -> date | Literal[""]:
    if isinstance(value, date) and not date(1850, 1, 1) <= value <= date.today():
        raise ValueError("a date that is not in the future")
    return value


Text64 = Annotated[str, Field(max_length=64), AfterValidator(_plain)]
PastDate = Annotated[date | Literal[""], AfterValidator(_past)]


class Statement(BaseModel):
    """The fields of the form; every one may be empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["dermoscopy", "vl"] = "dermoscopy"
    region: Annotated[str, AfterValidator(_region)] = ""
    patient_id: Text64 = ""
    family_name: Text64 = ""
    given_name: Text64 = ""
    birth_date: PastDate = ""
    sex: Literal["", "F", "M", "O"] = ""
    accession_number: Annotated[str, Field(max_length=16), AfterValidator(_plain)] = ""
    taken_on: PastDate = ""
    description: Text64 = ""

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if len(self.family_name) + len(self.given_name) > 63:  # PS3.5 6.2: 64 characters of a component group, with one ^
            raise ValueError("family and given name together may have 63 characters")
        return self

    def values(self) -> dict[str, str]:
        """Return the statement as the listener reads it: values of DICOM attributes."""
        name = f"{self.family_name}^{self.given_name}".rstrip("^")
        dates = {
            key: value.strftime("%Y%m%d") if value else "" for key, value in (("birth_date", self.birth_date), ("taken_on", self.taken_on))
        }
        plain = {key: str(getattr(self, key)) for key in ("kind", "region", "patient_id", "sex", "accession_number", "description")}
        return {**plain, **dates, "patient_name": name}


def in_words(error: ValidationError) -> str:
    """Name the field of the first error, without its value."""
    first = error.errors(include_input=False, include_url=False)[0]
    named = [str(part) for part in first["loc"] if part in Statement.model_fields]
    field = (named or [str(part) for part in first["loc"]] or ["upload"])[-1].replace("_", " ")
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"
