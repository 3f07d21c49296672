"""Creates a data set in the layout of HAM10000 from synthetic lesions: index.csv, an archive of images and one of masks."""

import csv
import io
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from deploy.demo.synthetic.lesion import make_lesion

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
LESIONS_PER_CLASS = 8
COLUMNS = ("image_id", "archive", "lesion_id", "dx", "dx_type", "age", "sex", "localization")


def make_ham10000_like(data: Path) -> Path:
    """Write eight lesions of every class, the first with two images; return ``data``. The classes are arbitrary."""
    folder = data / "dermoscopy"
    folder.mkdir(parents=True)
    archive = "ham10000-224.tar"
    with (
        (folder / "index.csv").open("w", newline="") as lines,
        tarfile.open(folder / archive, "w") as tar,
        tarfile.open(folder / "ham10000-masks-200x150.tar", "w") as masks,
    ):
        table = csv.DictWriter(lines, COLUMNS)
        table.writeheader()
        for number in range(len(CLASSES) * LESIONS_PER_CLASS):
            dx = CLASSES[number % len(CLASSES)]
            for view in range(2 if number < len(CLASSES) else 1):
                name = f"IMG_{number:04d}_{view}"
                jpeg, mask = _picture(number * 2 + view)
                add(tar, f"{name}.jpg", jpeg)
                add(masks, f"{name}.png", mask)
                known = {"age": "" if number % 5 == 0 else "45.0", "sex": "female", "localization": "back", "dx_type": "histo"}
                table.writerow({"image_id": name, "archive": archive, "lesion_id": f"L{number}", "dx": dx, **known})
    return data


@cache
def _picture(seed: int) -> tuple[bytes, bytes]:
    """Draw a lesion, once in a process: JPEG and PNG of its mask."""
    lesion = make_lesion(seed, size=(224, 224))
    return lesion.jpeg, frame(lesion.mask)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to an archive."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def frame(mask: np.ndarray) -> bytes:
    """Return a square mask as a PNG of 200 x 150 pixels with the square in the middle."""
    whole = Image.new("L", (200, 150))
    whole.paste(Image.fromarray(mask.astype(np.uint8) * 255).resize((150, 150)), (25, 0))
    content = io.BytesIO()
    whole.save(content, "PNG")
    return content.getvalue()
