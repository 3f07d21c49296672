"""Training and measurement of ``lung_nodule_ct``."""
