"""Generates the pages of docs/models from the models' cards and figures."""
