"""Views of the worklist that a user has saved under a name: the filters, as the query of the address."""

from dataclasses import dataclass

from sqlalchemy import text

from db.engine import Database

MOST = 50  # of one user

_LIST = text("SELECT id, name, query FROM saved_views WHERE user_id = :user_id ORDER BY name")
_SAVE = text("""
    INSERT INTO saved_views (user_id, name, query)
    SELECT :user_id, :name, :query
    WHERE EXISTS (SELECT FROM saved_views WHERE user_id = :user_id AND name = :name)
       OR (SELECT count(*) FROM saved_views WHERE user_id = :user_id) < :most
    ON CONFLICT (user_id, name) DO UPDATE SET query = excluded.query RETURNING id
""")
_DELETE = text("DELETE FROM saved_views WHERE id = :id AND user_id = :user_id")


@dataclass(frozen=True, slots=True)
class SavedView:
    """A saved view. ``query``: the filters, as in the address of the worklist."""

    id: int
    name: str
    query: str


def saved_views(database: Database, user_id: int) -> list[SavedView]:
    """Return the views of a user, by name."""
    with database.begin() as connection:
        return [SavedView(*row) for row in connection.execute(_LIST, {"user_id": user_id})]


def save_view(database: Database, user_id: int, name: str, query: str) -> bool:
    """Save a view, or replace the user's view of that name; return False where the user has too many."""
    with database.begin() as connection:
        values = {"user_id": user_id, "name": name, "query": query, "most": MOST}
        return connection.execute(_SAVE, values).one_or_none() is not None


def delete_view(database: Database, user_id: int, id: int) -> bool:
    """Delete a view of this user; return False if the user has none with this id."""
    with database.begin() as connection:
        return connection.execute(_DELETE, {"id": id, "user_id": user_id}).rowcount == 1
