"""How findings of two examinations of one patient are matched, measured on second examinations that are made from real ones."""
