"""Files like those of ISIC 2017 beside a drawn HAM10000: isic2017-index.csv and one archive. The classes mean nothing."""

import csv
import tarfile
from pathlib import Path

from imaging.synthetic.lesion import make_lesion
from tests.support.ham import add

CLASSES = ("mel", "bkl", "nv")
COLUMNS = ("file", "isic_id", "label_isic2019", "label_ham7", "split_2017", "src_w", "src_h", "repo", "src_path")
PARTS = ("Training", "Validation", "Test_v2")


def make_isic(data: Path, of_each: int = 2) -> Path:
    """``of_each`` images of every class in each of the challenge's parts, into ``data``/dermoscopy; ``data`` itself."""
    folder = data / "dermoscopy"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "isic2017-index.csv").open("w", newline="") as lines, tarfile.open(folder / "isic2017-224.tar", "w") as tar:
        table = csv.DictWriter(lines, COLUMNS, restval="")
        table.writeheader()
        number = 0
        for part in PARTS:
            for dx in CLASSES * of_each:
                name = f"ISIC_{number:07d}"
                add(tar, f"{name}.jpg", make_lesion(900 + number, size=(224, 224)).jpeg)
                table.writerow({"file": f"{name}.jpg", "isic_id": name, "label_ham7": dx, "split_2017": part})
                number += 1
    return data
