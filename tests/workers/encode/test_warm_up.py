"""The warm-up makes every kind of object that jobs may need, and failures are logged."""

from structlog.testing import capture_logs

from core.states import ResultKind
from workers.encode import warm_up
from workers.encode.objects.by_kind import ENCODERS, encode_kind
from workers.encode.validate.validator import validate


def test_every_kind_is_warmed_up() -> None:
    with capture_logs() as logs:
        warm_up.warm_up_encoders(ResultKind)
    assert logs == []


def test_warm_up_makes_valid_objects() -> None:
    made = {kind: encode_kind(kind, warm_up._grey_square()) for kind in ENCODERS}
    assert {kind for kind, objects in made.items() if not objects} == {ResultKind.PARAMETRIC_MAP}  # of volumes only
    assert {kind: validate(one.content) for kind, objects in made.items() for one in objects} == dict.fromkeys(
        (kind for kind in made if kind is not ResultKind.PARAMETRIC_MAP), ()
    )
