"""All that is stored of one person: the record for the person who asks for it, and its erasure."""
