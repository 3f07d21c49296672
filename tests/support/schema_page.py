"""Writes docs/schema.md from the catalogue of an upgraded database: `make schema`, or ``python -m tests.support.schema_page``."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Row, text

from db.engine import Database
from db.schema import FOLDER, INITIAL, read_sql
from db.schema.upgrade import upgrade_schema
from deploy.local.embedded.postgres import EmbeddedPostgres

PAGE = Path(__file__).parents[2] / "docs" / "schema.md"
OWN_TABLE = "alembic_version"  # kept by alembic

_RELATIONS = text("""
    SELECT c.oid, c.relname AS name, c.relkind = 'v' AS is_view, coalesce(obj_description(c.oid), '') AS comment
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
          AND c.relname <> :own ORDER BY c.relname
""")
_COLUMNS = text("""
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
           coalesce(col_description(a.attrelid, a.attnum), '') AS comment,
           EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY(i.indkey)) AS is_key,
           (SELECT k.confrelid::regclass::text FROM pg_constraint k
            WHERE k.contype = 'f' AND k.conrelid = a.attrelid AND k.conkey = ARRAY[a.attnum]) AS refers_to
    FROM pg_attribute a WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
""")
_REFERENCES = text("""
    SELECT k.conrelid::regclass::text AS child, k.confrelid::regclass::text AS parent, a.attname AS column, a.attnotnull AS required
    FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
    WHERE k.contype = 'f' ORDER BY child, parent, a.attname
""")
SHORT_TYPES = {"timestamp with time zone": "timestamptz", "double precision": "float8", "double precision[]": "float8[]"}
INTRODUCTION = """\
# Schema of the database

Generated from the catalogue of an upgraded database by `make schema`; do not edit. The statements themselves are the SQL files of
[`db/schema`](../db/schema). All times are `timestamptz`, of the database's clock (`node_now()`).

The views, and the tables instances, series, studies, jobs, attempts, outbox, findings, reports, deliveries, models, audit_events, users,
heartbeats and commands, are stable: their names and columns do not change. Other tables may.
"""


def page(database: Database) -> str:
    """Return the whole page, in Markdown."""
    with database.begin() as connection:
        relations = connection.execute(_RELATIONS, {"own": OWN_TABLE}).all()
        views = [relation for relation in relations if relation.is_view]
        tables = {relation.name: relation for relation in relations if not relation.is_view}
        parts = [INTRODUCTION, "## How the tables refer to each other\n", _picture(connection.execute(_REFERENCES).all())]
        parts.append("## Views\n")
        parts += [_described(connection, view) for view in views]
        parts.append("## Tables\n")
        later = sorted(path.stem for path in FOLDER.glob("*.sql") if path.stem not in (*INITIAL, "views"))
        for name in (*INITIAL, *later):
            found = re.findall(r"^CREATE TABLE (\w+)", read_sql(name), re.MULTILINE)
            if found:
                parts.append(f"From [`db/schema/{name}.sql`](../db/schema/{name}.sql).\n")
            parts += [_described(connection, tables.pop(table)) for table in found]
        parts += [_described(connection, table) for table in tables.values()]  # created by a module of db/schema/versions itself
    return "\n".join(parts)


def uncommented(database: Database) -> list[str]:
    """Return the tables, views and columns that have no comment."""
    found = []
    with database.begin() as connection:
        for relation in connection.execute(_RELATIONS, {"own": OWN_TABLE}).all():
            found += [] if relation.comment else [relation.name]
            columns = connection.execute(_COLUMNS, {"oid": relation.oid})
            found += [f"{relation.name}.{column.name}" for column in columns if not column.comment]
    return found


def _picture(references: Iterable[Row[Any]]) -> str:
    """Draw the foreign keys as a Mermaid entity relationship diagram; ``|o`` marks a reference that may be NULL."""
    lines = [f"    {row.parent} {'||' if row.required else '|o'}--o{{ {row.child} : {row.column}" for row in references]
    return "\n".join(["```mermaid", "erDiagram", *lines, "```", ""])


def _described(connection: Connection, relation: Row[Any]) -> str:
    """One table or view: its comment, and its columns with type and meaning."""
    lines = [f"### {relation.name}", "", f"{relation.comment}.", "", "| column | type | meaning |", "|---|---|---|"]
    for column in connection.execute(_COLUMNS, {"oid": relation.oid}):
        kind = SHORT_TYPES.get(column.type, column.type)
        notes = ["key"] * column.is_key + ([f"to {column.refers_to}"] if column.refers_to else [])
        notes += [] if relation.is_view or column.required else ["may be NULL"]
        shown = f"{kind} ({', '.join(notes)})" if notes else kind
        lines.append(f"| {column.name} | {shown} | {column.comment.replace('|', chr(92) + '|')} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the page from a database of its own."""
    with TemporaryDirectory(prefix="dicom-node-schema-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user where this one is root
        server = EmbeddedPostgres(Path(folder) / "postgres")
        try:
            database = Database.open(server.start(), pool_size=1)
            upgrade_schema(database)
            PAGE.write_text(page(database), encoding="utf-8")
            database.dispose()
        finally:
            server.stop()
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
