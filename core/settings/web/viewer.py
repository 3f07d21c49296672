"""``[console.viewer]``: the viewer of the console, and the processes that decode images for it."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from core.settings.section import Seconds, Section

STUDY_UID = "{study}"


class ViewerSection(Section):
    """``[console.viewer]``: limits of the render processes, size of their cache, and the link to another viewer."""

    processes: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Render processes at once. They decode images, so that the web process never does. Further units wait.",
    )
    memory_mib: int = Field(
        default=3072,
        ge=512,
        description="Address space of a render process, in MiB. A unit that needs more is not displayed, and the viewer says so.",
    )
    time_s: Seconds = Field(default=120.0, description="Seconds after which a render process is ended and the viewer says so.")
    cache_folder: Path | None = Field(
        default=None, description="Folder of the decoded images; it holds patient data. Default: `viewer-cache` in `node.data_dir`."
    )
    cache_mib: int = Field(
        default=4096,
        ge=64,
        description="Size of the decoded images, in MiB. Those that were used least recently are removed.",
    )
    keep_s: Seconds = Field(
        default=43200.0, description="Seconds after which decoded images that were not displayed are removed from the cache."
    )
    ohif_url: str = Field(
        default="",
        description="Optional: address of a study in OHIF, with `{study}` for the Study Instance UID, for example "
        "`https://pacs.example.org/ohif/viewer?StudyInstanceUIDs={study}`. The console then links to it.",
    )

    @model_validator(mode="after")
    def _check_ohif_url(self) -> Self:
        url = self.ohif_url
        if url and (not url.startswith(("http://", "https://")) or STUDY_UID not in url):
            raise ValueError("console.viewer.ohif_url begins with http:// or https:// and holds {study}")
        return self

    def ohif_link(self, study_instance_uid: str) -> str:
        """Return the address of a study in OHIF; empty where none is configured."""
        return self.ohif_url.replace(STUDY_UID, study_instance_uid)
