"""Recognises, among the errors that PostgreSQL reports to a command, those that an operator can correct, and says how."""

# Codes of PostgreSQL (Appendix A): undefined table, function, column, schema.
_NO_SCHEMA = frozenset({"42P01", "42883", "42703", "3F000"})
_NO_PRIVILEGE = "42501"


def describe_mistake(error: BaseException) -> str | None:
    """Return what is wrong with the database that a command was given, and what to do; None for any other error.

    Parameters
    ----------
    error
        Of psycopg2, or of SQLAlchemy with that one inside.
    """
    driver = getattr(error, "orig", error)
    code = getattr(driver, "pgcode", None)
    line = (str(driver).strip().splitlines() or [""])[0]
    if code in _NO_SCHEMA:
        return f"the database lacks what this version needs: {line} (run `dicom-node db upgrade`, or correct database.url)"
    if code == _NO_PRIVILEGE:
        return f"the role of the database may not do this: {line} (give database.admin_url to this command: docs/security.md)"
    return None
