"""The statement is generated, in step with the program, and says what matters."""

from pathlib import Path

from core.concepts import codes, private_codes
from core.iods import IODS
from core.settings.settings import Settings
from core.uids import IMPLEMENTATION_VERSION_NAME
from dicom_node import contexts
from dicom_node.conformance.statement import statement

DOCUMENT = Path(__file__).parents[3] / "docs" / "conformance.md"


def test_the_document_is_in_step() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == statement(), "run: .venv/bin/dicom-node conformance > docs/conformance.md"


def test_it_names_what_is_taken_and_answered() -> None:
    text = statement()
    for uid in (*contexts.storage_classes(), *contexts.transfer_syntaxes()):
        assert f"`{uid}`" in text
    for entry in private_codes.PRIVATE:
        assert f"`{entry.code.value}`" in text
    for status in ("0x0000", "0xA700", "0xA900", "0xC000"):
        assert status in text


def test_every_sop_class_and_transfer_syntax_has_a_name() -> None:
    rows = [line.split(" | ") for line in statement().splitlines() if line.startswith("| `1.2.840.10008.")]
    assert len(rows) > 100
    assert [row for row in rows if row[1].strip(" |").startswith("1.2.840")] == []


def test_it_lists_each_object_with_its_elements_and_every_code() -> None:
    text = statement()
    for uid, iod in IODS.items():
        assert f"| `{iod.kind.value}` | `{uid}` | {iod.name} |" in text
        for keyword in (*iod.type_1, *iod.type_2):
            assert f"{keyword} (" in text
    for code in codes.published_codes():
        assert f"| `{code.value}` | {code.scheme} | {code.meaning} |" in text


def test_it_states_the_installation_where_it_is_given() -> None:
    settings = Settings.model_validate(
        {
            "node": {"ae_title": "AI_NODE"},
            "sources": [{"ae_title": "CTSCANNER", "host": "10.1.0.0/16"}],
            "destinations": [{"name": "archive", "ae_title": "ARCH", "host": "10.0.0.9", "port": 104}],
        }
    )
    text = statement(settings)
    for words in ("`AI_NODE`", "CTSCANNER", "10.1.0.0/16", "archive", "ARCH at 10.0.0.9:104"):
        assert words in text


def test_version_name_is_that_of_the_project() -> None:
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    version = next(line.split('"')[1] for line in project.splitlines() if line.startswith("version = "))
    assert version.replace(".", "") == IMPLEMENTATION_VERSION_NAME.removeprefix("DICOMNODE_")
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16


def test_uncompressed_images_are_analysed() -> None:
    lines = statement().splitlines()
    for uid, analysed in (("1.2.840.10008.1.2", "yes"), ("1.2.840.10008.1.2.1", "yes"), ("1.2.840.10008.1.2.1.99", "yes")):
        (line,) = [line for line in lines if line.startswith(f"| `{uid}` |") and line.endswith(f"| {analysed} |")]
        assert line
