"""Admission of new instances as one function, so that an instance costs one round trip, and several cost one as well.

Locks, in this order, so that batches never wait for each other in a circle: rows that are made (study, series, unit) by their UIDs,
then every unit by its id (as all statements that lock several), then the entries of the indexes of ``instances`` by SOP instance.
"""

_FIND_UNIT = """
    SELECT u.id INTO unit_id FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE se.series_instance_uid = one->>'series_instance_uid' AND st.study_instance_uid = one->>'study_instance_uid'
      AND u.kind = one->>'kind' AND u.sop_instance_uid = one->>'unit_sop_instance_uid'
"""

ADMIT_NEW = f"""
CREATE FUNCTION admit_new(batch jsonb, look_after_s double precision)
RETURNS TABLE (place integer, new_instance bigint, of_unit bigint, of_revision integer) LANGUAGE plpgsql AS $$
DECLARE
    one jsonb;
    at integer;
    unit_id bigint;
    unit_ids bigint[] := '{{}}';
    state_before text;
    ring boolean := false;
BEGIN
    FOR one, at IN
        SELECT item, ordinality FROM jsonb_array_elements(batch) WITH ORDINALITY AS t (item, ordinality)
        ORDER BY item->>'study_instance_uid', item->>'series_instance_uid', item->>'kind', item->>'unit_sop_instance_uid', ordinality
    LOOP
        {_FIND_UNIT};
        IF NOT FOUND THEN  -- ON CONFLICT waits for another who makes the same
            ring := true;
            INSERT INTO studies (study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex,
                                 accession_number, study_id, study_date, study_time, study_description)
            VALUES (one->>'study_instance_uid', one->>'patient_id', one->>'issuer_of_patient_id', one->>'patient_name',
                    one->>'patient_birth_date', one->>'patient_sex', one->>'accession_number', one->>'study_id', one->>'study_date',
                    one->>'study_time', one->>'study_description')
            ON CONFLICT DO NOTHING;
            INSERT INTO series (study_id, series_instance_uid, modality, series_number, series_description, body_part_examined)
            SELECT st.id, one->>'series_instance_uid', one->>'modality', (one->>'series_number')::integer, one->>'series_description',
                   one->>'body_part_examined'
            FROM studies st WHERE st.study_instance_uid = one->>'study_instance_uid'
            ON CONFLICT DO NOTHING;
            INSERT INTO units (series_id, kind, sop_instance_uid, source)
            SELECT se.id, one->>'kind', one->>'unit_sop_instance_uid', one->>'source'
            FROM series se JOIN studies st ON st.id = se.study_id
            WHERE se.series_instance_uid = one->>'series_instance_uid' AND st.study_instance_uid = one->>'study_instance_uid'
            ON CONFLICT DO NOTHING;
            {_FIND_UNIT};
        END IF;
        unit_ids[at] := unit_id;
    END LOOP;

    PERFORM u.id FROM units u WHERE u.id = ANY(unit_ids) ORDER BY u.id FOR NO KEY UPDATE;

    FOR one, at IN
        SELECT item, ordinality FROM jsonb_array_elements(batch) WITH ORDINALITY AS t (item, ordinality)
        ORDER BY item->>'sop_instance_uid', item->>'sha256', ordinality
    LOOP
        of_unit := unit_ids[at];
        SELECT u.state, u.revision + (u.state = 'complete')::integer INTO state_before, of_revision FROM units u WHERE u.id = of_unit;
        -- DO NOTHING covers both unique indexes: this content of the UID is known, or another content of it is current.
        INSERT INTO instances (unit_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, sha256, size_bytes, state, revision,
                               header, notes, source, association_id)
        VALUES (of_unit, one->>'sop_instance_uid', one->>'sop_class_uid', one->>'transfer_syntax_uid', one->>'sha256',
                (one->>'size_bytes')::bigint, 'current', of_revision, one->'header',
                ARRAY(SELECT jsonb_array_elements_text(one->'notes')), one->>'source', (one->>'association_id')::uuid)
        ON CONFLICT DO NOTHING RETURNING id INTO new_instance;
        IF new_instance IS NOT NULL THEN
            ring := ring OR state_before = 'complete';  -- an open unit has its next look set already
            UPDATE units u SET held = u.held + 1, last_received_at = node_now(), stirred = true,
                opened_at = CASE WHEN u.state = 'complete' OR u.held = 0 THEN node_now() ELSE u.opened_at END,
                next_look_at = CASE WHEN u.state = 'complete' OR u.held = 0 THEN node_now()
                                    ELSE least(u.next_look_at, node_now() + make_interval(secs => look_after_s)) END,
                revision = of_revision, state = 'open', evidence = NULL, reason = '', outcome = NULL, completed_at = NULL,
                claimed_by = '{{}}', chosen = NULL, dropped = '{{}}',
                expected = CASE WHEN u.state = 'complete' THEN NULL ELSE u.expected END,
                expected_at = CASE WHEN u.state = 'complete' THEN NULL ELSE u.expected_at END,
                expected_before = CASE WHEN u.state = 'complete' THEN NULL ELSE u.expected_before END
            WHERE u.id = of_unit;
            INSERT INTO association_units AS a (association_id, unit_id, calling_ae, last_instance_at)
            VALUES ((one->>'association_id')::uuid, of_unit, one->>'source', node_now())
            ON CONFLICT ON CONSTRAINT association_units_pkey DO UPDATE SET last_instance_at = excluded.last_instance_at;
            -- Hashes and references, no identifier. The chainer is not rung per instance.
            INSERT INTO audit_events (actor, action, subject, details)
            VALUES ('ae:' || (one->>'source'), 'instance.received', 'instance:' || new_instance,
                    jsonb_build_object('association', one->'association_id', 'sha256', one->'sha256', 'unit', of_unit,
                                       'revision', of_revision, 'patient', one->'patient'));
        END IF;
        place := at - 1;
        RETURN NEXT;
    END LOOP;
    IF ring THEN
        PERFORM pg_notify('intake', '');
    END IF;
END $$
"""

STATEMENTS = (
    ADMIT_NEW,
    "COMMENT ON FUNCTION admit_new IS 'Index new instances; new_instance is null where the content or its UID is known already'",
)
