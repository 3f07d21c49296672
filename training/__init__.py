"""Training and measurement of the shipped models. No role of the running node imports this package; it needs the extra ``training``."""
