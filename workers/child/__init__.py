"""The child process of a worker: its share of the machine, its stores and loaded models, and how it ends."""
