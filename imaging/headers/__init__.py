"""Headers of instances, read tolerantly."""
