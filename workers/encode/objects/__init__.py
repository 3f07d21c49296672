"""Result objects beside the report: segmentation, heat map, parametric map, key images, PDF, rejection."""
