"""Lung nodules on chest CT: a MONAI 3D network inside a classical lung field, trained on synthetic nodules."""
