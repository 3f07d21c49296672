"""Commands on files that need no running node: ``predict`` and ``rules test``."""
