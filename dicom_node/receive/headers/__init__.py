"""Headers of received instances: read, in another process where that costs much, and compared with the command; and the end of the data."""
