"""Child processes that read untrusted files: requests and answers are lines of JSON."""
