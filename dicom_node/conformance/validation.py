"""Section on validation: our own validator, and what public validators warn of."""

from dicom_node.conformance.markdown import table

_WARNINGS = (
    (
        "dciodvfy",
        "Unrecognized defined term = <99DCMNODE>",
        "the private coding scheme; each object declares it in Coding Scheme Identification Sequence (0008,0110)",
    ),
    (
        "dciodvfy",
        "DeviceUID (0018,1002) in Contributing Equipment Sequence: not present in standard DICOM IOD",
        "part of the SOP Common module today, newer than the validator",
    ),
    (
        "DicomSRValidator",
        "Content Item not in template: `TIER`, Comment (121106, DCM), Center (111010, DCM), Algorithm Name, Version and Parameters",
        "extensions of the measurement group, whose templates (TID 1410, 1411, 1501) are extensible; TID 4019 is part of them today",
    ),
    (
        "DicomSRValidator",
        "Content Item not in template: Source of Measurement (121112, DCM)",
        "part of TID 300 by TID 320; the validator knows TID 1419 without it",
    ),
    (
        "DicomSRValidator",
        "Content Item not in template: Saliency, Key Images, Diagnostic Imaging Report",
        "the other objects of the result; TID 1500 is extensible",
    ),
    (
        "DicomSRValidator",
        "Content Item not in template: Prior report for current patient (122075, DCM), Description of Change (111021, DCM), "
        "`COMPARED-WITH`, `CHANGE`",
        "the comparison with earlier examinations; TID 1500 and the templates of groups are extensible",
    ),
    (
        "DicomSRValidator",
        "Content Item not in template: Geometric purpose of region (130400, DCM)",
        "part of TID 1410 and 1411 today, newer than the templates of the validator",
    ),
)


def validation_section() -> str:
    """Return the section on validation."""
    return (
        "## Validation\n\n"
        "Every object is checked by the node's own validator before it may be sent: attributes, values, codes, template and content tree,\n"
        "frames and pixels, references within the unit and the result. An object that fails is held with the reason. UIDs of the\n"
        "source are named as it gave them, also with leading zeros in their components (PS3.5 9.1 forbids these). Neither of the\n"
        "public validators `dciodvfy` (dicom3tools) and `DicomSRValidator` (PixelMed) finds an error. Their warnings are:\n\n"
        + table(("validator", "warning", "explanation"), _WARNINGS)
    )
