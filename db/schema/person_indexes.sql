-- Indexes with which the images, and the storage commitment requests that list them, of one person are found in a large database.

-- Images in studies of others, too: their own header says whose they are.
CREATE INDEX instances_of_patient ON instances ((header ->> 'patient_id'));
CREATE INDEX source_commitment_requests_listed ON source_commitment_requests USING gin (sop_instance_uids);
