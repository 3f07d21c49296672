"""Statistics of inputs and scores by pipeline, scanner and week, and how far they have moved from the expected distribution."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from core.policy.drift import DriftObservation, count_by_bin, drift_level, index_by_chance, stability_index
from db.engine import Database
from db.pipelined import Statement
from db.row_values import clean_text

FIRST_WEEKS = 4  # the expected distribution where the model card has none
MAX_SCANNER = 64
# One statement for all quantities, in one order, so that two workers cannot deadlock.
_ADD = text("""
    INSERT INTO model_statistics AS s (week, pipeline_digest, scanner, quantity, model, model_version, bins)
    SELECT date_trunc('week', node_now() AT TIME ZONE 'UTC')::date, :digest, :scanner, c.key, :model, :version,
           ARRAY(SELECT n::bigint FROM jsonb_array_elements_text(c.value) WITH ORDINALITY AS counts (n, place) ORDER BY place)
    FROM jsonb_each(CAST(:counts AS jsonb)) AS c ORDER BY c.key
    ON CONFLICT (week, pipeline_digest, scanner, quantity) DO UPDATE SET bins = (
        SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY place)
        FROM unnest(s.bins, excluded.bins) WITH ORDINALITY AS counts (a, b, place))
""")
_ROWS = text("""
    SELECT week, (date_trunc('week', node_now() AT TIME ZONE 'UTC')::date - week) / 7 AS weeks_ago, model, model_version,
           pipeline_digest, scanner, quantity, bins FROM model_statistics
    WHERE CAST(:model AS text) IS NULL OR model = :model ORDER BY model, pipeline_digest, scanner, quantity, week
""")


def count_statements(*, model: str, version: str, digest: str, scanner: str, observations: Sequence[DriftObservation]) -> list[Statement]:
    """Return the statements that count one unit, for the transaction that commits its result; none where nothing was observed."""
    counts = count_by_bin(observations)
    values = {"model": model, "version": version, "digest": digest, "scanner": clean_text(scanner)[:MAX_SCANNER] or "unknown"}
    return [(_ADD, {**values, "counts": json.dumps(counts)})] if counts else []


def weekly_statistics(
    database: Database, *, model: str | None = None, references: Mapping[str, Mapping[str, Sequence[float]]]
) -> list[dict[str, Any]]:
    """Return one row for every pipeline, scanner, quantity and week, with its population stability index.

    Parameters
    ----------
    references
        Pipeline digest -> quantity -> expected counts, from the model cards. Where there is none, the first weeks of the same scanner
        with this pipeline are the expected distribution, and have no index themselves.

    Returns
    -------
    ``weeks_ago`` is 0 for this week. ``by_chance`` is the index that so few units have on average without any drift, and None where
    there is no index; ``level`` rests on what exceeds it.
    """
    with database.begin() as connection:
        stored = connection.execute(_ROWS, {"model": model}).all()
    groups: dict[tuple[str, str, str], list[Any]] = {}
    for row in stored:
        groups.setdefault((row.pipeline_digest, row.scanner, row.quantity), []).append(row)
    found = []
    for (digest, _, quantity), rows in groups.items():
        expected = references.get(digest, {}).get(quantity)
        usable = expected is not None and len(expected) == len(rows[0].bins)
        first = [] if usable else rows[:FIRST_WEEKS]
        summed = [sum(column) for column in zip(*(row.bins for row in first), strict=True)]
        against = list(expected) if usable and expected is not None else summed
        for row in rows:
            index = None if row in first else stability_index(against, row.bins)
            by_chance = None if index is None else index_by_chance(against, row.bins)
            found.append(
                {
                    "week": row.week.isoformat(),
                    "weeks_ago": row.weeks_ago,
                    "model": row.model,
                    "version": row.model_version,
                    "digest": digest,
                    "scanner": row.scanner,
                    "quantity": quantity,
                    "n": sum(row.bins),
                    "bins": list(row.bins),
                    "against": "card" if usable else "first weeks",
                    "index": None if index is None else round(index, 4),
                    "by_chance": None if by_chance is None else round(by_chance, 4),
                    "level": "expected" if row in first else drift_level(index, by_chance or 0.0),
                }
            )
    return found
