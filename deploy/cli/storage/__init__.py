"""Commands on what a node keeps: database, audit trail, retention and quarantine."""
