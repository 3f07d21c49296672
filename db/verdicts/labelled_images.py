"""The images that a clinician has judged, with the label that holds: what a training across sites learns from."""

from dataclasses import dataclass

from sqlalchemy import text

from db.engine import Database

# A later verdict supersedes an earlier one; a rejected finding has no label. One content has one label, also where it was received twice or
# analysed by several versions: that of its last verdict. Where that label was rejected still later, in another result, there is none.
_LABELLED = text("""
    WITH judged AS (
        SELECT i.sop_instance_uid, i.sha256, v.id, v.verdict, CASE v.label WHEN '' THEN f.label ELSE v.label END AS label
        FROM verdicts v
        JOIN jobs j ON j.id = v.job_id AND j.model = :model AND NOT j.shadow
        JOIN findings f ON f.id = v.finding_id
        JOIN job_inputs ji ON ji.job_id = j.id
        JOIN instances i ON i.id = ji.instance_id AND i.removed_at IS NULL
        WHERE v.verdict IN ('accepted', 'corrected', 'rejected') AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id)
          AND 1 = (SELECT count(*) FROM job_inputs WHERE job_id = j.id)
    ), last AS (
        SELECT DISTINCT ON (sha256) sop_instance_uid, sha256, id, label FROM judged WHERE verdict <> 'rejected' ORDER BY sha256, id DESC
    )
    SELECT sop_instance_uid, sha256, label FROM last
    WHERE NOT EXISTS (
        SELECT FROM judged later
        WHERE later.sha256 = last.sha256 AND later.verdict = 'rejected' AND later.label = last.label AND later.id > last.id
    )
    ORDER BY sop_instance_uid
""")


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One stored image (``sha256`` of its content) and the label that a clinician accepted or gave."""

    sop_instance_uid: str
    sha256: str
    label: str


def labelled_images(database: Database, model: str) -> list[LabelledImage]:
    """Single images with a result of ``model`` that has a current verdict, ordered by SOP Instance UID; removed images are left out.

    No content is listed twice.
    """
    with database.begin() as connection:
        return [LabelledImage(*row) for row in connection.execute(_LABELLED, {"model": model})]
