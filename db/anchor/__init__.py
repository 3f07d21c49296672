"""The anchor of the audit trail: heads of the hash chain, signed, in a file outside of the database."""
