"""``dermoscopy_7class``: seven classes of skin lesions from one dermoscopy image (HAM10000)."""

MODEL = "DermoscopyClassifier"
