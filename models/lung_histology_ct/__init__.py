"""``lung_histology_ct``: histology of lung carcinoma estimated from chest CT slices; for research only."""

MODEL = "HistologyClassifier"
