"""Prints the files of the tests that failed in the last run of pytest; fails if too many failed to be the effect of a busy machine.

Whole files, because the tests of a file may run in order and share a node: such a test cannot pass alone.
"""

import json
import sys
from pathlib import Path

LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")
MAX_FAILED = 5


def main() -> int:
    """Print the tests on standard error and their files on standard output; return the exit status."""
    failed = sorted(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else []
    if not 1 <= len(failed) <= MAX_FAILED:
        print(f"{len(failed)} failed tests are recorded; between 1 and {MAX_FAILED} are run again", file=sys.stderr)
        return 1
    print("These tests failed beside others; their files are run again alone:", *failed, sep="\n  ", file=sys.stderr)
    print(*sorted({test.partition("::")[0] for test in failed}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
