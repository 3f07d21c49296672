"""``[upload]``: files that people upload in the console."""

from pathlib import Path

from pydantic import Field

from core.settings.section import Seconds, Section


class UploadSection(Section):
    """``[upload]``: limits of uploads in the console and over the API."""

    folder: Path | None = Field(
        default=None,
        description="Folder for files that are being uploaded; console and listener both write to it. Default: `uploads` in "
        "`node.data_dir`.",
    )
    max_file_bytes: int = Field(
        default=4 << 30, ge=1, description="Largest DICOM file or zip archive, in bytes. Photographs may have 16 MiB."
    )
    max_files: int = Field(default=5000, ge=1, le=20_000, description="Files that may be uploaded together.")
    max_user_bytes: int = Field(
        default=16 << 30, ge=1, description="Bytes that one user may have in the upload folder; they are removed once they are stored."
    )
    max_total_bytes: int = Field(default=64 << 30, ge=1, description="Bytes that all users together may have in the upload folder.")
    max_unpacked_bytes: int = Field(default=16 << 30, ge=1, description="Bytes that the entries of one zip archive may have together.")
    incomplete_s: Seconds = Field(
        default=86400.0, description="Seconds without a further piece after which a file that has not arrived completely is deleted."
    )
    keep_s: Seconds = Field(
        default=7 * 86400.0,
        description="Seconds after the end of an upload for which its page can be read. Then its rows, which name the files and the "
        "patient, are deleted.",
    )
