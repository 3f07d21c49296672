"""Where each command is defined, so that a command imports only its own module."""

from collections.abc import Mapping

# name -> (module in deploy.cli, function), in the order of the help
COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("node", "up"),
    **{role: ("roles", role) for role in ("listen", "conduct", "relay", "worker", "send", "console")},
    "reload": ("node", "reload"),
    "demo": ("node", "demo"),
    "doctor": ("node", "doctor"),
    "predict": ("predict", "predict"),
    "trial": ("trial.command", "trial"),
    "photograph": ("photograph", "photograph"),
    "conformance": ("node", "conformance"),
}
# name -> (module in deploy.cli, application of the group)
GROUPS: Mapping[str, tuple[str, str]] = {
    "models": ("models.commands", "app"),
    "rules": ("rules", "app"),
    "jobs": ("jobs.commands", "jobs"),
    "deliveries": ("jobs.commands", "deliveries"),
    "commitments": ("peers.commitments", "app"),
    "quarantine": ("storage.quarantine", "app"),
    "retention": ("storage.retention", "app"),
    "results": ("jobs.commands", "results"),
    "audit": ("storage.audit", "app"),
    "db": ("storage.db", "app"),
    "routes": ("routes", "app"),
    "destinations": ("peers.destinations", "app"),
    "users": ("users.commands", "app"),
    "patients": ("patients.commands", "app"),
    "train": ("federated", "train"),
}
