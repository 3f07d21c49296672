"""Trained models: cards, weights, inference and bundle import. Reading a card or the registry never imports torch."""

from models import lazy_monai

lazy_monai.install()
