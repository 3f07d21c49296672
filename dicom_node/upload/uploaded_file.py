"""What one uploaded file holds, stored: a DICOM file, a photograph, or an archive of both."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

from core.errors import CannotUnderstand, IntakeError, OutOfResources
from core.settings.settings import Settings
from db.uploads.upload_records import ClaimedFile, EntryProblem, FileResult
from dicom_node.upload.converter import Converter, not_now
from dicom_node.upload.part10_intake import Part10Intake, TakenInstance
from dicom_node.upload.statement import photograph_place
from imaging.photograph.file_kind import HEAD_BYTES, FileKind, kind_of, mismatch

RENEW_AFTER_S = 10.0


@dataclass(slots=True)
class _Counts:
    instances: int = 0
    known: int = 0
    studies: list[int] = field(default_factory=list)
    problems: list[EntryProblem] = field(default_factory=list)

    def add(self, taken: TakenInstance) -> None:
        self.instances += 1
        self.known += taken.known
        if taken.study_id not in self.studies:
            self.studies.append(taken.study_id)


class UploadedFileReader:
    """Reads uploaded files and stores what they hold.

    Parameters
    ----------
    installation
        Root of the UIDs of photographs.
    renew
        Called now and then while a file is read; raises where the claim is lost.
    """

    def __init__(self, settings: Settings, installation: UUID, intake: Part10Intake, converter: Converter) -> None:
        self._settings = settings
        self._installation = installation
        self._intake = intake
        self._converter = converter

    def read(self, file: ClaimedFile, path: Path, association_row: Callable[[], UUID], renew: Callable[[], None]) -> FileResult:
        """Store everything that the file at ``path`` holds; what cannot be stored is named in the result, and the rest goes on.

        Raises
        ------
        OutOfResources
            Something cannot be read or stored now; the whole file is read again later, which stores nothing twice.
        """
        counts, message = _Counts(), ""
        try:
            head = _read_head(path)
            if path.stat().st_size != file.size_bytes:
                raise CannotUnderstand("it did not arrive completely: upload it again")
            problem = mismatch(file.name, head)
            if problem:
                raise CannotUnderstand(problem)
            if kind_of(head) is FileKind.ZIP:
                self._read_archive(file, path, association_row, renew, counts)
            else:
                counts.add(self._take(file, path, kind_of(head), file.ordinal, association_row))
        except OutOfResources:
            raise
        except IntakeError as error:
            message = str(error)
        except OSError as error:
            raise not_now(str(error.strerror)) from error
        if not counts.instances and not message:
            message = "the archive holds neither DICOM files nor photographs" if not counts.problems else "nothing of the archive was taken"
        return FileResult(counts.instances, counts.known, tuple(counts.studies), tuple(counts.problems), message)

    def _read_archive(
        self, file: ClaimedFile, path: Path, association_row: Callable[[], UUID], renew: Callable[[], None], counts: _Counts
    ) -> None:
        listed = self._converter.request("list", path=str(path), max_bytes=self._settings.upload.max_unpacked_bytes)
        counts.problems += [EntryProblem(name, reason) for name, reason in listed["problems"]]
        renewed_at = time.monotonic()
        for number in listed["entries"]:
            if time.monotonic() - renewed_at > RENEW_AFTER_S:
                renew()
                renewed_at = time.monotonic()
            with _beside(path, "entry") as target:
                limit = self._settings.receive.max_instance_bytes
                entry = self._converter.request("extract", path=str(path), number=number, target=str(target), max_bytes=limit)
                problem = entry["problem"]
                if not problem:
                    try:
                        counts.add(self._take(file, target, FileKind(entry["kind"]), number + 1, association_row))
                    except OutOfResources:
                        raise
                    except IntakeError as error:
                        problem = str(error)
                if problem:
                    counts.problems.append(EntryProblem(entry["name"], problem))
        self._converter.request("close", path=str(path))

    def _take(self, file: ClaimedFile, path: Path, kind: FileKind, number: int, association_row: Callable[[], UUID]) -> TakenInstance:
        if not kind.is_image:
            return self._intake.take(path, association_row)
        place = photograph_place(self._installation, file, _sha256(path), number)
        stored = self._intake.find(place.sop_instance_uid)
        if stored is not None:
            return stored
        with _beside(path, "dcm") as target:
            self._converter.request("photograph", path=str(path), target=str(target), **place.request())
            return replace(self._intake.take(target, association_row), known=False)


@contextmanager
def _beside(path: Path, ending: str) -> Iterator[Path]:
    """Yield a path next to ``path``; a file there is removed at the end."""
    target = path.with_name(f"{path.name}.{ending}")
    try:
        yield target
    finally:
        target.unlink(missing_ok=True)


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise CannotUnderstand("its bytes are missing in the upload folder: upload it again") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
