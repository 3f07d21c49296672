"""Trained models: cards, weights, inference and training. Reading a card or the registry never imports torch."""
