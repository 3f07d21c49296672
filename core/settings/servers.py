"""``[database]`` and ``[broker]``: the servers that the node uses."""

from pydantic import Field

from core.settings.section import Section


class DatabaseSection(Section):
    """``[database]``: PostgreSQL, which holds the state of the node."""

    url: str = Field(
        default="",
        description="`postgresql://user:password@host:port/name`. Empty: an embedded PostgreSQL, its files below `node.data_dir`.",
    )
    admin_url: str = Field(
        default="",
        description="URL of a superuser of the same database, for `db upgrade`, `db restore` and `db auditor` only: they make the role of "
        "`url`, and give the audit trail an owner of its own, so that the node can only add events. Only from "
        "`DICOM_NODE_DATABASE__ADMIN_URL_FILE` or the environment of these commands, never in this file, which every role reads. Empty, "
        "with a `url`: the role of `url` owns the audit trail. Without effect on the embedded PostgreSQL: its roles are always separated.",
    )


class BrokerSection(Section):
    """``[broker]``: Valkey or Redis, which carries wake-ups of workers."""

    url: str = Field(default="", description="`redis://:password@host:port/0`. Empty: an embedded Valkey or Redis.")
