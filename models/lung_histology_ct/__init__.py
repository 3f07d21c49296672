"""Histology of lung carcinoma guessed from chest CT slices: research only."""
