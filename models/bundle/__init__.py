"""MONAI bundles: read as data, converted to a card and safetensors, run by code of this package. No expression of a bundle is executed."""

MODEL = "load_bundle_model"
