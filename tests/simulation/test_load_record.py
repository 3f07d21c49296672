"""What `make bench SECTION=load` records of a delivered unit."""

from db.engine import Database
from tests.bench.load import COLUMNS, read_times
from tests.bench.node_with_pacs import delivered_jobs
from tests.support.records import report_study, run


def test_the_times_of_a_delivered_unit(database: Database) -> None:
    report_study(database)
    assert read_times(database) == []
    run(database, "UPDATE jobs SET state = 'delivered', delivered_at = node_now()")
    assert delivered_jobs(database) == 1
    (times,) = read_times(database)
    found = dict(zip(COLUMNS, times, strict=True))
    assert (
        0
        == found["first_s"]
        <= found["received_s"]
        <= found["queued_s"]
        <= found["started_s"]
        <= found["reported_s"]
        <= found["delivered_s"]
    )
    assert (found["prepare_s"], found["infer_s"], found["encode_s"]) == (0.1, 0.2, 0.3)
