"""The first objects of a process take half a second longer than the next: tables of codes, typefaces, colour maps. Taken at its start."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import structlog
from pydicom.dataset import Dataset
from pydicom.uid import VLPhotographicImageStorage

from core import codes
from core.iods import TYPE_2
from core.records import Finding, ModelIdentity, Prediction
from core.states import Outcome, ResultKind, Tier
from imaging.masks import pack_heat_map, pack_mask
from imaging.photograph.read import Photograph
from workers.encode.analysis import Analysis
from workers.encode.objects.by_kind import ENCODERS, companion, encode
from workers.encode.source import ImageReference, Source
from workers.encode.sr import document
from workers.encode.validate.validator import validate

log = structlog.get_logger()
SIDE = 16


def warm(kinds: Iterable[ResultKind]) -> None:
    """Make and check a report and an object of each of ``kinds`` from a grey square, and drop them."""
    analysis, wanted = _square(), frozenset(kinds)
    try:
        made = [one for kind in ENCODERS if kind in wanted for one in encode(kind, analysis)]
        report = document.encode(replace(analysis, companions=tuple(companion(analysis, one) for one in made)))
        for one in (*made, report):
            validate(one.content)
    except Exception as error:  # a job that meets it says so where it is read
        log.error("the objects of results could not be tried at the start", reason=type(error).__name__)


def _square() -> Analysis:
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
        source=Source("2.25.1", "2.25.2", "XC", attributes, (), (image,)),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        item=Photograph(np.full((SIDE, SIDE, 3), 128, np.uint8), "2.25.3", None, "", "", None, ()),
        heat=pack_heat_map(inside.astype(np.float32), origin=(0, 0, 0), step=(1, 1, 1), meaning="none"),
    )
