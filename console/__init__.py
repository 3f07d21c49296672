"""What people and monitoring see of the node over HTTP. Reads the database; never decodes, dials or encodes."""
