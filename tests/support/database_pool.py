"""Databases for tests: copies of a template that are emptied and used again, which costs a third of a new copy."""

import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection
from sqlalchemy.engine import make_url

from db.engine import normalise_url

MOST_BYTES = 32 << 20  # a database that a test has filled with more is dropped: its statistics and dead rows would slow down others
# What describes the schema, and the column that tells the node's objects from those of PostgreSQL itself, whose numbers are below 16384.
CATALOGS = {
    "pg_class": "oid", "pg_proc": "oid", "pg_trigger": "oid", "pg_attribute": "attrelid", "pg_attrdef": "oid", "pg_constraint": "oid",
    "pg_index": "indrelid", "pg_rewrite": "oid", "pg_type": "oid", "pg_namespace": "oid", "pg_description": "objoid",
    "pg_default_acl": "oid",
}  # fmt: skip
_TABLES = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
_SEQUENCES = """
    SELECT format('setval(%L, %s, %L)', format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value),
                  last_value IS NOT NULL)
    FROM pg_sequences
"""


@dataclass(frozen=True, slots=True)
class TemplateState:
    """What a copy is equal to when no test has used it.

    Attributes
    ----------
    query, answer
        The newest change of each catalog and the rows that the upgrade has written; both are the same in every copy.
    empty
        The tables without rows.
    sequences
        The query that sets the sequences back.
    """

    query: str
    answer: tuple[object, ...]
    empty: frozenset[str]
    sequences: str


class DatabasePool:
    """Hands out databases of one server. Each use has a name of its own: a process that outlives its test reaches no rows of another."""

    def __init__(self, superuser_url: str) -> None:
        self._url = superuser_url
        self._numbers = count(1)
        self._free: dict[str, list[str]] = {}
        self._states: dict[str, TemplateState] = {}
        self._connection: Connection | None = None

    def take(self, template: str, *, reused: bool = True) -> str:
        """Return the name of a database that is equal to ``template``; ``reused``: whether others were given back for the same template."""
        if free := self._free.get(template):
            return free.pop()
        name = self._new_name()
        # Copied file by file: half of the processor time that copying through the write-ahead log takes.
        self.administer(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        if reused and template not in self._states:
            self._states[template] = self._read_state(name)
        return name

    def give_back(self, name: str, template: str) -> None:
        """Empty a database for another test, or drop it where the test has changed more than rows. Open connections are closed."""
        try:
            self._end_connections(name)
            if template in self._states and self._empty(name, self._states[template]):
                new_name = self._new_name()
                self._end_connections(name)
                self.administer(f"ALTER DATABASE {name} RENAME TO {new_name}")
                self._free.setdefault(template, []).append(new_name)
                return
        except psycopg2.Error:  # for example a process that connects again and again
            pass
        self.administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url(self, name: str) -> str:
        """Return the superuser's URL of a database."""
        changed = make_url(normalise_url(self._url)).set(database=name, drivername="postgresql")
        return changed.render_as_string(hide_password=False)

    def administer(self, statement: str) -> None:
        """Execute a statement outside of a transaction."""
        with self._administration().cursor() as cursor:
            cursor.execute(statement)

    def close(self) -> None:
        """Close the connection of `administer`."""
        if self._connection is not None:
            self._connection.close()

    def _administration(self) -> Connection:
        if self._connection is None:
            self._connection = psycopg2.connect(self._url)
            self._connection.autocommit = True
        return self._connection

    def _end_connections(self, name: str) -> None:
        """End the connections to a database and wait until their processes have ended; PostgreSQL itself looks ten times a second only."""
        ended = f"SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        for pid, _ in _rows(self._administration(), ended):
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.002)

    def _new_name(self) -> str:
        return f"test_{next(self._numbers)}"

    def _read_state(self, name: str) -> TemplateState:
        opened = psycopg2.connect(self.url(name))
        try:
            tables = [str(row[0]) for row in _rows(opened, _TABLES)]
            seeded = [table for table in tables if _rows(opened, f"SELECT FROM {table} LIMIT 1")]
            newest = "SELECT count(*) || ' ' || max(xmin::text::bigint)"
            parts = [f"({newest} FROM {catalog} WHERE {column} >= 16384)" for catalog, column in CATALOGS.items()]
            parts += [f"(SELECT string_agg(md5(t::text), ' ' ORDER BY t::text) FROM {table} t)" for table in seeded]
            parts.append("(SELECT count(*) FROM pg_statistic WHERE starelid >= 16384)")  # plans of queries depend on statistics
            parts.append("(SELECT sum(reltuples) FROM pg_class WHERE oid >= 16384 AND relkind = 'r')")
            here = "(SELECT oid FROM pg_database WHERE datname = current_database())"
            parts.append(f"(SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = {here})")  # settings of roles in this database
            query = f"SELECT {', '.join(parts)}"
            sequences = ", ".join(str(row[0]) for row in _rows(opened, _SEQUENCES))
            empty = frozenset(tables) - frozenset(seeded)
            return TemplateState(query, _rows(opened, query)[0], empty, f"SELECT {sequences}")
        finally:
            opened.close()

    def _empty(self, name: str, state: TemplateState) -> bool:
        """Delete all rows that the upgrade has not written. False: the database cannot be used again."""
        opened = psycopg2.connect(self.url(name))
        try:
            if _rows(opened, f"SELECT pg_database_size('{name}') > {MOST_BYTES}")[0][0] or _rows(opened, state.query)[0] != state.answer:
                return False
            with opened, opened.cursor() as cursor:
                cursor.execute(f"{_TABLES} AND pg_relation_size(oid) > 0")
                deletions = [f"DELETE FROM {table}" for (table,) in cursor.fetchall() if table in state.empty]
                cursor.execute("; ".join(["SET LOCAL session_replication_role = replica", *deletions, state.sequences]))
            return True
        finally:
            opened.close()


def _rows(opened: Connection, query: str) -> list[tuple[object, ...]]:
    with opened.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())
