"""Whether an upload may begin: number and size of the files, space of the user and of all, free disk, back-pressure."""

import shutil

from core.policy.back_pressure import PAUSE_REASONS
from core.settings.settings import Settings
from db.engine import Database
from db.operations.alerts import current_alerts
from db.receive.backlog import PAUSED
from db.uploads.shared_folder import has_listener
from db.uploads.upload_records import AnnouncedFile
from db.uploads.uploads import spooled_bytes
from imaging.photograph.file_kind import FileKind, kind_named

PHOTOGRAPH_BYTES = 16 << 20
MOST_ANNOUNCEMENT_BYTES = 4 << 20
MOST_ROUTE_TEST_BYTES = 128 << 20  # the files of one form are read into memory


class NotNow(Exception):
    """An upload is refused as a whole. ``status`` is that of HTTP: 413 too much, 503 try again later."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def file_refusal(name: str, size_bytes: int, settings: Settings) -> str:
    """Return why a file is refused before a byte of it is sent; "" where it may come."""
    named = kind_named(name)
    if not size_bytes:
        return "the file is empty"
    if named.is_image and size_bytes > PHOTOGRAPH_BYTES:
        return f"a photograph may have 16 MB, this file has {size_bytes / (1 << 20):.1f} MB"
    if size_bytes > settings.upload.max_file_bytes:
        return f"a file may have {settings.upload.max_file_bytes >> 20} MB, this one has {size_bytes >> 20} MB"
    if named is FileKind.OTHER and name.rpartition(".")[2].lower() in (
        "heic",
        "heif",
        "webp",
        "gif",
        "bmp",
        "pdf",
        "docx",
        "rar",
        "7z",
        "gz",
    ):
        return "this kind of file is not read: give JPEG, PNG, TIFF, DICOM or zip"
    return ""


def check_room(database: Database, settings: Settings, actor: str, files: list[AnnouncedFile]) -> None:
    """Check that there is room for these files.

    Raises
    ------
    NotNow
        There is none, now or at all.
    """
    limits, coming = settings.upload, sum(file.size_bytes for file in files if not file.refusal)
    check_receiving(database)
    if not has_listener(database, settings.uploads_dir):
        raise NotNow("the listener reads another folder than this console writes to: tell the operator to share upload.folder", 503)
    held = spooled_bytes(database, actor)
    if held.of_actor + coming > limits.max_user_bytes:
        raise NotNow(f"you may have {limits.max_user_bytes >> 20} MB waiting: let your other uploads end, or cancel them", 413)
    if held.total + coming > limits.max_total_bytes:
        raise NotNow("too many uploads are waiting: try again in a few minutes", 503)
    if free_bytes(settings) - coming < settings.receive.min_free_bytes:
        raise NotNow("the disk of the node has no room for this upload: tell its operator", 503)


def check_receiving(database: Database) -> None:
    """Raises NotNow while the listeners have paused receiving (back-pressure): uploads are no way around it."""
    reasons = [alert.subject for alert in current_alerts(database) if alert.kind == PAUSED]
    if reasons:
        words = ", ".join(PAUSE_REASONS.get(reason, reason) for reason in reasons)
        raise NotNow(f"the node accepts no images at the moment: {words}", 503)


def free_bytes(settings: Settings) -> int:
    """Return the free space where uploads are kept, in bytes."""
    return shutil.disk_usage(settings.uploads_dir).free


def larger_bodies(settings: Settings) -> dict[str, int]:
    """Return the paths whose requests carry files, and how many bytes their bodies may have."""
    return {
        "/uploads/": settings.upload.max_file_bytes,
        "/upload": MOST_ANNOUNCEMENT_BYTES,
        "/api/v1/predict": settings.upload.max_file_bytes,
        "/operations/route-test": MOST_ROUTE_TEST_BYTES,
    }
