"""Takes anchors of the audit trail and sends them to syslog, the webhook and a time-stamp service."""
