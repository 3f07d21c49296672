"""The roles of the embedded PostgreSQL and their passwords, and the role that may upgrade the schema of any database.

The node's processes sign in as `NODE`, which is no superuser: it may add events to the audit trail and cannot change them. Only what
upgrades, restores or makes roles signs in as `ADMIN`. The passwords are files that only the user of the node can read: this separates the
roles in SQL. It does not protect from somebody who has this user's rights on the machine; the anchor of the audit trail does.
"""

import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from core.settings.settings import Settings
from deploy.local.private_files import write_private_file

# What needs SQLAlchemy is imported in the functions that use it: the embedded server is started before that library is loaded.

NODE = "dicom_node"
ADMIN = "dicom_node_admin"
_PASSWORD_FILES = {NODE: "password", ADMIN: "admin-password"}


def read_password(data_dir: Path, role: str) -> str:
    """Return the password of a role, which the first call makes: the file is complete or absent."""
    path = data_dir / _PASSWORD_FILES[role]
    if not path.exists():
        write_private_file(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def role_url(data_dir: Path, role: str, port: int) -> str:
    """Return the URL with which a role of the embedded PostgreSQL signs in."""
    return f"postgresql://{role}:{read_password(data_dir, role)}@127.0.0.1:{port}/{NODE}"


def is_adopted(data_dir: Path) -> bool:
    """Whether the cluster has its `ADMIN`. Clusters of earlier versions have one role only, the superuser `NODE`."""
    return (data_dir / _PASSWORD_FILES[ADMIN]).exists()


def adopt_cluster(data_dir: Path, url: str) -> None:
    """Give a running cluster of an earlier version its roles: `ADMIN` as superuser, and `NODE` without the rights of one.

    It may be killed at any moment and done again: the file of the password is written before its role is made, under another name.
    """
    from db.engine import Database
    from db.schema.owners import make_node_role, make_superuser, separate_owners

    announced = data_dir / f"{_PASSWORD_FILES[ADMIN]}.adopting"
    if not announced.exists():
        write_private_file(announced, secrets.token_urlsafe(24))
    password, port = announced.read_text().strip(), urlsplit(url).port
    admin_url = f"postgresql://{ADMIN}:{password}@127.0.0.1:{port}/{NODE}"
    with Database.open(url, pool_size=1) as database:
        if database.is_superuser():  # not yet taken away by an earlier attempt
            make_superuser(database, ADMIN, password)
    with Database.open(admin_url, pool_size=1) as admin, admin.begin() as connection:
        make_node_role(connection, NODE, read_password(data_dir, NODE))
        separate_owners(connection, NODE)
    announced.rename(data_dir / _PASSWORD_FILES[ADMIN])


def admin_url(settings: Settings, url: str) -> str:
    """Return the URL of the role that may upgrade the schema: of `ADMIN`, `database.admin_url`, or ``url`` where nobody else may."""
    if settings.database.admin_url:
        return settings.database.admin_url
    if settings.database.url:
        return url
    parts = urlsplit(url)
    password = read_password(settings.node.data_dir / "postgresql", ADMIN)
    return urlunsplit(parts._replace(netloc=f"{ADMIN}:{password}@{parts.hostname}:{parts.port}"))


def upgrade_database(settings: Settings, url: str) -> None:
    """Bring the schema to the newest revision, and separate the owner of the audit trail where a superuser is known.

    Parameters
    ----------
    url
        With which the node signs in.

    Raises
    ------
    ConfigurationError
        ``database.admin_url`` is not the URL of a superuser.
    StorageError
        The database does not respond.
    """
    from db.engine import Database
    from db.schema.upgrade import upgrade_schema

    privileged, parts = admin_url(settings, url), urlsplit(url)
    with Database.open(privileged, pool_size=1) as database:
        role = None if privileged == url else (unquote(parts.username or ""), unquote(parts.password or ""))
        upgrade_schema(database, role)
