"""The page that a clinician reads: what it says, how it looks, and which text it can draw."""
