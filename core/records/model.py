"""Identity of a model, and its entry in the registry."""

from dataclasses import dataclass

from core.states import ModelOrigin, ModelState


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Identity of a model.

    ``digest`` is the pipeline digest: SHA-256 (hex) of weights, card and version of pre- and post-processing. ``not_for`` is the sentence
    that says what the model must not be used for.
    """

    name: str
    version: str
    digest: str
    title: str
    manufacturer: str
    status: str
    not_for: str


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One pipeline digest in the registry. ``activated``: it has been the active one at some time."""

    name: str
    version: str
    digest: str
    state: ModelState
    origin: ModelOrigin
    activated: bool
