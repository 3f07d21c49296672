"""Vocabulary and rules of the node: settings, states, records, codes, errors, policy.

Nothing here reads or writes files, uses the network, starts processes, reads the environment or the time of day, or does work at import.
`tests/core/test_purity.py` checks it and lists the exceptions with their reasons.
"""
