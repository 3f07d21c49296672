"""What the conductor logs at level debug: each decision, and the conditions of routes without values of the header."""

from typing import Any

from structlog.testing import capture_logs

from tests.dicom_node.conduct.test_conductor import CHEST, MODEL, complete_units
from tests.support.series import series
from tests.support.storage_scu import send


def test_the_decision_on_a_series_and_its_job_are_logged(conduct: Any) -> None:
    body_part = {"when": {"Modality": "CT", "body_part": "chest"}}
    knee = {**CHEST, **body_part, "name": "by the body part"}
    with capture_logs() as logged, conduct(CHEST, knee) as node:
        send(node.port, *series(4, BodyPartExamined=None, StudyDescription="Knee of Doe"))
        complete_units(node, 1)
    checked = [entry for entry in logged if entry["event"] == "unit_checked"]
    assert (checked[-1]["state"], checked[-1]["rule"], checked[-1]["held"]) == ("complete", "released", 4)
    assert "4 slices without gap" in checked[-1]["reason"]
    (routed,) = [entry for entry in logged if entry["event"] == "unit_routed"]
    assert routed["conditions"].endswith("Modality, wanted CT; [no]  body part is not the chest")
    (queued,) = [entry for entry in logged if entry["event"] == "job_queued"]
    assert (queued["model"], queued["kind"], queued["destination"]) == (MODEL, "reported", "pacs")
    assert "Doe" not in str(logged)
