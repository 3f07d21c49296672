"""Everything that is kept: rows in PostgreSQL, bytes in blobs."""
