"""Pictures with captions, and the views that they make up."""

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True, slots=True)
class CaptionedPicture:
    """One picture and the text under it. ``heat``: it shows the heat map, which needs a legend."""

    image: Image.Image
    caption: str
    heat: bool = False


@dataclass(frozen=True, slots=True)
class FindingView:
    """The pictures of one finding, the largest first, and the image that they show.

    ``number``: of the finding, from 1; 0 for a view of the whole image with all findings.
    """

    number: int
    pictures: tuple[CaptionedPicture, ...]
    sop_instance_uid: str
    frame: int | None = None
