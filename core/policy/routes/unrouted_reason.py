"""Shortens the reason why no route took a unit to one line: the route that came nearest, and how many others there are."""

from core.policy.routes.routing import NO_ROUTE_REASON

LONGEST = 120


def short_reason(reason: str) -> str:
    """Return the reason in at most `LONGEST` characters on one line."""
    text = " ".join(reason.split())
    if text.startswith(f"{NO_ROUTE_REASON}: "):
        routes = text.removeprefix(f"{NO_ROUTE_REASON}: ").split(" | ")
        nearest = min(routes, key=lambda one: one.count("; "))
        others = f" (and {len(routes) - 1} more)" if len(routes) > 1 else ""
        return _cut(nearest, LONGEST - len(others)) + others
    return _cut(text, LONGEST)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
