"""Seven classes of skin lesions from one dermoscopy image (HAM10000)."""
