-- Lists of units, jobs and deliveries that a person has seen: the access report of a patient finds the events by the numbers in them.

CREATE INDEX audit_events_numbers ON audit_events USING gin ((details -> 'ids')) WHERE subject IN ('units', 'jobs', 'deliveries');
