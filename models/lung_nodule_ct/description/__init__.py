"""Describes a nodule: outline, density, appearance, place in the lung, and the category and ratings that follow from them."""
