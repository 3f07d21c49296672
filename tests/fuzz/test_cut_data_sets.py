"""Images of every transfer syntax and of many devices, cut at random: none is taken for a whole one.

``FUZZ_SEED`` and ``FUZZ_INPUTS`` select another or a longer run: ``make fuzz SEED=7 N=10000``.
"""

import os
import random
from pathlib import Path

from core.errors import CannotUnderstand
from dicom_node.receive.headers.header_reader import HeaderReader
from tests.fuzz.costly_datasets import file_of
from tests.fuzz.inputs import all_seeds
from tests.fuzz.seed_files import Seed

SEED = int(os.environ.get("FUZZ_SEED", "1"))
COUNT = int(os.environ.get("FUZZ_INPUTS", "240"))
DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"  # of encapsulated pixel data; some images are whole without it
PADDING = b"\xfc\xff\xfc\xff"  # (FFFC,FFFC) Data Set Trailing Padding, behind the pixel data


def test_no_image_that_was_cut_is_taken_for_a_whole_one(tmp_path: Path) -> None:
    reader, path = HeaderReader(), tmp_path / "one.dcm"

    def is_whole(content: bytes) -> bool:
        path.write_bytes(content)
        try:
            reader.read(path)
        except CannotUnderstand:
            return False
        return True

    try:
        whole = [seed for seed in all_seeds() if is_whole(file_of(seed))]
        rng, taken = random.Random(SEED), []
        for _ in range(COUNT):
            seed = rng.choice(whole)
            head, end = len(file_of(seed)) - len(seed.data_set), image_end(seed)
            place = rng.randrange(1, end) if rng.random() < 0.7 else rng.randrange(max(1, end - 1000), end)
            if is_whole(file_of(seed)[: head + place]):
                taken.append(f"{seed.name}, the first {place} bytes of {len(seed.data_set)}")
    finally:
        reader.close()
    assert len(whole) > 15
    assert taken == []


def image_end(seed: Seed) -> int:
    """Where the last bytes of the image end in the data set: in front of its delimiter, padding elements and null bytes."""
    data_set = seed.data_set
    if PADDING in data_set[-1000:]:
        data_set = data_set[: data_set.rindex(PADDING)]
    return len(data_set.removesuffix(DELIMITER)) - (seed.syntax.endswith(".99") and data_set.endswith(b"\0"))
