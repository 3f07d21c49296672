"""A folder like HAM10000, of drawn lesions: index.csv and one archive. Its classes mean nothing."""

import csv
import io
import tarfile
from pathlib import Path

from imaging.synthetic.lesion import make_lesion

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
LESIONS_PER_CLASS = 8
COLUMNS = ("image_id", "archive", "lesion_id", "dx", "dx_type", "age", "sex", "localization")


def make_ham(data: Path) -> Path:
    """Eight lesions of every class, the first with two images; ``data`` itself."""
    folder = data / "dermoscopy"
    folder.mkdir(parents=True)
    archive = "ham10000-224.tar"
    with (folder / "index.csv").open("w", newline="") as lines, tarfile.open(folder / archive, "w") as tar:
        table = csv.DictWriter(lines, COLUMNS)
        table.writeheader()
        for number in range(len(CLASSES) * LESIONS_PER_CLASS):
            dx = CLASSES[number % len(CLASSES)]
            for view in range(2 if number < len(CLASSES) else 1):
                name = f"IMG_{number:04d}_{view}"
                jpeg = make_lesion(number * 2 + view, size=(224, 224)).jpeg
                member = tarfile.TarInfo(f"{name}.jpg")
                member.size = len(jpeg)
                tar.addfile(member, io.BytesIO(jpeg))
                known = {"age": "" if number % 5 == 0 else "45.0", "sex": "female", "localization": "back", "dx_type": "histo"}
                table.writerow({"image_id": name, "archive": archive, "lesion_id": f"L{number}", "dx": dx, **known})
    return data
