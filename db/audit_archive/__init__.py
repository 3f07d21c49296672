"""The audit trail by month: parts that are made ahead, and months that are archived to files and can still be verified."""
