"""``per_study = "best"``: which series of a study is analysed, and what does not keep the others from it."""

from typing import Any

from dicom_node.conduct import conductor
from tests.dicom_node.conduct.test_conductor import CHEST, DESTINATIONS, complete_units, received_earlier
from tests.dicom_node.conftest import MakeSettings, Running
from tests.support.records import rows, run
from tests.support.series import image, series
from tests.support.storage_scu import send


def test_best_of_a_study_is_no_series_with_gaps_and_no_part_of_a_volume(conduct: Any) -> None:
    """HRCT has thin slices, and the models refuse its gaps: the volume beside it would not have been analysed."""
    hrct = [image(series=1, number=number, thickness=1.0, ImagePositionPatient=[0, 0, 10 * number]) for number in range(1, 19)]
    with conduct({**CHEST, "per_study": "best"}) as node:
        send(node.port, *hrct, *series(20, series=2, thickness=1.25), *series(4, series=3, thickness=0.6))
        first, second, third = complete_units(node, 3)
        assert [first[3], second[3], third[3]] == [False, True, False]
        assert "series 2 has less distance between slices (1.2 mm, 10 mm here)" in first[1]
        assert "series 2 has 16 slices or more" in third[1]


def test_a_series_whose_images_are_missing_is_waited_for_no_longer_than_max_wait(node: Running, make_settings: MakeSettings) -> None:
    settings = make_settings(routes=[{**CHEST, "per_study": "best"}], **DESTINATIONS)
    one = conductor.Conductor(settings, node.database, node.blobs)
    send(node.port, *series(3, series=1))
    send(node.port, *series(3, series=2))
    for (sha256,) in rows(node.database, "SELECT sha256 FROM instances WHERE unit_id = 2"):
        node.blobs.remove(sha256)
    for unit in (1, 2):
        received_earlier(node.database, unit, "1 hour")
    one.process_due_units()
    assert rows(node.database, "SELECT state FROM units ORDER BY id") == [("open",), ("open",)]
    run(node.database, "UPDATE units SET opened_at = opened_at - interval '10 days', next_check_at = node_now()")
    one.process_due_units()
    assert rows(node.database, "SELECT state FROM units ORDER BY id") == [("complete",), ("open",)]
    ((_, reason, _, selected, *_),) = complete_units(node, 1)
    assert selected
    assert "for 1 other series of the study" in reason
    one.close()
