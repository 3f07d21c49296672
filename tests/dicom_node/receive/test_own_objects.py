"""Results of dicom-node that are sent back to it, or to another installation, are stored or refused, and never analysed."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import SecondaryCaptureImageStorage

from core.policy.own_objects import RESULT_CLASSES
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from dicom_node.conduct.conductor import Conductor
from imaging.headers.own_objects import made_by_dicom_node
from tests.dicom_node.conftest import MakeSettings, Running
from tests.support import analyses_with_images
from tests.support.node_process import wait_until
from tests.support.series import image
from tests.support.storage_scu import send
from workers.encode.analysis import Analysis
from workers.encode.objects.by_kind import ENCODERS, encode_kind
from workers.encode.sr import document

EVERYTHING = {"name": "all", "model": "dermoscopy_7class", "destinations": ["pacs"], "when": {"SOPClassUID": {"pattern": "."}}}
ANOTHER = UUID("00000000-1111-4222-8333-444444444444")


@pytest.fixture(scope="module")
def results() -> dict[str, FileDataset]:
    """An object of every kind, made by another installation with a model of another manufacturer."""

    def elsewhere(analysis: Analysis) -> Analysis:
        return replace(analysis, installation=ANOTHER, identity=replace(analysis.identity, manufacturer="Somebody Else"))

    chest, lesion = elsewhere(analyses_with_images.chest()), elsewhere(analyses_with_images.lesion())
    made = [document.encode(chest), document.encode(lesion)]
    for analysis in (chest, lesion):
        for kind in ENCODERS:
            made += encode_kind(kind, analysis)
    return {f"{number} {one.kind}": dcmread(io.BytesIO(one.content)) for number, one in enumerate(made)}


@contextmanager
def listening(start: Any, make_settings: MakeSettings, **receive: Any) -> Iterator[Running]:
    destination = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 4242}
    completion = {"settle_s": 0.1, "quiet_s": 0.1, "max_wait_s": 20.0}
    yield start(make_settings(routes=[EVERYTHING], destinations=[destination], completion=completion, receive=receive))


def decided(node: Running, count: int) -> list[tuple[str, list[str]]]:
    """(reason, routes that claim it) of every unit."""
    conductor = Conductor(node.settings, node.database, node.blobs)

    def complete() -> list[tuple[str, list[str]]]:
        conductor.process_due_units()
        with node.database.begin() as connection:
            rows = connection.exec_driver_sql("SELECT reason, routes FROM units WHERE state = 'complete'").all()
        return [(row.reason, row.routes) for row in rows] if len(rows) == count else []

    found: list[tuple[str, list[str]]] = wait_until("units decided on", complete, 240.0, 0.1)
    conductor.close()
    return found


def test_results_of_another_installation_are_stored_and_never_analysed(
    start: Any, make_settings: MakeSettings, results: dict[str, Any]
) -> None:
    assert {str(one.SOPClassUID) for one in results.values()} <= RESULT_CLASSES
    with listening(start, make_settings) as node:
        for one in results.values():
            assert send(node.port, one) == [0x0000]
        series = {(str(one.StudyInstanceUID), str(one.SeriesInstanceUID)) for one in results.values()}
        found = decided(node, len(series))
        assert {reason for reason, _ in found} == {"made by dicom-node itself: its own results are not analysed"}
        assert not any(routes for _, routes in found)


def test_a_heat_map_as_secondary_capture_is_not_analysed_even_without_our_marks(
    start: Any, make_settings: MakeSettings, results: dict[str, FileDataset]
) -> None:
    """An archive may remove attributes that it does not know: what is left is a colour image of a SOP class that other images have too."""
    picture = deepcopy([one for one in results.values() if one.SOPClassUID == SecondaryCaptureImageStorage][-1])
    for keyword in ("ContributingEquipmentSequence", "CodingSchemeIdentificationSequence", "Manufacturer"):
        if keyword in picture:
            delattr(picture, keyword)
    with listening(start, make_settings) as node:
        assert send(node.port, picture) == [0x0000]
        ((reason, routes),) = decided(node, 1)
        assert (reason, routes) == ("no acquired image: Secondary Capture Image Storage", [])


def test_results_of_this_installation_are_recognised_by_the_index(
    start: Any, make_settings: MakeSettings, make_report: Any, database: Database, blobs: Blobs
) -> None:
    uid = make_report("pacs")
    with listening(start, make_settings) as node:
        returned = image(number=77, sop_class="1.2.840.10008.5.1.4.1.1.88.34", Modality="SR", SOPInstanceUID=uid)
        assert send(node.port, returned) == [0x0000]
        found = decided(node, 2)  # the series of the report's own job, and this one
        assert "made by dicom-node itself: its own results are not analysed" in [reason for reason, _ in found]


@pytest.mark.parametrize("recognised_by", ["marks", "index"])
def test_own_results_are_refused_if_configured(
    start: Any, make_settings: MakeSettings, make_report: Any, results: dict[str, FileDataset], recognised_by: str
) -> None:
    if recognised_by == "marks":
        returned = next(iter(results.values()))
    else:
        uid = make_report("pacs")
        returned = image(number=77, sop_class="1.2.840.10008.5.1.4.1.1.88.34", Modality="SR", SOPInstanceUID=uid)
    with listening(start, make_settings, own_objects="refuse") as node:
        assert send(node.port, returned, image(number=5)) == [0x0124, 0x0000]
        with node.database.begin() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM quarantine").scalar_one() == 0
            uids = connection.exec_driver_sql("SELECT sop_instance_uid FROM instances").scalars().all()
        assert str(returned.SOPInstanceUID) not in uids


def test_the_setting_has_two_values(make_settings: MakeSettings) -> None:
    with pytest.raises(ValueError, match="own_objects"):
        make_settings(receive={"own_objects": "analyse"})
    settings: Settings = make_settings()
    assert settings.receive.own_objects == "store"


def test_objects_of_other_makers_are_not_taken_for_ours(results: dict[str, FileDataset]) -> None:
    assert not made_by_dicom_node(image())
    hostile = Dataset()
    hostile.Manufacturer = ["dicom-node", "x"]
    hostile.add_new("CodingSchemeIdentificationSequence", "SQ", [Dataset()])
    assert not made_by_dicom_node(hostile)
    assert all(made_by_dicom_node(one) for name, one in results.items() if name.endswith("sr"))
