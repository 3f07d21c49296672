"""Connections before their association: how many may be open, and what their request may hold."""
