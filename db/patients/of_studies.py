"""Parts of statements on everything that belongs to the studies ``:studies`` of a person ``:patient_id``, ``:issuer``."""

UNITS = "units u JOIN series se ON se.id = u.series_id"
JOBS = f"jobs j JOIN {UNITS} ON u.id = j.unit_id"
IMAGES = f"instances i JOIN {UNITS} ON u.id = i.unit_id"
OF_STUDIES = "WHERE se.study_id = ANY(CAST(:studies AS bigint[]))"
UPLOADED_FILES = """
    upload_files f JOIN uploads p ON p.id = f.upload_id
    WHERE f.studies && CAST(:studies AS bigint[]) OR (:issuer = '' AND p.statement ->> 'patient_id' = :patient_id)
"""
"""Files ``f`` of uploads ``p``: their images are in the studies, or the uploader has stated the Patient ID, which has no issuer there."""
COMMITMENT_REQUESTS = f"""
    SELECT a.id, count(*) AS instances FROM source_commitment_requests a CROSS JOIN LATERAL unnest(a.sop_instance_uids) AS listed (uid)
    JOIN (SELECT DISTINCT i.sop_instance_uid FROM {IMAGES} {OF_STUDIES}) AS held ON held.sop_instance_uid = listed.uid GROUP BY a.id
"""
"""Requests of sources that list images of the studies."""
OF_ANOTHER_PERSON = """
    (coalesce(nullif(i.header ->> 'patient_id', ''), :patient_id) <> :patient_id
     OR coalesce(nullif(i.header ->> 'issuer_of_patient_id', ''), :issuer) <> :issuer AND :issuer <> '')
"""
"""Whether an image ``i`` of the studies names another person in its own header. One that names none is of the person of its study."""
IN_OTHER_STUDIES = f"""
    {IMAGES} JOIN studies st ON st.id = se.study_id
    WHERE i.header ->> 'patient_id' = :patient_id AND coalesce(i.header ->> 'issuer_of_patient_id', '') = :issuer
      AND NOT st.id = ANY(CAST(:studies AS bigint[]))
"""
"""Images whose own header names the person, in studies of other persons. There is no index: the table is read."""
