"""``[database]`` and ``[broker]``: the servers that the node uses."""

from pydantic import Field

from core.settings.section import Section


class DatabaseSection(Section):
    """``[database]``: PostgreSQL, which holds the state of the node."""

    url: str = Field(
        default="",
        description="`postgresql://user:password@host:port/name`. Empty: an embedded PostgreSQL, its files below `node.data_dir`.",
    )


class BrokerSection(Section):
    """``[broker]``: Valkey or Redis, which carries wake-ups of workers."""

    url: str = Field(default="", description="`redis://:password@host:port/0`. Empty: an embedded Valkey or Redis.")
