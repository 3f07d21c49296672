"""The real series that are trained on, with the regions that synthetic nodules must avoid."""
