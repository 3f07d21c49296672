-- Views for auditors and exports. Their names and columns are stable; every upgrade creates them anew.
--
-- Results of shadows are in v_jobs (column shadow) and in the table findings, never in v_findings: they are not reported results.

CREATE VIEW v_jobs AS
SELECT j.id AS job_id, j.key AS job_key, j.state AS job_state, j.outcome, j.reason, j.revision, j.run, j.priority,
       j.model, j.model_version, j.pipeline_digest AS model_digest, j.routes, j.destinations, j.attempts, j.worker,
       j.superseded_by, u.id AS unit_id, u.kind AS unit_kind, st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid,
       st.accession_number, st.patient_id, st.issuer_of_patient_id, se.modality, u.source,
       (SELECT count(*) FROM job_inputs i WHERE i.job_id = j.id) AS inputs,
       u.first_received_at AS received_at, j.completed_at, j.evidence AS completion_evidence, j.queued_at,
       (SELECT max(o.published_at) FROM outbox o WHERE o.job_id = j.id) AS published_at,
       j.next_attempt_at, j.lease_until, j.started_at, j.inferred_at, j.reported_at, j.delivered_at,
       j.prepare_s, j.infer_s, j.encode_s, j.shadow, j.scanner, coalesce(j.ended_at, j.reported_at, j.queued_at) AS changed_at,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('job_id', p.prior_job_id, 'model_version', p.model_version,
                   'model_digest', p.pipeline_digest, 'study_date', p.study_date, 'days', p.days) ORDER BY p.place), '[]')
        FROM job_priors p WHERE p.job_id = j.id) AS priors
FROM jobs j
JOIN units u ON u.id = j.unit_id
JOIN series se ON se.id = u.series_id
JOIN studies st ON st.id = se.study_id;

COMMENT ON VIEW v_jobs IS 'One row per job, with the study, series and image that it analyses';
COMMENT ON COLUMN v_jobs.job_id IS 'Number of the job';
COMMENT ON COLUMN v_jobs.job_key IS 'Job key: hash of the unit, the contents of its instances, the pipeline digest and the run number';
COMMENT ON COLUMN v_jobs.job_state IS 'queued, running, reported, delivered, failed, quarantined, cancelled or superseded';
COMMENT ON COLUMN v_jobs.outcome IS 'findings, no_finding, abstained or not_analysed; NULL until a result is committed';
COMMENT ON COLUMN v_jobs.reason IS 'Why it abstained, was not analysed, failed or was cancelled';
COMMENT ON COLUMN v_jobs.revision IS 'Revision of the unit of analysis';
COMMENT ON COLUMN v_jobs.run IS 'Run number: 1, or more for a deliberate repetition';
COMMENT ON COLUMN v_jobs.priority IS 'routine or urgent';
COMMENT ON COLUMN v_jobs.model IS 'Name of the model';
COMMENT ON COLUMN v_jobs.model_version IS 'Version of the model';
COMMENT ON COLUMN v_jobs.model_digest IS 'Pipeline digest: hash of weights, card and pre- and post-processing version';
COMMENT ON COLUMN v_jobs.routes IS 'Names of the routes that asked for it';
COMMENT ON COLUMN v_jobs.destinations IS 'Names of the destinations that receive the result';
COMMENT ON COLUMN v_jobs.attempts IS 'Attempts to analyse it so far';
COMMENT ON COLUMN v_jobs.worker IS 'Worker that holds the lease; NULL when none does';
COMMENT ON COLUMN v_jobs.superseded_by IS 'Number of the job that replaces it';
COMMENT ON COLUMN v_jobs.unit_id IS 'Number of the unit of analysis';
COMMENT ON COLUMN v_jobs.unit_kind IS 'series or image';
COMMENT ON COLUMN v_jobs.study_instance_uid IS 'Study Instance UID (0020,000D)';
COMMENT ON COLUMN v_jobs.series_instance_uid IS 'Series Instance UID (0020,000E)';
COMMENT ON COLUMN v_jobs.sop_instance_uid IS 'SOP Instance UID of the image, where the unit is one; else empty';
COMMENT ON COLUMN v_jobs.accession_number IS 'Accession Number (0008,0050)';
COMMENT ON COLUMN v_jobs.patient_id IS 'Patient ID (0010,0020)';
COMMENT ON COLUMN v_jobs.issuer_of_patient_id IS 'Issuer of Patient ID (0010,0021)';
COMMENT ON COLUMN v_jobs.modality IS 'Modality (0008,0060)';
COMMENT ON COLUMN v_jobs.source IS 'Calling AE title of the first sender';
COMMENT ON COLUMN v_jobs.inputs IS 'Number of instances that the model was given';
COMMENT ON COLUMN v_jobs.received_at IS 'When the first instance of the unit was received';
COMMENT ON COLUMN v_jobs.completed_at IS 'When the unit was found complete';
COMMENT ON COLUMN v_jobs.completion_evidence IS 'What the decision "complete" rests on';
COMMENT ON COLUMN v_jobs.queued_at IS 'When it was queued the last time';
COMMENT ON COLUMN v_jobs.published_at IS 'When the last wake-up for it was given to the broker';
COMMENT ON COLUMN v_jobs.next_attempt_at IS 'It is not claimed before this time';
COMMENT ON COLUMN v_jobs.lease_until IS 'When the lease expires unless the worker renews it';
COMMENT ON COLUMN v_jobs.started_at IS 'When the last attempt began';
COMMENT ON COLUMN v_jobs.inferred_at IS 'When inference ended';
COMMENT ON COLUMN v_jobs.reported_at IS 'When the result was committed';
COMMENT ON COLUMN v_jobs.delivered_at IS 'When its last delivery was done';
COMMENT ON COLUMN v_jobs.prepare_s IS 'Seconds to read and prepare the images';
COMMENT ON COLUMN v_jobs.infer_s IS 'Seconds of inference';
COMMENT ON COLUMN v_jobs.encode_s IS 'Seconds to encode the result objects';
COMMENT ON COLUMN v_jobs.shadow IS 'True for a pipeline on trial, whose results are not reported';
COMMENT ON COLUMN v_jobs.scanner IS 'Manufacturer and model name of the device that made the images; empty where unknown';
COMMENT ON COLUMN v_jobs.changed_at IS 'When it failed, was cancelled or was superseded, else when the result was committed, else when it was queued the last time';
COMMENT ON COLUMN v_jobs.priors IS 'Earlier results with which the result is compared, the newest first: job, model version and digest, study date, days between the studies';

CREATE VIEW v_deliveries AS
SELECT d.id AS delivery_id, d.job_id, d.destination, r.kind AS object, r.sop_class_uid, r.sop_instance_uid, r.sha256,
       d.state, d.priority, d.attempts, d.next_attempt_at, d.sender, d.status, d.note, d.created_at, d.changed_at, d.stored_at,
       j.job_state, j.model, j.study_instance_uid, j.accession_number, d.commit_wanted, d.committed_at, d.resends
FROM deliveries d
JOIN reports r ON r.id = d.report_id
JOIN v_jobs j ON j.job_id = d.job_id;

COMMENT ON VIEW v_deliveries IS 'One row per delivery: which object was, or is to be, sent to which destination';
COMMENT ON COLUMN v_deliveries.delivery_id IS 'Number of the delivery';
COMMENT ON COLUMN v_deliveries.job_id IS 'Number of the job';
COMMENT ON COLUMN v_deliveries.destination IS 'Name of the destination';
COMMENT ON COLUMN v_deliveries.object IS 'Kind of the object: sr, seg, heatmap, parametric_map, key_images, pdf, assessment or rejection';
COMMENT ON COLUMN v_deliveries.sop_class_uid IS 'SOP Class UID of the object';
COMMENT ON COLUMN v_deliveries.sop_instance_uid IS 'SOP Instance UID of the object';
COMMENT ON COLUMN v_deliveries.sha256 IS 'SHA-256 of the file';
COMMENT ON COLUMN v_deliveries.state IS 'pending, sending, stored, committed, held, failed, withdrawn or given_up';
COMMENT ON COLUMN v_deliveries.priority IS 'routine or urgent';
COMMENT ON COLUMN v_deliveries.attempts IS 'Attempts to send it so far';
COMMENT ON COLUMN v_deliveries.next_attempt_at IS 'It is not sent before this time';
COMMENT ON COLUMN v_deliveries.sender IS 'Process that holds the lease; NULL when none does';
COMMENT ON COLUMN v_deliveries.status IS 'Last status of the destination';
COMMENT ON COLUMN v_deliveries.note IS 'Why it is in this state';
COMMENT ON COLUMN v_deliveries.created_at IS 'When it was created';
COMMENT ON COLUMN v_deliveries.changed_at IS 'When its state changed the last time';
COMMENT ON COLUMN v_deliveries.stored_at IS 'When the destination stored it';
COMMENT ON COLUMN v_deliveries.job_state IS 'State of the job';
COMMENT ON COLUMN v_deliveries.model IS 'Name of the model';
COMMENT ON COLUMN v_deliveries.study_instance_uid IS 'Study Instance UID (0020,000D)';
COMMENT ON COLUMN v_deliveries.accession_number IS 'Accession Number (0008,0050)';
COMMENT ON COLUMN v_deliveries.commit_wanted IS 'The destination is asked for storage commitment: stored is not the end';
COMMENT ON COLUMN v_deliveries.committed_at IS 'When the destination committed to store it';
COMMENT ON COLUMN v_deliveries.resends IS 'How many times it was sent again because it was not committed';

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
       coalesce(j.reported_at, j.queued_at) AS ended_at,
       jsonb_path_query_first(f.evaluations, '$[*] ? (@.name.value == "106233006").value.meaning') #>> '{}' AS zone,
       jsonb_path_query_first(f.evaluations, '$[*] ? (@.name.value == "272741003").value.meaning') #>> '{}' AS side,
       jsonb_path_query_first(f.evaluations, '$[*] ? (@.name.value == "DENSITY").value.meaning') #>> '{}' AS density,
       jsonb_path_query_first(f.evaluations, '$[*] ? (@.name.value == "SIZE-BAND").value.meaning') #>> '{}' AS size_band,
       jsonb_path_query_first(f.evaluations, '$[*] ? (@.name.value == "LUNG-RADS-SIZE").value.meaning') #>> '{}' AS lung_rads_size,
       jsonb_path_query_first(f.evaluations, '$[*] ? (@.name.value == "111037").value.meaning') #>> '{}' AS margin,
       jsonb_path_query_first(f.evaluations, '$[*] ? (@.name.value == "SUSPICION").value.meaning') #>> '{}' AS suspicion,
       f.evaluations, j.changed_at, f.comparison, j.priors
FROM v_jobs j
LEFT JOIN findings f ON f.job_id = j.job_id
WHERE NOT j.shadow AND (j.outcome IS NOT NULL OR j.job_state IN ('failed', 'quarantined', 'cancelled'))
UNION ALL
-- Units that no route took.
SELECT st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid, st.accession_number, st.patient_id, se.modality,
       NULL, NULL, u.outcome, u.reason, u.revision, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL,
       NULL,
       '[]'::jsonb,
       '[]'::jsonb,
       u.first_received_at, u.completed_at, u.evidence, NULL, NULL, u.completed_at, u.completed_at,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, u.completed_at, NULL, '[]'::jsonb
FROM units u
JOIN series se ON se.id = u.series_id
JOIN studies st ON st.id = se.study_id
WHERE u.state = 'complete' AND u.outcome IS NOT NULL;

COMMENT ON VIEW v_findings IS 'One row per finding; one row with an empty finding for a unit that ended without any, and for one that no route took';
COMMENT ON COLUMN v_findings.study_instance_uid IS 'Study Instance UID (0020,000D)';
COMMENT ON COLUMN v_findings.series_instance_uid IS 'Series Instance UID (0020,000E)';
COMMENT ON COLUMN v_findings.sop_instance_uid IS 'SOP Instance UID of the image, where the unit of analysis is one; else empty';
COMMENT ON COLUMN v_findings.accession_number IS 'Accession Number (0008,0050)';
COMMENT ON COLUMN v_findings.patient_id IS 'Patient ID (0010,0020)';
COMMENT ON COLUMN v_findings.modality IS 'Modality (0008,0060)';
COMMENT ON COLUMN v_findings.job_id IS 'Number of the job; NULL where no route took the unit';
COMMENT ON COLUMN v_findings.job_state IS 'State of the job';
COMMENT ON COLUMN v_findings.outcome IS 'findings, no_finding, abstained or not_analysed; NULL where the job failed and no report says so yet';
COMMENT ON COLUMN v_findings.reason IS 'Why it abstained, was not analysed or failed';
COMMENT ON COLUMN v_findings.revision IS 'Revision of the unit of analysis';
COMMENT ON COLUMN v_findings.run IS 'Run number';
COMMENT ON COLUMN v_findings.model IS 'Name of the model';
COMMENT ON COLUMN v_findings.model_version IS 'Version of the model';
COMMENT ON COLUMN v_findings.model_digest IS 'Pipeline digest: hash of weights, card and pre- and post-processing version';
COMMENT ON COLUMN v_findings.ordinal IS 'Counts the findings of the job from 1';
COMMENT ON COLUMN v_findings.finding IS 'Label of the finding';
COMMENT ON COLUMN v_findings.finding_code IS 'Its code: Coding Scheme Designator, colon, Code Value';
COMMENT ON COLUMN v_findings.finding_meaning IS 'Meaning of the code';
COMMENT ON COLUMN v_findings.probability IS 'Calibrated probability, 0 to 1';
COMMENT ON COLUMN v_findings.score IS 'Score of a detection, where it is not a probability';
COMMENT ON COLUMN v_findings.tier IS 'Confidence tier: high, review or uncertain';
COMMENT ON COLUMN v_findings.position_mm IS 'Position x, y, z in the patient coordinate system (LPS), in millimetres';
COMMENT ON COLUMN v_findings.diameter_mm IS 'Diameter in millimetres';
COMMENT ON COLUMN v_findings.image_sop_instance_uid IS 'SOP Instance UID of the image that shows the finding best';
COMMENT ON COLUMN v_findings.frame IS 'Frame of that image, counted from 1';
COMMENT ON COLUMN v_findings.image_point IS 'Column and row in that image, in pixels';
COMMENT ON COLUMN v_findings.measurements IS 'Coded measurements with value and unit';
COMMENT ON COLUMN v_findings.site IS 'Coded anatomical site';
COMMENT ON COLUMN v_findings.sr_sop_instance_uid IS 'SOP Instance UID of the report (SR)';
COMMENT ON COLUMN v_findings.deliveries IS 'Deliveries of the result: destination, object, UID, state and time of each';
COMMENT ON COLUMN v_findings.input_sha256 IS 'SHA-256 of every instance that the model was given';
COMMENT ON COLUMN v_findings.received_at IS 'When the first instance of the unit was received';
COMMENT ON COLUMN v_findings.completed_at IS 'When the unit was found complete';
COMMENT ON COLUMN v_findings.completion_evidence IS 'What the decision "complete" rests on';
COMMENT ON COLUMN v_findings.inferred_at IS 'When inference ended';
COMMENT ON COLUMN v_findings.reported_at IS 'When the result was committed';
COMMENT ON COLUMN v_findings.recorded_at IS 'When the job was queued, or the unit ended without a job';
COMMENT ON COLUMN v_findings.ended_at IS 'When the result was committed, else the same as recorded_at';
COMMENT ON COLUMN v_findings.zone IS 'Place within the site: upper, middle or lower zone; NULL where it was not determined';
COMMENT ON COLUMN v_findings.side IS 'Right or left; NULL where it was not determined';
COMMENT ON COLUMN v_findings.density IS 'Density of a nodule by the rule of the model card: solid, part-solid or ground-glass';
COMMENT ON COLUMN v_findings.size_band IS 'Size band of a nodule by the limits of Lung-RADS; not a Lung-RADS category';
COMMENT ON COLUMN v_findings.lung_rads_size IS 'Lung-RADS 2022 category by size and density alone; not the category of an examination';
COMMENT ON COLUMN v_findings.margin IS 'Margin of a nodule as readers rated such nodules: circumscribed or indistinct';
COMMENT ON COLUMN v_findings.suspicion IS 'Suspicion as readers rated such nodules on the image, in bands of 1 to 5; not pathology';
COMMENT ON COLUMN v_findings.evaluations IS 'All coded qualitative evaluations, each with name and value';
COMMENT ON COLUMN v_findings.changed_at IS 'When the job failed, was cancelled or was superseded, else the same as ended_at; an export of what has changed since then has the row, and rows whose deliveries or verdicts have changed';
COMMENT ON COLUMN v_findings.comparison IS 'What the comparison with the newest of the earlier results says of the finding: matched finding, sizes then, differences, change, doubling time, or the reason; NULL where nothing was compared';
COMMENT ON COLUMN v_findings.priors IS 'Earlier results with which the result is compared, as in v_jobs';

CREATE VIEW v_audit AS
SELECT id AS event_id, at, actor, action, subject, details, chain_seq, chain_hash FROM audit_events;

COMMENT ON VIEW v_audit IS 'Audit events and their places in the hash chain';
COMMENT ON COLUMN v_audit.event_id IS 'Number of the event';
COMMENT ON COLUMN v_audit.at IS 'When it happened';
COMMENT ON COLUMN v_audit.actor IS 'Who did it: a user, a role, or ae:TITLE for a peer';
COMMENT ON COLUMN v_audit.action IS 'What was done, for example job.reported';
COMMENT ON COLUMN v_audit.subject IS 'To what, for example job:17';
COMMENT ON COLUMN v_audit.details IS 'Facts about it: hashes, digests, counts, keyed patient references';
COMMENT ON COLUMN v_audit.chain_seq IS 'Place in the hash chain, from 1 without gaps; NULL until it is chained';
COMMENT ON COLUMN v_audit.chain_hash IS 'SHA-256 of the hash of the event before it, a newline, and this event as canonical JSON';

CREATE VIEW v_verdicts AS
SELECT v.id AS verdict_id, v.at, v.user_name, v.verdict, v.reason,
       NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id) AND v.verdict <> 'retracted' AS current, v.supersedes,
       v.seen_revision, v.seen_at, v.job_id, j.job_state, j.outcome, j.revision, j.run, j.model, j.model_version, j.model_digest,
       j.routes, j.unit_id, j.modality, j.scanner, j.source, j.study_instance_uid, j.series_instance_uid, j.sop_instance_uid,
       v.finding_id, f.ordinal, f.label AS finding, f.probability, f.score, f.tier, f.diameter_mm AS finding_diameter_mm,
       f.position_mm AS finding_position_mm,
       v.label AS corrected_label, nullif(v.code_scheme || ':' || v.code_value, ':') AS corrected_code, v.position_mm, v.diameter_mm,
       v.sop_instance_uid AS image_sop_instance_uid, v.frame, v.image_point, j.reported_at
FROM verdicts v
JOIN v_jobs j ON j.job_id = v.job_id
LEFT JOIN findings f ON f.id = v.finding_id;

COMMENT ON VIEW v_verdicts IS 'One row per verdict of a clinician, with the finding and the model that it is about; only rows with current = true count';
COMMENT ON COLUMN v_verdicts.verdict_id IS 'Number of the verdict';
COMMENT ON COLUMN v_verdicts.at IS 'When it was given';
COMMENT ON COLUMN v_verdicts.user_name IS 'Who gave it';
COMMENT ON COLUMN v_verdicts.verdict IS 'accepted, corrected, rejected, missed (a finding that the model lacks) or retracted (an earlier missed finding is taken back)';
COMMENT ON COLUMN v_verdicts.reason IS 'Why it was rejected; empty for other verdicts';
COMMENT ON COLUMN v_verdicts.current IS 'False where a later verdict has replaced it, and for retracted';
COMMENT ON COLUMN v_verdicts.supersedes IS 'Number of the earlier verdict that it replaces';
COMMENT ON COLUMN v_verdicts.seen_revision IS 'Revision of the unit whose result the reader had on the screen';
COMMENT ON COLUMN v_verdicts.seen_at IS 'When the page that the reader saw was made';
COMMENT ON COLUMN v_verdicts.job_id IS 'Number of the job';
COMMENT ON COLUMN v_verdicts.job_state IS 'State of the job';
COMMENT ON COLUMN v_verdicts.outcome IS 'Outcome of the job: findings, no_finding, abstained or not_analysed';
COMMENT ON COLUMN v_verdicts.revision IS 'Revision of the unit of analysis';
COMMENT ON COLUMN v_verdicts.run IS 'Run number of the job';
COMMENT ON COLUMN v_verdicts.model IS 'Name of the model';
COMMENT ON COLUMN v_verdicts.model_version IS 'Version of the model';
COMMENT ON COLUMN v_verdicts.model_digest IS 'Pipeline digest of the model';
COMMENT ON COLUMN v_verdicts.routes IS 'Names of the routes that asked for the job';
COMMENT ON COLUMN v_verdicts.unit_id IS 'Number of the unit of analysis';
COMMENT ON COLUMN v_verdicts.modality IS 'Modality (0008,0060)';
COMMENT ON COLUMN v_verdicts.scanner IS 'Manufacturer and model name of the device that made the images; empty where unknown';
COMMENT ON COLUMN v_verdicts.source IS 'Calling AE title of the first sender';
COMMENT ON COLUMN v_verdicts.study_instance_uid IS 'Study Instance UID (0020,000D)';
COMMENT ON COLUMN v_verdicts.series_instance_uid IS 'Series Instance UID (0020,000E)';
COMMENT ON COLUMN v_verdicts.sop_instance_uid IS 'SOP Instance UID of the image, where the unit of analysis is one; else empty';
COMMENT ON COLUMN v_verdicts.finding_id IS 'Number of the finding; NULL for a missed finding, and for a verdict on a result without findings';
COMMENT ON COLUMN v_verdicts.ordinal IS 'Counts the findings of the job from 1';
COMMENT ON COLUMN v_verdicts.finding IS 'Label that the model gave';
COMMENT ON COLUMN v_verdicts.probability IS 'Calibrated probability of the finding, 0 to 1';
COMMENT ON COLUMN v_verdicts.score IS 'Score of the finding, where it is not a probability';
COMMENT ON COLUMN v_verdicts.tier IS 'Confidence tier of the finding: high, review or uncertain';
COMMENT ON COLUMN v_verdicts.finding_diameter_mm IS 'Diameter that the model gave, in millimetres';
COMMENT ON COLUMN v_verdicts.finding_position_mm IS 'Position that the model gave (LPS), in millimetres';
COMMENT ON COLUMN v_verdicts.corrected_label IS 'Label of a correction or of a missed finding; empty where the class is not changed';
COMMENT ON COLUMN v_verdicts.corrected_code IS 'Its code: Coding Scheme Designator, colon, Code Value';
COMMENT ON COLUMN v_verdicts.position_mm IS 'Corrected or new position x, y, z (LPS), in millimetres';
COMMENT ON COLUMN v_verdicts.diameter_mm IS 'Corrected or new diameter in millimetres';
COMMENT ON COLUMN v_verdicts.image_sop_instance_uid IS 'SOP Instance UID of the image on which the position was marked';
COMMENT ON COLUMN v_verdicts.frame IS 'Frame of that image, counted from 1';
COMMENT ON COLUMN v_verdicts.image_point IS 'Column and row in that image, in pixels';
COMMENT ON COLUMN v_verdicts.reported_at IS 'When the result was committed';
