"""What `make bench SECTION=load` records of a delivered unit."""

from db.engine import Database
from tests.bench.load import COLUMNS, delivered, read_times
from tests.support.records import Sender, claim, complete, finish, plan, run


def test_the_times_of_a_delivered_unit(database: Database) -> None:
    Sender(database).send(1)
    complete(database, plan())
    finish(database, claim(database))
    assert read_times(database) == []
    run(database, "UPDATE jobs SET state = 'delivered', delivered_at = node_now()")
    assert delivered(database) == 1
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
