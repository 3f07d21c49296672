"""Which settings a running node takes over from a changed configuration, and which need a restart."""

from core.settings.settings import Settings

SECTIONS = ("sources", "destinations", "routes", "completion", "delivery", "webhook", "audit", "retention")
RECEIVE_KEYS = ("max_associations", "max_instance_bytes", "quarantine_max_bytes", "min_free_bytes", "max_waiting", "own_objects")


def take_over(running: Settings, changed: Settings) -> Settings:
    """Return the settings of ``running`` with those of ``changed`` that can be replaced while the node runs."""
    receive = running.receive.model_copy(update={key: getattr(changed.receive, key) for key in RECEIVE_KEYS})
    return running.model_copy(update={"receive": receive, **{name: getattr(changed, name) for name in SECTIONS}})


def differences(before: Settings, after: Settings) -> tuple[str, ...]:
    """Return the names of what differs: ``section`` for a list of tables, else ``section.key``, in the order of the configuration."""
    found: list[str] = []
    for section in Settings.model_fields:
        old, new = getattr(before, section), getattr(after, section)
        if old == new:
            continue
        if isinstance(old, tuple):
            found.append(section)
        else:
            found += [f"{section}.{key}" for key in type(old).model_fields if getattr(old, key) != getattr(new, key)]
    return tuple(found)
