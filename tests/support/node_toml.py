"""Sources, destinations and routes of a node.toml, as text that tests put together with the sections that they need."""

import json

from deploy.local.ports import free_port

HERE = "127.0.0.1"


def ports(**node: object) -> str:
    """Return the sections of the listener and of the console, each on a free port; ``node``: further settings of the listener."""
    return _section("[node]", port=free_port(), **node) + _section("[console]", port=free_port())


def source(ae_title: str, host: str = HERE) -> str:
    """Return a source."""
    return _table("sources", ae_title=ae_title, host=host)


def pacs(
    port: int, name: str = "pacs", ae_title: str = "DEMOPACS", *, host: str = HERE, accept_research: bool = True, **more: object
) -> str:
    """Return a destination that is a PACS; it accepts results of research models, as all models are here."""
    research = {"accept_research": True} if accept_research else {}
    return _table("destinations", name=name, ae_title=ae_title, host=host, port=port, **research, **more)


def skin_route(modality: str | list[str] = "DMS", destinations: tuple[str, ...] = ("pacs",), **more: object) -> str:
    """Return a route of photographs to ``dermoscopy_7class``."""
    return _route("skin", "dermoscopy_7class", modality, destinations, **more)


def chest_route(model: str = "lung_nodule_ct", destinations: tuple[str, ...] = ("pacs",), name: str = "chest CT") -> str:
    """Return a route of every CT series to a model."""
    return _route(name, model, "CT", destinations)


def _route(name: str, model: str, modality: str | list[str], destinations: tuple[str, ...], **more: object) -> str:
    return _table("routes", name=name, model=model, destinations=list(destinations), **more, when={"Modality": modality})


def _table(table: str, **values: object) -> str:
    return _section(f"[[{table}]]", **values)


def _section(heading: str, **values: object) -> str:
    return "\n".join([heading, *(f"{key} = {_value(value)}" for key, value in values.items()), ""])


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)  # of texts, numbers, booleans and lists, TOML has the same notation
