"""``patients erase`` of a person whose results were compared with each other: both go, the earlier one first."""

from pathlib import Path

import pytest

from db.blobs.store import Blobs
from db.engine import Database
from db.patients.patient_key import PatientKey
from deploy.cli.main import run
from tests.support.patients import compare_with_earlier, store_study
from tests.support.records import rows, scalar

pytestmark = pytest.mark.services

ERNA, BOB = PatientKey("ERASE-4711"), PatientKey("KEPT-1")


def test_a_comparison_goes_with_the_earlier_result_and_that_of_another_person_stays(database: Database, blobs: Blobs, config: Path) -> None:
    """The study that is deleted first is the one to which the other result refers."""
    hers = [store_study(database, blobs, number, ERNA) for number in (701, 702)]
    his = [store_study(database, blobs, number, BOB) for number in (900, 901)]
    for earlier, later in (hers, his):
        compare_with_earlier(database, later, earlier)
    assert run(["patients", "erase", ERNA.patient_id, "--reason", "a test", "--yes", "--config", str(config)]) == 0
    assert rows(database, "SELECT DISTINCT patient_id FROM studies") == [(BOB.patient_id,)]
    assert rows(database, "SELECT job_id, prior_job_id FROM job_priors") == [(his[1].job_id, his[0].job_id)]
    assert scalar(database, "SELECT count(*) FROM findings WHERE comparison IS NOT NULL") == 1
    assert scalar(database, "SELECT count(*) FROM blob_removals WHERE removed_at IS NULL") == 0
