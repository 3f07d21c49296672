"""Headers of received instances: read, in a process of their own where they cost much, and compared with the command."""
