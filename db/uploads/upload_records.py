"""Rows of uploads and their files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AnnouncedFile:
    """A file that is to be uploaded, as the browser announces it. ``refusal`` says why it is not wanted; "" where it is."""

    name: str
    size_bytes: int
    modified_ms: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class EntryProblem:
    """One entry of an archive that was refused, and why."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class UploadFile:
    """One file; the attributes are the columns of ``upload_files``."""

    id: int
    upload_id: int
    ordinal: int
    name: str
    size_bytes: int
    modified_ms: int
    state: str
    message: str
    instances: int
    known: int
    studies: tuple[int, ...]
    problems: tuple[EntryProblem, ...]


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload with its files in their order. ``statement`` is what was said about the photographs."""

    id: int
    actor: str
    statement: Mapping[str, str]
    created_at: datetime
    finished_at: datetime | None
    files: tuple[UploadFile, ...]

    @property
    def studies(self) -> tuple[int, ...]:
        """Every study of which instances were uploaded, each once."""
        return tuple(dict.fromkeys(study for file in self.files for study in file.studies))


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """A file that this listener reads; ``attempt`` proves it when the result is written."""

    id: int
    upload_id: int
    ordinal: int
    name: str
    size_bytes: int
    attempt: int
    actor: str
    statement: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file. ``message`` is the reason where nothing was stored."""

    instances: int
    known: int
    studies: tuple[int, ...]
    problems: tuple[EntryProblem, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class SpooledBytes:
    """Sizes of the files in the upload folder that are not finished: of one user, and of all."""

    of_actor: int
    total: int
