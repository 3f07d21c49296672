"""A folder like HAM10000, of drawn lesions: index.csv, one archive of images and one of masks. Its classes mean nothing."""

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from deploy.demo.synthetic.lesion import make_lesion

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
LESIONS_PER_CLASS = 8
COLUMNS = ("image_id", "archive", "lesion_id", "dx", "dx_type", "age", "sex", "localization")


def make_ham(data: Path) -> Path:
    """Eight lesions of every class, the first with two images; ``data`` itself."""
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
                lesion = make_lesion(number * 2 + view, size=(224, 224))
                add(tar, f"{name}.jpg", lesion.jpeg)
                add(masks, f"{name}.png", frame(lesion.mask))
                known = {"age": "" if number % 5 == 0 else "45.0", "sex": "female", "localization": "back", "dx_type": "histo"}
                table.writerow({"image_id": name, "archive": archive, "lesion_id": f"L{number}", "dx": dx, **known})
    return data


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def frame(mask: np.ndarray) -> bytes:
    """A square mask as a PNG of 200 x 150 with the square in its middle."""
    whole = Image.new("L", (200, 150))
    whole.paste(Image.fromarray(mask.astype(np.uint8) * 255).resize((150, 150)), (25, 0))
    content = io.BytesIO()
    whole.save(content, "PNG")
    return content.getvalue()
