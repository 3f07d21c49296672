"""Transfer learning for ``dermoscopy_7class``: EfficientNet-Lite0 from ImageNet weights, on HAM10000 and ISIC 2017."""
