"""Measures a version of the detector on real volumes and real nodules."""
