"""Verifies the audit trail against its anchors: finds events deleted at the end, chains written anew, and emptied tables.

The chain alone cannot show these, because the owner of the table can compute every hash again. An anchor that left the database earlier
has the number and the hash of an event: the trail must still hold that event, with that hash.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cryptography import x509

from db import audit
from db.anchor.anchor_file import SignedLine, read_lines
from db.anchor.anchor_key import load_public_key
from db.anchor.anchor_state import read_state
from db.anchor.time_stamps import token_problem
from db.audit_archive.chained_event import ChainedEvent
from db.engine import Database


def verify_with_anchors(
    database: Database,
    path: Path,
    public_key: Path,
    authorities: list[x509.Certificate] | None = None,
    archives: Iterable[Iterable[ChainedEvent]] = (),
) -> audit.ChainCheck:
    """Check the chain, and that it holds every anchored event.

    Parameters
    ----------
    path
        The file of the anchors, or a copy of it.
    public_key
        The key that its lines are signed with; best a copy that is kept elsewhere.
    authorities
        Of the time-stamp service: time stamps are verified against them. None: they are not verified.
    archives
        Events of archived months (`db.audit_archive.month_archive.open_archives`).

    Raises
    ------
    ConfigurationError
        The public key cannot be read.
    StorageError
        The database or the file is unavailable.
    """
    if not path.exists():
        with database.begin() as connection:
            state = read_state(connection)
        expected = state is not None and state.number > 0
        problem = f"{path} is missing, although anchors were written" if expected else ""
        return replace(audit.verify(database, archives=archives), anchor_problem=problem)
    lines, problem = read_lines(path, load_public_key(public_key))
    found = audit.verify(database, *_expected(lines), archives)
    stamps = [line for line in lines if line.anchor.kind == "time_stamp"]
    other = next((line for line in lines if line.anchor.installation != str(database.installation_id())), None)
    if other is not None:
        problem = problem or "the anchor file belongs to another installation"
    problem = problem or _wrong_stamp(lines, stamps, authorities) or found.anchor_problem
    return replace(found, anchor_problem=problem, time_stamps=len(stamps), restored=_restored(lines))


def _expected(lines: list[SignedLine]) -> tuple[dict[int, str], str]:
    """Return number -> hash that the chain must have, and the time of the last anchor.

    A restore takes back what was anchored after the head of the backup: those events are gone, and the line says so.
    """
    expected: dict[int, str] = {}
    at = ""
    for line in lines:
        anchor = line.anchor
        if anchor.kind == "restored":
            expected = {number: value for number, value in expected.items() if number <= anchor.number}
        if anchor.kind != "time_stamp" and anchor.number:
            expected[anchor.number] = anchor.hash
            at = anchor.at
    return expected, at


def _restored(lines: list[SignedLine]) -> tuple[str, ...]:
    """Return a sentence for every restore: how many anchored events are missing since; and one where earlier anchors are not here."""
    found, highest = [], 0
    for line in lines:
        if "after" in line.anchor.details:
            begun = f"the anchor file begins at {line.anchor.at}, after event {line.anchor.details['after']} was anchored"
            found.append(f"{begun}: earlier anchors are in another file, or it was deleted")
        if line.anchor.kind == "restored":
            gone = max(0, highest - line.anchor.number)
            ends = f"a backup that ends with event {line.anchor.number}"
            found.append(f"restored at {line.anchor.at} from {ends}: {gone} later events are gone")
            highest = line.anchor.number
        highest = max(highest, line.anchor.number)
    return tuple(found)


def _wrong_stamp(lines: list[SignedLine], stamps: list[SignedLine], authorities: list[x509.Certificate] | None) -> str:
    if authorities is None:
        return ""
    by_digest = {line.digest: line for line in lines}
    for stamp in stamps:
        stamped = by_digest.get(str(stamp.anchor.details.get("of")))
        if stamped is None:
            return f"the time stamp of {stamp.anchor.at} is over a line that is missing"
        if problem := token_problem(str(stamp.anchor.details.get("token")), stamped.line, authorities):
            return f"{problem} (over the anchor of {stamped.anchor.at})"
    return ""
