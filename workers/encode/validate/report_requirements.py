"""What every report of the node has to contain, beyond what TID 1500 makes mandatory.

The concept names are repeated here instead of imported from the encoder, so that a wrong name in the encoder is found.
"""

from collections.abc import Iterator

from core.concepts import codes, private_codes
from core.records import Code
from imaging.wire.strict_dataset import StrictDataset

OBSERVER_TYPE = ("121005", "DCM")
DEVICE_UID = ("121012", "DCM")
DEVICE_NAME = ("121013", "DCM")
PROCEDURE_REPORTED = ("121058", "DCM")
IMAGING_MEASUREMENTS = ("126010", "DCM")
MEASUREMENT_GROUP = ("125007", "DCM")
FINDING = ("121071", "DCM")
TRACKING_IDENTIFIER = ("112039", "DCM")
TRACKING_UID = ("112040", "DCM")
SEGMENTS = (("121191", "DCM"), ("121214", "DCM"))  # Referenced Segment, Referenced Segmentation Frame
ALGORITHM_NAME = ("111001", "DCM")
ALGORITHM_VERSION = ("111003", "DCM")
ALGORITHM_PARAMETERS = ("111002", "DCM")
IN_EACH_GROUP = {
    TRACKING_IDENTIFIER: "tracking identifier",
    TRACKING_UID: "tracking unique identifier",
    ALGORITHM_NAME: "algorithm name",
    ALGORITHM_VERSION: "algorithm version",
    ALGORITHM_PARAMETERS: "pipeline digest",
}
IN_EACH_REPORT = {OBSERVER_TYPE: "observer type", DEVICE_UID: "device observer UID", DEVICE_NAME: "device observer name"}
PERSON = "121006"
PERSON_NAME = ("121008", "DCM")


def missing_from_report(document: StrictDataset) -> Iterator[str]:
    """Problems: no observer or procedure, groups without tracking or algorithm, or no statement of outcome, status and purpose.

    A document whose observer is a person is an assessment, of which other items are required.
    """
    observers = [code for child in _named_children(document, OBSERVER_TYPE) for code in child.get("ConceptCodeSequence", ())[:1]]
    if any(code.get("CodeValue") == PERSON for code in observers):
        yield from _missing_from_assessment(document)
        return
    for name, words in IN_EACH_REPORT.items():
        if not _named_children(document, name):
            yield f"the {words} is missing"
    reported = [code for child in _named_children(document, PROCEDURE_REPORTED) for code in child.get("ConceptCodeSequence", ())[:1]]
    procedures = [code.get("CodeValue") for code in reported]
    if not procedures or not set(procedures) <= {codes.PROCEDURE_CT.value, codes.PROCEDURE_IMAGING.value}:
        yield "the procedure reported is missing, or none of CID 100 that this node reports"
    groups = _groups(document)
    if not groups:
        yield "there is no measurement group"
    tracked = []
    for group in groups:
        for name, words in IN_EACH_GROUP.items():
            if not _named_children(group, name):
                yield f"a measurement group has no {words}"
        has_segment = any(_named_children(group, name) for name in SEGMENTS)  # point and segment of a finding are two groups
        tracked += [(str(child.get("UID")), has_segment) for child in _named_children(group, TRACKING_UID)]
        yield from _missing_from_group(group)
    if len(tracked) != len(set(tracked)):
        yield "two measurement groups of a kind have the same tracking UID"
    yield from _missing_statements(document, codes.SUMMARY, "outcome")


def _missing_from_assessment(document: StrictDataset) -> Iterator[str]:
    """Problems: no person, groups without tracking or verdict, or no reference to the report, no status or purpose."""
    if not _named_children(document, PERSON_NAME):
        yield "the person observer name is missing"
    groups = _groups(document)
    if not groups:
        yield "there is no measurement group"
    verdict = (private_codes.VERDICT.value, private_codes.VERDICT.scheme)
    for name, words in ((TRACKING_IDENTIFIER, "tracking identifier"), (TRACKING_UID, "tracking unique identifier"), (verdict, "verdict")):
        if not all(_named_children(group, name) for group in groups):
            yield f"a measurement group has no {words}"
    tracked = [str(child.get("UID")) for group in groups for child in _named_children(group, TRACKING_UID)]
    if len(tracked) != len(set(tracked)):
        yield "two measurement groups have the same tracking UID"
    yield from _missing_statements(document, codes.MEASUREMENT_REPORT, "reference to the assessed report")


def _groups(document: StrictDataset) -> list[StrictDataset]:
    containers = _named_children(document, IMAGING_MEASUREMENTS)
    return [group for container in containers for group in _named_children(container, MEASUREMENT_GROUP)]


def _missing_statements(document: StrictDataset, code: Code, words: str) -> Iterator[str]:
    """Both documents state what they are not for and the status of the model, and each states something of its own."""
    containers = _named_children(document, (codes.QUALITATIVE_EVALUATIONS.value, codes.QUALITATIVE_EVALUATIONS.scheme))
    needed = ((private_codes.NOT_FOR, "sentence what it is not for"), (code, words), (private_codes.STATUS, "status of the model"))
    for one, meaning in needed:
        if not any(_named_children(container, (one.value, one.scheme)) for container in containers):
            yield f"the {meaning} is missing"


def _missing_from_group(group: StrictDataset) -> Iterator[str]:
    """A finding has its tier. A group without finding states what was looked for, or why there is no result."""
    if _named_children(group, FINDING):
        if not _named_children(group, (private_codes.TIER.value, private_codes.TIER.scheme)):
            yield "a finding has no confidence tier"
    elif not any(_named_children(group, (code.value, code.scheme)) for code in (private_codes.LOOKED_FOR, private_codes.REASON)):
        yield "a group without finding says neither what was looked for nor why there is no result"


def _concept_name(item: StrictDataset) -> tuple[str, str]:
    sequence = item.get("ConceptNameCodeSequence", ())
    return (str(sequence[0].get("CodeValue")), str(sequence[0].get("CodingSchemeDesignator"))) if len(sequence) == 1 else ("", "")


def _named_children(item: StrictDataset, name: tuple[str, str]) -> list[StrictDataset]:
    return [child for child in item.get("ContentSequence", ()) if _concept_name(child) == name]
