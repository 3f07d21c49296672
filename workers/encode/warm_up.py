"""Warm-up of the encoders when a process starts.

The first objects of a process take half a second longer than the next ones, for tables of codes, typefaces and colour maps.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import structlog
from pydicom.dataset import Dataset
from pydicom.uid import VLPhotographicImageStorage

from core.concepts import codes
from core.iods import TYPE_2
from core.records import Finding, ModelIdentity, Prediction
from core.states import Outcome, ResultKind, Tier
from imaging.masks import pack_heat_map, pack_mask
from imaging.photograph.read import Photograph
from workers.encode.analysis import Analysis
from workers.encode.objects.by_kind import ENCODERS, encode_kind, related_object
from workers.encode.source_images.source import ImageReference, ResultSource
from workers.encode.sr import document
from workers.encode.validate.validator import validate

log = structlog.get_logger()
SIDE = 16


def warm_up_encoders(kinds: Iterable[ResultKind]) -> None:
    """Make and validate a report and an object of each of ``kinds`` from a grey square, and discard them."""
    analysis, wanted = _grey_square(), frozenset(kinds)
    try:
        made = [one for kind in ENCODERS if kind in wanted for one in encode_kind(kind, analysis)]
        report = document.encode(replace(analysis, related_objects=tuple(related_object(analysis, one) for one in made)))
        for one in (*made, report):
            validate(one.content)
    except Exception as error:  # a job that meets the same error reports it
        log.error("encoder_warm_up_failed", reason=type(error).__name__)


def _grey_square() -> Analysis:
    image = ImageReference(str(VLPhotographicImageStorage), "2.25.3", SIDE, SIDE)
    attributes = Dataset()
    for keyword in TYPE_2:
        setattr(attributes, keyword, "")
    inside = np.zeros((1, SIDE, SIDE), bool)
    inside[:, 4:12, 4:12] = True
    finding = Finding("warm", codes.LESION, probability=0.5, tier=Tier.UNCERTAIN, sop_instance_uid="2.25.3", mask=pack_mask(inside))
    return Analysis(
        installation=UUID(int=0),
        key="",
        revision=0,
        run=0,
        identity=ModelIdentity("warm", "0", "0" * 64, "none", "dicom-node", "research", "Not for any use."),
        prediction=Prediction(Outcome.FINDINGS, (finding,), {"warm": 0.5}),
        source=ResultSource("2.25.1", "2.25.2", "XC", attributes, (), (image,)),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        item=Photograph(np.full((SIDE, SIDE, 3), 128, np.uint8), "2.25.3", None, "", "", None, ()),
        heat=pack_heat_map(inside.astype(np.float32), origin=(0, 0, 0), step=(1, 1, 1), meaning="none"),
    )
