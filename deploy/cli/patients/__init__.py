"""Commands about all data of one person: the record for the person, and its erasure."""
