"""Prints the pins of some sets with the SHA-256 of their files, for ``pip install --require-hashes -r``.

``python3 requirements/hashed.py worker embedded``. The hashes of every file of each pinned version are in ``hashes.txt``, which `make lock`
writes; pip installs no file with another one. torch is left out: the package index of the machine decides which of its wheels is
installed (CPU or CUDA). It is installed by itself, from ``torch.txt``, after the packages that it needs. Needs Python alone.

Exit status: 0, or 2 where a set is unknown or a pin has no hash.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_HASHED = frozenset({"torch"})
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*==[^ ;\\]+)")


def read_hashes(path: Path) -> dict[str, list[str]]:
    """Return ``name==version`` -> its ``--hash`` options, of a file of `uv pip compile --generate-hashes`."""
    found: dict[str, list[str]] = {}
    pin = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := _PIN.match(line):
            pin = match[1]
            found.setdefault(pin, [])
        elif line.strip().startswith("--hash="):
            found[pin].append(line.strip().removesuffix("\\").rstrip())
    return found


def hashed_lines(sets: list[str], folder: Path = HERE) -> list[str]:
    """Return the lines of these sets, each pin once.

    Raises
    ------
    LookupError
        There is no such set, or a pin has no hash.
    """
    hashes, lines = read_hashes(folder / "hashes.txt"), dict[str, None]()
    for name in sets:
        path = folder / f"{name}.txt"
        if not path.is_file():
            raise LookupError(f"there is no set {name}; expected the name of a file of {folder} without .txt")
        for line in path.read_text(encoding="utf-8").splitlines():
            match = _PIN.match(line)
            if match is None or match[1].split("==")[0] in NOT_HASHED:
                continue
            if not hashes.get(match[1]):
                raise LookupError(f"{path.name}: {match[1]} has no hash in hashes.txt; run make lock")
            lines[" \\\n    ".join([line.strip(), *hashes[match[1]]])] = None
    return list(lines)


if __name__ == "__main__":
    try:
        print("\n".join(hashed_lines(sys.argv[1:])))
    except LookupError as error:
        print(f"hashed.py: {error}", file=sys.stderr)
        sys.exit(2)
