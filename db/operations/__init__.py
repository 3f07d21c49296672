"""Rows for operating the node: alerts, retention, status, the model registry and exports."""
