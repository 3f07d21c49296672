"""The images that a clinician has judged, with the label that holds: what a training across sites learns from."""

from dataclasses import dataclass

from sqlalchemy import text

from db.engine import Database

# A later verdict supersedes an earlier one; a rejected finding has no label. One image has one label: that of its last verdict.
_LABELLED = text("""
    SELECT DISTINCT ON (i.sop_instance_uid) i.sop_instance_uid, i.sha256,
           CASE v.label WHEN '' THEN f.label ELSE v.label END AS label
    FROM verdicts v
    JOIN jobs j ON j.id = v.job_id AND j.model = :model AND NOT j.shadow
    JOIN findings f ON f.id = v.finding_id
    JOIN job_inputs ji ON ji.job_id = j.id
    JOIN instances i ON i.id = ji.instance_id AND i.removed_at IS NULL
    WHERE v.verdict IN ('accepted', 'corrected') AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id)
      AND 1 = (SELECT count(*) FROM job_inputs WHERE job_id = j.id)
    ORDER BY i.sop_instance_uid, v.id DESC
""")


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One stored image (``sha256`` of its content) and the label that a clinician accepted or gave."""

    sop_instance_uid: str
    sha256: str
    label: str


def labelled_images(database: Database, model: str) -> list[LabelledImage]:
    """Single images with a result of ``model`` that has a current verdict, ordered by SOP Instance UID; removed images are left out."""
    with database.begin() as connection:
        return [LabelledImage(*row) for row in connection.execute(_LABELLED, {"model": model})]
