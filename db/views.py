"""The views that auditors and exports read. Their names and columns are stable; an upgrade makes them anew, as a whole.

What shadows say is in v_jobs (``shadow``) and in the table findings, never in v_findings: nobody shall take it for a result.
"""

V_JOBS = """
CREATE VIEW v_jobs AS
SELECT j.id AS job_id, j.key AS job_key, j.state AS job_state, j.outcome, j.reason, j.revision, j.run, j.priority,
       j.model, j.model_version, j.pipeline_digest AS model_digest, j.routes, j.destinations, j.attempts, j.worker,
       j.superseded_by, u.id AS unit_id, u.kind AS unit_kind, st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid,
       st.accession_number, st.patient_id, st.issuer_of_patient_id, se.modality, u.source,
       (SELECT count(*) FROM job_inputs i WHERE i.job_id = j.id) AS inputs,
       u.first_received_at AS received_at, j.completed_at, j.evidence AS completion_evidence, j.queued_at,
       (SELECT max(o.published_at) FROM outbox o WHERE o.job_id = j.id) AS published_at,
       j.next_attempt_at, j.lease_until, j.started_at, j.inferred_at, j.reported_at, j.delivered_at,
       j.prepare_s, j.infer_s, j.encode_s, j.shadow
FROM jobs j
JOIN units u ON u.id = j.unit_id
JOIN series se ON se.id = u.series_id
JOIN studies st ON st.id = se.study_id
"""

V_DELIVERIES = """
CREATE VIEW v_deliveries AS
SELECT d.id AS delivery_id, d.job_id, d.destination, r.kind AS object, r.sop_class_uid, r.sop_instance_uid, r.sha256,
       d.state, d.priority, d.attempts, d.next_attempt_at, d.sender, d.status, d.note, d.created_at, d.changed_at, d.stored_at,
       j.job_state, j.model, j.study_instance_uid, j.accession_number, d.commit_wanted, d.committed_at, d.resends
FROM deliveries d
JOIN reports r ON r.id = d.report_id
JOIN v_jobs j ON j.job_id = d.job_id
"""

# One row per finding; one row with an empty finding for a unit that ended without any, and for one that no route took.
V_FINDINGS = """
CREATE VIEW v_findings AS
SELECT j.study_instance_uid, j.series_instance_uid, j.sop_instance_uid, j.accession_number, j.patient_id, j.modality,
       j.job_id, j.job_state, j.outcome, j.reason, j.revision, j.run, j.model, j.model_version, j.model_digest,
       f.ordinal, f.label AS finding, f.code_scheme || ':' || f.code_value AS finding_code, f.code_meaning AS finding_meaning,
       f.probability, f.score, f.tier, f.position_mm, f.diameter_mm, f.sop_instance_uid AS image_sop_instance_uid, f.frame,
       f.image_point, f.measurements, f.site,
       (SELECT r.sop_instance_uid FROM reports r WHERE r.job_id = j.job_id AND r.kind = 'sr' ORDER BY r.id LIMIT 1)
           AS sr_sop_instance_uid,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('destination', d.destination, 'object', r.kind,
                   'sop_instance_uid', r.sop_instance_uid, 'state', d.state, 'at', coalesce(d.committed_at, d.stored_at, d.changed_at))
                   ORDER BY d.id), '[]')
        FROM deliveries d JOIN reports r ON r.id = d.report_id WHERE d.job_id = j.job_id) AS deliveries,
       (SELECT coalesce(jsonb_agg(i.sha256 ORDER BY i.id), '[]')
        FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id WHERE ji.job_id = j.job_id) AS input_sha256,
       j.received_at, j.completed_at, j.completion_evidence, j.inferred_at, j.reported_at, j.queued_at AS recorded_at,
       coalesce(j.reported_at, j.queued_at) AS ended_at
FROM v_jobs j
LEFT JOIN findings f ON f.job_id = j.job_id
WHERE NOT j.shadow AND (j.outcome IS NOT NULL OR j.job_state IN ('failed', 'quarantined', 'cancelled'))
UNION ALL
SELECT st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid, st.accession_number, st.patient_id, se.modality,
       NULL, NULL, u.outcome, u.reason, u.revision, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL,
       NULL,
       '[]'::jsonb,
       '[]'::jsonb,
       u.first_received_at, u.completed_at, u.evidence, NULL, NULL, u.completed_at, u.completed_at
FROM units u
JOIN series se ON se.id = u.series_id
JOIN studies st ON st.id = se.study_id
WHERE u.state = 'complete' AND u.outcome IS NOT NULL
"""

V_AUDIT = """
CREATE VIEW v_audit AS
SELECT id AS event_id, at, actor, action, subject, details, chain_seq, chain_hash FROM audit_events
"""

CREATE = (V_JOBS, V_DELIVERIES, V_FINDINGS, V_AUDIT)
DROP = tuple(f"DROP VIEW IF EXISTS {name}" for name in ("v_audit", "v_findings", "v_deliveries", "v_jobs"))
