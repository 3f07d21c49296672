"""Fills an empty database with the studies of years in less than a minute: COPY, without triggers, and the counters from the rows.

Patients have several studies; states, outcomes, tiers and verdicts are mixed as on a node at work: nearly everything is delivered, a few
jobs failed, wait or run, and few results have been judged.
"""

import io
import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from db.engine import Database

DIGESTS = {"lung_nodule_ct": "a" * 64, "dermoscopy_7class": "b" * 64}
FAMILY = (
    "Weber",
    "Garcia",
    "Rossi",
    "Nowak",
    "Jansen",
    "Dubois",
    "Silva",
    "Andersson",
    "Kaya",
    "Novak",
    "Yamada",
    "Haddad",
    "Okafor",
    "Singh",
)
GIVEN = ("Anna", "Luis", "Marco", "Ewa", "Pieter", "Claire", "Ana", "Lars", "Elif", "Petr", "Tarou", "Nizar", "Ada", "Arjun")
IDEOGRAPHIC = {"Yamada": "=山田^太郎"}
STUDY_WORDS = ("CT Thorax nativ", "Chest CT, follow-up", "Thorax low dose", "CT lung screening")
NODULE = ("nodule", "27925004", "SCT", "Nodule")
CLASSES = (("nv", "400010006", "SCT", "Melanocytic nevus"), ("mel", "372244006", "SCT", "Malignant melanoma"))
SHARE_OF_PHOTOGRAPHS = 0.15
VERDICTS_EVERY = 30
EVENTS = ("unit.completed", "job.reported", "delivery.stored")


class _Rows:
    """Rows of one table in the text format of COPY."""

    def __init__(self, table: str, columns: str) -> None:
        self.table, self.columns, self._text, self._number = table, columns, io.StringIO(), 0

    def add(self, *values: object) -> None:
        self._text.write("\t".join("\\N" if value is None else str(value) for value in values) + "\n")

    def add_event(self, *values: object) -> None:
        """Add an audit event, linked by hashes of no meaning."""
        self._number += 1
        self.add(*values, self._number, f"{self._number:064x}")

    def copy(self, cursor: Any) -> None:
        self._text.seek(0)
        cursor.copy_expert(f"COPY {self.table} ({self.columns}) FROM STDIN", self._text)


def fill_many_studies(superuser: Database, *, studies: int, findings: int, seed: int = 1) -> None:
    """Insert ``studies`` studies with one series or photograph each, and about ``findings`` findings, over the last two years."""
    tables = _tables()
    _add_rows(tables, studies, findings, random.Random(seed))
    raw = superuser.engine.raw_connection()
    try:
        with raw.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")  # no triggers: only a superuser may
            for table in tables.values():
                table.copy(cursor)
            for statement in _AFTERWARDS:
                cursor.execute(statement)
        raw.commit()
    finally:
        raw.close()
    with superuser.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _tables() -> dict[str, _Rows]:
    described = {
        "studies": "id, study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex, "
        "accession_number, study_id, study_date, study_time, study_description, first_received_at",
        "series": "id, study_id, series_instance_uid, modality, series_number, series_description, body_part_examined",
        "units": "id, series_id, kind, sop_instance_uid, state, source, held, first_received_at, opened_at, last_received_at, routes, "
        "evidence, reason, outcome, completed_at",
        "jobs": "id, key, unit_id, revision, model, model_version, pipeline_digest, routes, destinations, priority, state, outcome, "
        "reason, token, lease_until, attempts, evidence, last_received_at, completed_at, queued_at, inferred_at, reported_at, delivered_at",
        "attempts": "job_id, number, worker, token, started_at, ended_at, result",
        "findings": "job_id, ordinal, label, code_value, code_scheme, code_meaning, probability, score, tier, position_mm, diameter_mm",
        "reports": "id, job_id, kind, profile, sop_class_uid, sop_instance_uid, series_instance_uid, sha256, size_bytes, created_at",
        "deliveries": "job_id, report_id, destination, priority, state, attempts, created_at, changed_at, stored_at",
        "audit_events": "at, actor, action, subject, details, chain_seq, chain_hash",
        "models": "name, version, digest, title, manufacturer, status, not_for, state, activated_at",
    }
    return {name: _Rows(name, columns) for name, columns in described.items()}


def _add_rows(tables: dict[str, _Rows], studies: int, findings: int, chance: random.Random) -> None:
    now = datetime.now(UTC)
    step = timedelta(days=730) / studies
    with_findings = studies * (1 - SHARE_OF_PHOTOGRAPHS) * 0.9
    each = max(1, round(findings / with_findings))
    for name, digest in DIGESTS.items():
        tables["models"].add(name, "1.0", digest, name, "dicom-node", "research", "diagnosis", "active", now)
    for number in range(1, studies + 1):
        at = now - step * (studies - number + 1)
        _add_study(tables, number, at, studies - number, each, chance)


def _add_study(tables: dict[str, _Rows], id: int, at: datetime, behind: int, each: int, chance: random.Random) -> None:
    """Add one study. ``behind``: how many come after it; only the newest still arrive, wait or run."""
    photograph = chance.random() < SHARE_OF_PHOTOGRAPHS
    model = "dermoscopy_7class" if photograph else "lung_nodule_ct"
    patient = chance.randrange(40_000)
    family, given = FAMILY[patient % len(FAMILY)], GIVEN[patient // 14 % len(GIVEN)]
    name = f"{family}^{given} {patient}{IDEOGRAPHIC.get(family, '')}"
    uid, day = f"1.2.826.0.1.3680043.10.543.{id}", f"{at:%Y%m%d}"
    words = "Dermoscopy" if photograph else STUDY_WORDS[id % len(STUDY_WORDS)]
    tables["studies"].add(id, uid, f"P-{patient:06}", "", name, "19600101", "F", f"A-{id:07}", id, day, "080000", words, at)
    tables["series"].add(id, id, f"{uid}.1", "XC" if photograph else "CT", 1, words, "SKIN" if photograph else "CHEST")
    receiving, unrouted = behind < 4, chance.random() < 0.01
    done = None if receiving else at + timedelta(seconds=40)
    held, kind = (1, "image") if photograph else (120 + id % 200, "series")
    routed = not (receiving or unrouted)
    tables["units"].add(
        id, id, kind, f"{uid}.1.1" if photograph else "", "open" if receiving else "complete", "MODALITY", held, at, at, at,
        "{chest}" if routed else "{}", None if receiving else json.dumps({"rule": "quiet", "reason": "30 s without an instance"}),
        "no route takes it" if unrouted and not receiving else "", "not_analysed" if unrouted and not receiving else None, done,
    )  # fmt: skip
    if routed:
        _add_job(tables, id, model, at, behind, each, chance)
    tables["audit_events"].add_event(at, "user:clinician", "worklist.viewed", "worklist", json.dumps({"from": "10.0.0.1", "studies": [id]}))


def _add_job(tables: dict[str, _Rows], id: int, model: str, at: datetime, behind: int, each: int, chance: random.Random) -> None:
    drawn = chance.random()
    failed = drawn < 0.001
    state = "running" if behind < 8 else "queued" if behind < 40 else "quarantined" if failed else "delivered"
    ended = state == "delivered"
    outcome = None if not ended else "abstained" if drawn < 0.02 else "no_finding" if drawn < 0.1 else "findings"
    reported = at + timedelta(seconds=60 + drawn * 60) if ended else None
    token = f"00000000-0000-0000-0000-{id:012}"
    tables["jobs"].add(
        id, f"k{id}", id, 1, model, "1.0", DIGESTS[model], "{chest}", "{pacs,archive}", "urgent" if drawn > 0.97 else "routine", state,
        outcome, "the worker ran out of memory" if failed else "", token if state == "running" else None,
        datetime.now(UTC) + timedelta(hours=1) if state == "running" else None, 1, json.dumps({"rule": "quiet"}), at, at, at, reported,
        reported, reported,
    )  # fmt: skip
    if not ended:
        return
    tables["attempts"].add(id, 1, "worker@node:1", token, at, reported, "reported")
    if outcome == "findings":
        for ordinal, (code, score, tier) in enumerate(_answers(model, each, chance), start=1):
            probability = score if model == "dermoscopy_7class" else None
            place = (None, None) if probability is not None else (f"{{{chance.uniform(-150, 150):.1f},-20,-120}}", f"{4 + 20 * score:.1f}")
            tables["findings"].add(id, ordinal, *code, probability, None if probability is not None else score, tier, *place)
    for number, object_kind in enumerate(("sr", "seg")):
        report, sop = 2 * id + number, f"2.25.{10**9 + 2 * id + number}"
        tables["reports"].add(
            report, id, object_kind, object_kind, "1.2.840.10008.5.1.4.1.1.88.34", sop, "2.25.1", f"{report:064x}", 9000, at
        )
        tables["deliveries"].add(id, report, "pacs", "routine", "stored", 1, reported, reported, reported)
    tables["deliveries"].add(id, 2 * id, "archive", "routine", "failed" if drawn > 0.999 else "stored", 1, reported, reported, reported)
    for action in EVENTS:
        tables["audit_events"].add_event(reported, "node", action, f"job:{id}", json.dumps({"digest": DIGESTS[model], "study": id}))
    tables["audit_events"].add_event(reported, "user:clinician", "study.viewed", f"study:{id}", json.dumps({"from": "10.0.0.1"}))


def _answers(model: str, each: int, chance: random.Random) -> Iterable[tuple[tuple[str, str, str, str], float, str]]:
    if model == "dermoscopy_7class":
        probability = chance.random()
        yield CLASSES[probability > 0.8], probability, "high" if probability > 0.85 else "review" if probability > 0.6 else "uncertain"
        return
    best = chance.random()
    for number in range(max(1, chance.randint(each - 4, each + 4))):
        score = best / (1 + number)
        yield NODULE, score, "high" if score > 0.85 else "review" if score > 0.6 else "uncertain"


_AFTERWARDS = (
    *(f"SELECT setval('{name}_id_seq', (SELECT max(id) FROM {name}))" for name in ("studies", "series", "units", "jobs", "reports")),
    f"""INSERT INTO verdicts (job_id, finding_id, verdict, reason, user_name, seen_revision, seen_at, at)
       SELECT f.job_id, f.id, CASE WHEN f.id % 5 = 0 THEN 'rejected' ELSE 'accepted' END,
              CASE WHEN f.id % 5 = 0 THEN 'artifact' ELSE '' END, 'clinician', 1, j.reported_at, j.reported_at + interval '1 hour'
       FROM findings f JOIN jobs j ON j.id = f.job_id WHERE j.id % {VERDICTS_EVERY} = 0""",
    """INSERT INTO jobs (key, unit_id, revision, model, model_version, pipeline_digest, routes, destinations, priority, shadow, state,
                         outcome, evidence, completed_at, queued_at, reported_at)
       SELECT 's' || key, unit_id, revision, model, '1.1', repeat('c', 64), routes, destinations, priority, true, 'delivered', outcome,
              evidence, completed_at, queued_at, reported_at
       FROM jobs WHERE model = 'lung_nodule_ct' AND outcome IS NOT NULL AND id % 20 = 0""",
    "INSERT INTO counters (name, labels, amount) SELECT 'jobs', ARRAY[state], count(*) FROM jobs GROUP BY state",
    """INSERT INTO counters (name, labels, amount)
       SELECT 'outcomes', ARRAY[model, outcome], count(*) FROM jobs WHERE outcome IS NOT NULL GROUP BY model, outcome""",
    """INSERT INTO counters (name, labels, amount)
       SELECT 'deliveries', ARRAY[destination, state], count(*) FROM deliveries GROUP BY destination, state""",
    "INSERT INTO counters (name, labels, amount) SELECT 'instances', '{}', sum(held) FROM units WHERE state = 'complete'",
)
