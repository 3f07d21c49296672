-- The one change of audit events that the node may make: linking them to the chain. The function has the rights of its owner, so that the
-- node's own role needs no right to UPDATE the table (db/schema/owners.py).

CREATE FUNCTION audit_link(previous text, ids bigint[], hashes text[]) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    head record;
    linked bigint;
BEGIN
    SELECT chain_seq, chain_hash INTO head FROM audit_events WHERE chain_seq IS NOT NULL ORDER BY chain_seq DESC LIMIT 1;
    IF coalesce(head.chain_hash, repeat('0', 64)) <> previous THEN
        RAISE EXCEPTION 'the audit chain does not end with the expected hash' USING ERRCODE = 'serialization_failure';
    END IF;
    UPDATE audit_events e SET chain_seq = coalesce(head.chain_seq, 0) + link.place, chain_hash = link.hash
    FROM unnest(ids, hashes) WITH ORDINALITY AS link (id, hash, place) WHERE e.id = link.id AND e.chain_seq IS NULL;
    GET DIAGNOSTICS linked = ROW_COUNT;
    RETURN linked;
END $$;

COMMENT ON FUNCTION audit_link(text, bigint[], text[]) IS 'Links unchained events behind the event with the hash previous; changes nothing else';
