"""From received instances to queued jobs, on a real database: evidence, routes, choices, revisions."""

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileDataset
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]
from structlog.testing import capture_logs

from db import audit
from db.blobs.store import Blobs
from db.engine import Database
from db.listings.unrouted import list_unrouted
from db.operations.status import node_status
from db.roles import heartbeats
from dicom_node.conduct import conductor
from dicom_node.notify.alert_monitor import UNITS_WITHOUT_RESULT, find_conditions
from dicom_node.sockets import NodeEntity
from imaging.wire.part10 import data_set_offset
from tests.dicom_node.conftest import DESTINATION, MakeSettings, Running, database_unavailable
from tests.support.real_data import shared_data
from tests.support.records import rows, run
from tests.support.send_role import wait_for
from tests.support.series import CT, DERMOSCOPY, SR, image, series
from tests.support.storage_scu import associated, data_set_bytes, send, send_file, store_bytes

MODEL = "dermoscopy_7class"  # any installed model: the conductor only plans jobs
CHEST = {"name": "chest", "model": MODEL, "destinations": ["pacs"], "when": {"Modality": "CT"}}
DESTINATIONS = {"destinations": [DESTINATION]}
SKIN = {"name": "skin", "model": MODEL, "destinations": ["pacs"], "when": {"SOPClassUID": DERMOSCOPY}}


def complete_units(node: Running, count: int) -> list[tuple[Any, ...]]:
    query = "SELECT evidence->>'rule', reason, routes, selected, outcome, revision FROM units WHERE state = 'complete' ORDER BY id"
    wait_for(lambda: len(rows(node.database, query)) == count)
    return rows(node.database, query)


def test_series_is_complete_by_release_and_geometry(conduct: Any) -> None:
    with conduct(CHEST) as node:
        send(node.port, *series(4))
        ((rule, reason, claimed, chosen, outcome, revision),) = complete_units(node, 1)
        assert (rule, reason, claimed, chosen, outcome, revision) == ("released", "", ["chest"], None, None, 1)
        ((model, state, destinations),) = rows(node.database, "SELECT model, state, destinations FROM jobs")
        assert (model, state, destinations) == (MODEL, "queued", ["pacs"])
        assert rows(node.database, "SELECT count(*) FROM outbox") == [(1,)]
        assert {"unit.completed", "job.queued"} <= {event["action"] for event in audit.export(node.database)}
        assert any(beat.role == "conduct" for beat in heartbeats.alive_processes(node.database, 600))
    assert not any(beat.role == "conduct" for beat in heartbeats.alive_processes(node.database, 600))


def test_what_no_route_takes_is_logged_without_values_of_the_header(conduct: Any) -> None:
    """The reason quotes descriptions, for the console; people type names into them."""
    body_part = {"when": {"Modality": "CT", "body_part": "chest"}}
    with capture_logs() as logged, conduct({**CHEST, **body_part}) as node:
        send(node.port, *series(4, BodyPartExamined=None, StudyDescription="Knee of Doe"))
        ((_, reason, *_),) = complete_units(node, 1)
    assert "Knee of Doe" in reason
    (line,) = [entry for entry in logged if entry["event"] == "unit_complete"]
    assert line["reason"] == "no route takes it"


QUIET = {"settle_s": 0.4, "quiet_s": 3.0, "max_wait_s": 240.0}
QUIET_FOR_S = "SELECT extract(epoch FROM completed_at - last_received_at)::float8 FROM units"


def test_a_gap_waits_for_quiet(conduct: Any) -> None:
    with conduct(CHEST, completion=QUIET) as node:
        send(node.port, *(image(number=number) for number in (1, 2, 3, 5, 6)))
        ((rule, *_),) = complete_units(node, 1)
        assert rule == "quiet"
        assert rows(node.database, QUIET_FOR_S)[0][0] >= 3.0


def test_an_open_association_delays_until_quiet(conduct: Any) -> None:
    with conduct(CHEST, completion=QUIET) as node, associated(node.port, {CT: ["1.2.840.10008.1.2.1"]}) as association:
        for dataset in series(4):
            content = data_set_bytes(dataset)
            store_bytes(association, content, sop_class=CT, sop_instance=dataset.SOPInstanceUID)
        ((rule, *_),) = complete_units(node, 1)
        assert rule == "quiet"
        assert association.is_established
        assert rows(node.database, QUIET_FOR_S)[0][0] >= 3.0  # not after settle_s


def test_photographs_are_complete_at_once_one_by_one(conduct: Any) -> None:
    slow = {"settle_s": 30.0, "quiet_s": 60.0, "max_wait_s": 900.0}
    with conduct(SKIN, completion=slow) as node:
        send(node.port, *(image(number=n, sop_class=DERMOSCOPY, Modality="DMS") for n in (1, 2)))
        assert [unit[0] for unit in complete_units(node, 2)] == ["photograph", "photograph"]
        assert rows(node.database, "SELECT count(*) FROM jobs") == [(2,)]


def test_a_unit_without_a_route_is_recorded_with_the_reason(conduct: Any) -> None:
    named = {**CHEST, "name": "named", "when": {"all": [{"PatientID": "SECRET"}, {"Modality": "MR"}]}}
    with conduct(named) as node:
        send(node.port, *series(3, Modality="CT", PatientID="P-123"))
        ((_, reason, claimed, _, outcome, _),) = complete_units(node, 1)
        assert (claimed, outcome) == ([], "not_analysed")
        assert "Modality is CT, wanted MR" in reason
        assert "P-123" not in reason
        assert "SECRET" not in reason
        assert rows(node.database, "SELECT count(*) FROM jobs") == [(0,)]


def test_model_that_is_not_installed(conduct: Any) -> None:
    with conduct({**CHEST, "model": "no_such_model"}) as node:
        send(node.port, *series(3))
        ((_, reason, claimed, *_),) = complete_units(node, 1)
        assert claimed == ["chest"]
        assert "no_such_model" in reason
        # a job for the report that says so
        assert rows(node.database, "SELECT model, model_version, state FROM jobs") == [("no_such_model", "unknown", "failed")]


def test_routes_to_one_model_share_a_job(conduct: Any) -> None:
    urgent = {**CHEST, "name": "thorax", "destinations": ["second", "pacs"], "priority": "urgent", "when": {"BodyPartExamined": "chest"}}
    with conduct(CHEST, urgent) as node:
        send(node.port, *series(3))
        complete_units(node, 1)
        ((routes, destinations, priority),) = rows(node.database, "SELECT routes, destinations, priority FROM jobs")
        assert (routes, destinations, priority) == (["chest", "thorax"], ["pacs", "second"], "urgent")


def test_source_ae_title_routes(conduct: Any) -> None:
    with conduct({**CHEST, "when": {"SourceAETitle": "PACS"}}) as node:
        send(node.port, *series(3))
        ((_, _, claimed, *_),) = complete_units(node, 1)
        assert claimed == ["chest"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sop_class": SR, "Modality": "SR"}, "no image"),
        ({"Manufacturer": "dicom-node"}, "made by dicom-node"),
    ],
)
def test_reports_and_our_own_objects_are_never_analysed(conduct: Any, changes: dict[str, Any], words: str) -> None:
    with conduct({**CHEST, "when": {"SOPClassUID": {"pattern": "."}}}) as node:
        send(node.port, image(**changes))
        ((_, reason, claimed, *_),) = complete_units(node, 1)
        assert words in reason
        assert claimed == []


def test_localizers_are_left_out_with_a_note(conduct: Any) -> None:
    scout = image(number=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    with conduct(CHEST) as node:
        send(node.port, scout, *(image(number=n) for n in (2, 3, 4)))
        complete_units(node, 1)
        assert rows(node.database, "SELECT count(*) FROM job_inputs") == [(3,)]
        assert "1 localizer left out" in rows(node.database, "SELECT dropped FROM units")[0][0]


def test_only_localizers_is_no_series_to_analyse(conduct: Any) -> None:
    with conduct(CHEST) as node:
        send(node.port, image(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
        ((_, reason, *_),) = complete_units(node, 1)
        assert reason == "nothing but localizers"


def test_best_of_a_study(conduct: Any) -> None:
    with conduct({**CHEST, "per_study": "best"}) as node:
        send(node.port, *series(3, series=1, thickness=5.0), *series(6, series=2, thickness=1.0), *series(3, series=3, Modality="MR"))
        units = complete_units(node, 3)
        assert [unit[3] for unit in units] == [False, True, None]
        assert "series 2 has thinner slices (1 mm, 5 mm here)" in units[0][1]
        ((uid,),) = rows(
            node.database, "SELECT s.series_instance_uid FROM jobs j JOIN units u ON u.id=j.unit_id JOIN series s ON s.id=u.series_id"
        )
        assert uid.endswith(".2")


def received_earlier(database: Database, unit_id: int, by: str) -> None:
    """Move what a unit has received into the past, so that it has been quiet for longer, and let it be checked at once."""
    run(
        database, f"UPDATE units SET last_received_at = last_received_at - interval '{by}', next_check_at = node_now() WHERE id = {unit_id}"
    )
    run(database, f"UPDATE association_units SET last_instance_at = last_instance_at - interval '{by}' WHERE unit_id = {unit_id}")


def test_best_waits_for_a_series_that_is_coming_in(node: Running, make_settings: MakeSettings) -> None:
    """The first series has been quiet for long enough; the second is received on the association that is still open."""
    quiet = {"settle_s": 600.0, "quiet_s": 1800.0, "max_wait_s": 86400.0}
    settings = make_settings(completion=quiet, routes=[{**CHEST, "per_study": "best"}], **DESTINATIONS)
    one = conductor.Conductor(settings, node.database, node.blobs)
    with associated(node.port, {CT: ["1.2.840.10008.1.2.1"]}) as association:

        def store(dataset: FileDataset) -> None:
            store_bytes(association, data_set_bytes(dataset), sop_class=CT, sop_instance=dataset.SOPInstanceUID)

        for dataset in series(3, series=1, thickness=5.0):
            store(dataset)
        first, *rest = series(4, series=2, thickness=1.0)
        store(first)
        received_earlier(node.database, 1, "1 hour")
        for dataset in rest:
            store(dataset)
            run(node.database, "UPDATE units SET next_check_at = node_now()")
            one.process_due_units()
            assert rows(node.database, "SELECT count(*) FROM units WHERE state = 'complete'") == [(0,)]
        received_earlier(node.database, 2, "1 hour")
        run(node.database, "UPDATE units SET next_check_at = node_now()")
        one.process_due_units()
        assert [unit[3] for unit in complete_units(node, 2)] == [False, True]
    one.close()


def test_better_series_after_the_choice_is_analysed_too(conduct: Any) -> None:
    with conduct({**CHEST, "per_study": "best"}) as node:
        send(node.port, *series(3, series=1, thickness=5.0))
        complete_units(node, 1)
        send(node.port, *series(3, series=2, thickness=1.0))
        later = complete_units(node, 2)[1]
        assert later[3] is True
        assert "after another series" in later[1]
        send(node.port, *series(3, series=3, thickness=3.0))
        assert complete_units(node, 3)[2][3] is False
        assert rows(node.database, "SELECT count(*) FROM jobs") == [(2,)]


def test_late_instance_makes_a_revision_that_supersedes(conduct: Any) -> None:
    with conduct(CHEST) as node:
        send(node.port, *series(3))
        complete_units(node, 1)
        send(node.port, image(number=4))
        wait_for(lambda: rows(node.database, "SELECT revision, state FROM units") == [(2, "complete")])
        assert rows(node.database, "SELECT revision, state FROM jobs ORDER BY id") == [(1, "superseded"), (2, "queued")]


def test_other_encoding_of_the_same_content_is_settled_as_the_same(conduct: Any) -> None:
    with conduct(CHEST) as node:
        one = image()
        send(node.port, one)
        other = image()
        other.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        buffer = io.BytesIO()
        other.save_as(buffer, implicit_vr=True, little_endian=True, enforce_file_format=True)
        raw = buffer.getvalue()[data_set_offset(buffer.getvalue()) :]
        implicit = "1.2.840.10008.1.2"
        with associated(node.port, {CT: [implicit]}) as association:
            assert store_bytes(association, raw, sop_class=CT, sop_instance=one.SOPInstanceUID, syntax=implicit).Status == 0
        wait_for(lambda: rows(node.database, "SELECT state FROM instances ORDER BY id") == [("current",), ("equivalent",)])
        complete_units(node, 1)
        send(node.port, image(PatientID="OTHER"))
        wait_for(lambda: [row[0] for row in rows(node.database, "SELECT state FROM instances ORDER BY id")][-1] == "current")
        wait_for(lambda: rows(node.database, "SELECT revision > 1, state FROM units") == [(True, "complete")])


def test_a_unit_whose_instances_all_moved_ends_with_a_reason(conduct: Any) -> None:
    """A CT instance, then the same SOP Instance UID as a photograph in another series."""
    with conduct(CHEST) as node:
        one = image()
        send(node.port, one)
        send(node.port, image(series=2, sop_class=DERMOSCOPY, Modality="DMS", SOPInstanceUID=one.SOPInstanceUID))
        query = "SELECT evidence->>'rule', outcome, held FROM units ORDER BY id"
        wait_for(lambda: rows(node.database, query) == [("moved", "not_analysed", 0), ("photograph", "not_analysed", 1)])
        ((reason,),) = rows(node.database, "SELECT reason FROM units WHERE held = 0")
        assert "in another series" in reason
        listed = list_unrouted(node.database, since=None, limit=10)
        assert reason in [unit["reason"] for unit in listed]
        status = node_status(node.database)
        assert status.without_job == {"moved": 1, "no_route": 1}
        assert find_conditions(node.settings, node.database)[UNITS_WITHOUT_RESULT, "moved"] == {"count": 1}


def test_continues_after_the_database_was_unavailable(conduct: Any, postgres_url: str) -> None:
    with conduct(CHEST) as node:
        send(node.port, *series(3))
        with database_unavailable(postgres_url, node.database):
            time.sleep(1.5)
        complete_units(node, 1)
        assert rows(node.database, "SELECT count(*) FROM jobs") == [(1,)]


def test_a_missing_blob_is_reported_and_does_not_delay_other_units(conduct: Any) -> None:
    with conduct(CHEST) as node:
        with associated(node.port, {CT: ["1.2.840.10008.1.2.1"]}) as association:  # nothing is complete before it is released
            for dataset in series(3):
                store_bytes(association, data_set_bytes(dataset), sop_class=CT, sop_instance=dataset.SOPInstanceUID)
            for (sha256,) in rows(node.database, "SELECT sha256 FROM instances"):
                node.blobs.remove(sha256)
        send(node.port, *series(3, study=2))
        wait_for(lambda: rows(node.database, "SELECT count(*) FROM jobs") == [(1,)])
        assert rows(node.database, "SELECT state FROM units ORDER BY id") == [("open",), ("complete",)]


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_malformed_files_are_all_decided_on(conduct: Any) -> None:
    folders = [shared_data() / "conformance" / name for name in ("malformed", "charsets", "visible-light-colour")]
    with conduct({**CHEST, "when": {"not": {"PatientID": {"pattern": "^$"}}}}, completion={"settle_s": 0.2, "quiet_s": 0.4}) as node:
        for path in (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()):
            send_file(node.port, path)
        (units,) = rows(node.database, "SELECT count(*) FROM units")
        assert units[0] > 10
        wait_for(lambda: rows(node.database, "SELECT count(*) FROM units WHERE state = 'complete'") == [units])
        assert rows(node.database, "SELECT count(*) FROM units WHERE position('cannot be matched' in reason) > 0") == [(0,)]


class QueryAnswers:
    """A query SCP for one series. ``count``: its Number of Series Related Instances, None: not returned. ``images``: at IMAGE level."""

    def __init__(self, count: int | None, images: int = 0, status: int = 0x0000) -> None:
        self.count, self.images, self.status, self.asked = count, images, status, 0

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self.asked += 1
        identifier = event.identifier
        if self.status:
            yield self.status, None
            return
        if identifier.QueryRetrieveLevel == "SERIES":
            answer = Dataset()
            answer.QueryRetrieveLevel = "SERIES"
            answer.StudyInstanceUID, answer.SeriesInstanceUID = identifier.StudyInstanceUID, identifier.SeriesInstanceUID
            if self.count is not None:
                answer.NumberOfSeriesRelatedInstances = self.count
            yield 0xFF00, answer
        else:
            for number in range(self.images):
                answer = Dataset()
                answer.QueryRetrieveLevel = "IMAGE"
                answer.SOPInstanceUID = f"{identifier.SeriesInstanceUID}.{number + 1}"
                yield 0xFF00, answer


@contextmanager
def archive(answers: QueryAnswers) -> Iterator[dict[str, Any]]:
    ae = NodeEntity("ARCHIVE")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answers.find)])
    assert server is not None
    try:
        query = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": server.server_address[1]}
        yield {"sources": [{"ae_title": "PACS", "host": "127.0.0.1", "query": query}]}
    finally:
        server.shutdown()


SLOW = {"settle_s": 300.0, "quiet_s": 600.0, "max_wait_s": 900.0}  # no test lasts so long: only the count can decide


@pytest.mark.parametrize("answers", [QueryAnswers(4), QueryAnswers(None, images=4)], ids=["stated", "counted"])
def test_expected_count_from_the_source_completes(conduct: Any, answers: QueryAnswers) -> None:
    with archive(answers) as sources, conduct(CHEST, completion=SLOW, **sources) as node:
        send(node.port, *series(4))
        ((rule, *_),) = complete_units(node, 1)
        assert rule == "expected_count"
        assert answers.asked >= 2


def test_fewer_instances_than_the_source_counts_wait_for_quiet(node: Running, make_settings: MakeSettings) -> None:
    completion = {"settle_s": 600.0, "quiet_s": 1800.0, "max_wait_s": 86400.0}
    with archive(QueryAnswers(9)) as sources:
        one = conductor.Conductor(
            make_settings(completion=completion, routes=[CHEST], **DESTINATIONS, **sources), node.database, node.blobs
        )
        send(node.port, *series(4))
        expected = "SELECT expected FROM units"
        wait_for(lambda: one.process_due_units() >= 0 and rows(node.database, expected) == [(9,)])
        received_earlier(node.database, 1, "20 minutes")
        one.process_due_units()
        assert rows(node.database, "SELECT state FROM units") == [("open",)]  # not "released": the source has more than is held
        received_earlier(node.database, 1, "20 minutes")
        one.process_due_units()
        ((rule, *_),) = complete_units(node, 1)
        assert rule == "quiet"
        assert rows(node.database, "SELECT (evidence->>'expected')::int FROM units") == [(9,)]
        one.close()


@pytest.mark.parametrize("broken", ["refused", "failing"])
def test_a_source_that_cannot_be_asked_never_blocks(conduct: Any, broken: str) -> None:
    with archive(QueryAnswers(None, status=0xC000)) as sources:
        if broken == "refused":
            sources["sources"][0]["query"]["port"] = 9  # a closed port
        with conduct(CHEST, **sources) as node:
            send(node.port, *series(4))
            ((rule, *_),) = complete_units(node, 1)
            assert rule == "released"


def test_temporary_files_of_killed_writers_are_removed_and_those_of_living_ones_kept(
    database: Database, blobs: Blobs, make_settings: MakeSettings
) -> None:
    one = conductor.Conductor(make_settings(receive={"network_timeout_s": 50.0}), database, blobs)
    living, killed = blobs.tmp_dir / "living", blobs.tmp_dir / "killed"
    for path, age_s in ((living, 20), (killed, 200)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age_s,) * 2)
    one.process_due_units()
    assert [path.name for path in blobs.tmp_dir.iterdir()] == ["living"]
    one.close()
