"""The page that describes the API has every operation of the document that programs read, with its parameters."""

from html import unescape
from pathlib import Path

from console.api_reference.operations import WITHOUT_TOKEN, operations_by_scope
from console.auth.scopes import MEANING
from db.engine import Database
from tests.support.console import RunningConsole


def test_the_page_has_every_operation_and_what_it_takes(database: Database, tmp_path: Path) -> None:
    with RunningConsole(database, tmp_path) as console, console.browser() as browser:
        document = browser.get("/api/v1/openapi.json").json()
        page = unescape(browser.get("/api").text)
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    found = operations_by_scope(document)
    assert {(one.method, one.path) for group in found.values() for one in group} == described
    assert list(found) == [*MEANING, WITHOUT_TOKEN]
    for method, path in described:
        assert f'<span class="method">{method}</span> <code>{path}</code>' in page
    assert f"{console.url}/api/v1/studies" in page, "the example has the address of this console"
    assert "<code>text</code> is searched in name, ID, accession number and description." in page
    assert "Scope of the token" not in page, "the section says it"


def test_parameters_and_fields_of_a_body_have_their_types() -> None:
    document = {
        "components": {"schemas": {
            "Order": {"properties": {"reason": {"type": "string", "description": "Why"}, "tier": {"$ref": "#/components/schemas/Tier"}},
                      "required": ["reason"]},
            "Tier": {"enum": ["high", "review"]},
        }},
        "paths": {
            "/api/v1/jobs/{job_id}/cancel": {"post": {
                "summary": "Cancel", "description": "It ends.\n\nScope of the token: `operations`.",
                "parameters": [{"name": "wait", "in": "query", "schema": {"anyOf": [{"type": "number"}, {"type": "null"}]}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}},
            }},
            "/api/v1/predict": {"post": {"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}}},
        },
    }  # fmt: skip
    found = operations_by_scope(document)
    (cancel,), (predict,) = found["operations"], found["upload"]
    assert [(one.name, one.place, one.kind, one.required, one.meaning) for one in cancel.fields] == [
        ("wait", "query", "number", False, ""), ("reason", "body", "string", True, "Why"), ("tier", "body", "high, review", False, ""),
    ]  # fmt: skip
    assert (cancel.text, cancel.body, predict.body) == ("It ends.", "", "application/octet-stream")
