"""``lung_nodule_ct``: lung nodules on chest CT by two MONAI 3D networks inside the lung field, trained on synthetic and on real nodules."""

MODEL = "LungNoduleDetector"
