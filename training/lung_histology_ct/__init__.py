"""Training and measurement of ``lung_histology_ct``."""
