"""Earlier results: which of them a result is compared with, which findings match, how much they changed, and the words for it."""
