"""Everything that the node keeps: rows in PostgreSQL, and blobs on disk. The only package that contains SQL."""
