"""Looks for lungs in a series, as a child process: ``python -m dicom_node.conduct.image_search.lung_process``.

It reads a JSON list of paths from standard input, and writes the answer of `models.ct.lung_search` as a JSON list, or what the system
said (text) where a file cannot be read now. It limits its memory and processor time before it loads anything that parses.
"""

import errno
import json
import sys
from pathlib import Path

from core.process_limits import limit_process

MEMORY_BYTES = 4 << 30
CPU_S = 30


def main() -> None:
    """Answer one request."""
    limit_process(MEMORY_BYTES, cpu_s=CPU_S)
    from models.ct.lung_search import search_lungs  # imported under the limits: it loads every codec

    try:
        answer: object = search_lungs([Path(name) for name in json.load(sys.stdin)])
    except OSError as error:
        if error.errno == errno.ENOMEM:  # the limit of this process
            raise
        answer = error.strerror
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
