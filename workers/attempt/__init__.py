"""One attempt at a batch of jobs: claim, prefetch, prepare, predict, finish."""
