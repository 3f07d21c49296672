"""The vocabulary and the pure rules of the node: no I/O, no clock, no settings read at import."""
