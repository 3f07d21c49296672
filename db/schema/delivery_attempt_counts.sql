-- Delivery attempts are counted under the name 'delivery_attempts', which was 'sendings' before.
--
-- What was counted under the former name is copied, and stays as it is: while a new version is rolled out, consoles of the one before read
-- it. Their count stands still until they are replaced; it neither disappears nor decreases.

-- No process adds changes to the sums meanwhile (db.counters), and renaming the trigger waits for transactions that have counted.
SELECT pg_catalog.pg_advisory_xact_lock(x'74616C6C79'::bigint);

ALTER TRIGGER count_sendings ON delivery_attempts RENAME TO count_delivery_attempts;

ALTER FUNCTION count_sendings() RENAME TO count_delivery_attempts;

CREATE OR REPLACE FUNCTION count_delivery_attempts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counter_changes (name, labels, amount)
    SELECT 'delivery_attempts', ARRAY[d.destination, NEW.result], 1 FROM deliveries d WHERE d.id = NEW.delivery_id;
    RETURN NULL;
END $$;

INSERT INTO counters (name, labels, amount)
SELECT 'delivery_attempts', labels, sum(amount)
FROM (SELECT name, labels, amount FROM counters UNION ALL SELECT name, labels, amount FROM counter_changes) AS counted
WHERE name = 'sendings' GROUP BY labels;
