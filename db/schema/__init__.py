"""The schema of the database: one SQL file per subject, and revisions (alembic) that apply them.

The files in `INITIAL` are revision 0001 and do not change after its release. From here on revisions are additive: a change is a new
module in ``versions``, with a new SQL file where it has more than a few statements, that adds tables, columns with a default, or indexes.
It never removes or renames what a released version uses, so that an older role may still run while the database is upgraded. The
exception is ``views.sql``: views hold no data and are created anew, all of them, by every upgrade to another revision.

`docs/schema.md` is generated from the catalogue of an upgraded database (``make schema``).
"""

from pathlib import Path

FOLDER = Path(__file__).parent

INITIAL = (
    "installation", "units", "receive", "models", "jobs", "results", "deliveries", "commitment", "operations", "audit", "counters",
    "admission",
)  # fmt: skip
"""The files of revision 0001, in the order in which their tables refer to each other."""


VIEWS = ("v_verdicts", "v_audit", "v_findings", "v_deliveries", "v_jobs")
"""The views of ``views.sql``: each stands before the ones that it reads, so that they can be dropped in this order."""


def read_sql(name: str) -> str:
    """Return the statements of one file of this folder, separated by semicolons."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
