"""Rows for operating the node: alerts and notifications, retention, status, the model registry, statistics and exports."""
