"""Transfer learning: EfficientNet-Lite0 with ImageNet weights, trained on HAM10000 and ISIC 2017."""
