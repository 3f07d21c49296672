"""Alerts: `alert_monitor` finds conditions that need a person, and `webhook` posts them."""
