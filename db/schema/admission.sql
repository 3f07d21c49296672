-- Admission: indexes new instances, one or several in one round trip. Called by db/receive/admission.py.
--
-- Parameters: batch, a JSON array with the values of each instance; check_after_s, seconds until the unit is checked for completion.
-- Returns one row per instance of the batch: its place in the batch from 0; new_instance, the id of its row, or NULL where this content,
-- or another content of its UID, is known already; of_unit and of_revision, its unit.
--
-- Locks, in this order, so that concurrent batches cannot deadlock: rows that are inserted (study, series, unit), by their UIDs; then
-- every unit, by its id, as in all statements that lock several units; then the entries of the indexes of instances, by SOP instance.
CREATE FUNCTION admit_instances(batch jsonb, check_after_s double precision)
RETURNS TABLE (place integer, new_instance bigint, of_unit bigint, of_revision integer) LANGUAGE plpgsql AS $$
DECLARE
    given jsonb;
    position_in_batch integer;
    unit_id bigint;
    unit_ids bigint[] := '{}';
    state_before text;
    wake_conductor boolean := false;
BEGIN
    -- 1. Find the unit of each instance, and insert study, series and unit where they are new.
    FOR given, position_in_batch IN
        SELECT item, ordinality FROM jsonb_array_elements(batch) WITH ORDINALITY AS t (item, ordinality)
        ORDER BY item->>'study_instance_uid', item->>'series_instance_uid', item->>'kind', item->>'unit_sop_instance_uid', ordinality
    LOOP
        SELECT u.id INTO unit_id FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
        WHERE se.series_instance_uid = given->>'series_instance_uid' AND st.study_instance_uid = given->>'study_instance_uid'
          AND u.kind = given->>'kind' AND u.sop_instance_uid = given->>'unit_sop_instance_uid';
        IF NOT FOUND THEN  -- ON CONFLICT waits for a concurrent transaction that inserts the same row
            wake_conductor := true;
            INSERT INTO studies (study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex,
                                 accession_number, study_id, study_date, study_time, study_description)
            VALUES (given->>'study_instance_uid', given->>'patient_id', given->>'issuer_of_patient_id', given->>'patient_name',
                    given->>'patient_birth_date', given->>'patient_sex', given->>'accession_number', given->>'study_id',
                    given->>'study_date', given->>'study_time', given->>'study_description')
            ON CONFLICT DO NOTHING;
            INSERT INTO series (study_id, series_instance_uid, modality, series_number, series_description, body_part_examined)
            SELECT st.id, given->>'series_instance_uid', given->>'modality', (given->>'series_number')::integer,
                   given->>'series_description', given->>'body_part_examined'
            FROM studies st WHERE st.study_instance_uid = given->>'study_instance_uid'
            ON CONFLICT DO NOTHING;
            INSERT INTO units (series_id, kind, sop_instance_uid, source)
            SELECT se.id, given->>'kind', given->>'unit_sop_instance_uid', given->>'source'
            FROM series se JOIN studies st ON st.id = se.study_id
            WHERE se.series_instance_uid = given->>'series_instance_uid' AND st.study_instance_uid = given->>'study_instance_uid'
            ON CONFLICT DO NOTHING;
            SELECT u.id INTO unit_id FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
            WHERE se.series_instance_uid = given->>'series_instance_uid' AND st.study_instance_uid = given->>'study_instance_uid'
              AND u.kind = given->>'kind' AND u.sop_instance_uid = given->>'unit_sop_instance_uid';
        END IF;
        unit_ids[position_in_batch] := unit_id;
    END LOOP;

    -- 2. Lock the units.
    PERFORM u.id FROM units u WHERE u.id = ANY(unit_ids) ORDER BY u.id FOR NO KEY UPDATE;

    -- 3. Insert the instances that are new.
    FOR given, position_in_batch IN
        SELECT item, ordinality FROM jsonb_array_elements(batch) WITH ORDINALITY AS t (item, ordinality)
        ORDER BY item->>'sop_instance_uid', item->>'sha256', ordinality
    LOOP
        of_unit := unit_ids[position_in_batch];
        -- An instance of a complete unit begins the next revision.
        SELECT u.state, u.revision + (u.state = 'complete')::integer INTO state_before, of_revision FROM units u WHERE u.id = of_unit;
        -- DO NOTHING covers both unique indexes: this content of the UID is known, or another content of it is current.
        INSERT INTO instances (unit_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, sha256, size_bytes, state, revision,
                               header, notes, source, association_id)
        VALUES (of_unit, given->>'sop_instance_uid', given->>'sop_class_uid', given->>'transfer_syntax_uid', given->>'sha256',
                (given->>'size_bytes')::bigint, 'current', of_revision, given->'header',
                ARRAY(SELECT jsonb_array_elements_text(given->'notes')), given->>'source', (given->>'association_id')::uuid)
        ON CONFLICT DO NOTHING RETURNING id INTO new_instance;
        IF new_instance IS NOT NULL THEN
            wake_conductor := wake_conductor OR state_before = 'complete';  -- the next check of an open unit is set already
            UPDATE units u SET held = u.held + 1, last_received_at = node_now(), changed_since_check = true,
                opened_at = CASE WHEN u.state = 'complete' OR u.held = 0 THEN node_now() ELSE u.opened_at END,
                next_check_at = CASE WHEN u.state = 'complete' OR u.held = 0 THEN node_now()
                                     ELSE least(u.next_check_at, node_now() + make_interval(secs => check_after_s)) END,
                revision = of_revision, state = 'open', evidence = NULL, reason = '', outcome = NULL, completed_at = NULL,
                routes = '{}', selected = NULL, dropped = '{}',
                expected = CASE WHEN u.state = 'complete' THEN NULL ELSE u.expected END,
                expected_at = CASE WHEN u.state = 'complete' THEN NULL ELSE u.expected_at END,
                expected_before = CASE WHEN u.state = 'complete' THEN NULL ELSE u.expected_before END
            WHERE u.id = of_unit;
            INSERT INTO association_units AS a (association_id, unit_id, calling_ae, last_instance_at)
            VALUES ((given->>'association_id')::uuid, of_unit, given->>'source', node_now())
            ON CONFLICT ON CONSTRAINT association_units_pkey DO UPDATE SET last_instance_at = excluded.last_instance_at;
            -- Hashes and references, no identifier. The chainer is not notified of every instance.
            INSERT INTO audit_events (actor, action, subject, details)
            VALUES ('ae:' || (given->>'source'), 'instance.received', 'instance:' || new_instance,
                    jsonb_build_object('association', given->'association_id', 'sha256', given->'sha256', 'unit', of_unit,
                                       'revision', of_revision, 'patient', given->'patient'));
        END IF;
        place := position_in_batch - 1;
        RETURN NEXT;
    END LOOP;
    IF wake_conductor THEN
        PERFORM pg_notify('intake', '');
    END IF;
END $$;

COMMENT ON FUNCTION admit_instances(jsonb, double precision) IS
    'Indexes new instances; new_instance is NULL where the content, or another content of its UID, is known already';
