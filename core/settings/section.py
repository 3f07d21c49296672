"""What every section of the configuration is made of."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _ae_title(value: str) -> str:
    """PS3.5 6.2, VR AE: 1 to 16 characters of the default repertoire, no backslash, not only spaces."""
    stripped = value.strip() if isinstance(value, str) else ""
    if not 1 <= len(stripped) <= 16 or not stripped.isascii() or not stripped.isprintable() or "\\" in stripped:
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return stripped


AeTitle = Annotated[str, BeforeValidator(_ae_title)]
Port = Annotated[int, Field(ge=0, le=65535)]  # 0: any free port (demo and tests)
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
