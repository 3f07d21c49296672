"""MONAI bundles: read as data, converted to card and safetensors, served by code of this package. No expression of a bundle runs."""
