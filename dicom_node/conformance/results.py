"""The conformance statement's part on results: which objects there are, what each holds, its codes, and what validators say."""

from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from core import codes
from core.iods import IODS, Iod
from dicom_node.conformance.markdown import table

_REPORT = (
    (
        "root",
        "TID 1500 Measurement Report; title (126000, DCM); language en-US; observer: TID 1001, 1004 (the model as a device, its "
        "UID changes with the model); procedure reported from CID 100",
    ),
    (
        "Image Library",
        "TID 1600, 1601: the images that findings refer to, with their size; all inputs are in Current Requested Procedure Evidence",
    ),
    (
        "a finding with a place",
        "TID 1410 on a point (SCOORD on the image it is seen on, SCOORD3D where there is none); where both are known the one in "
        "the frame of reference stands beside it as (111010, DCM, Center)",
    ),
    (
        "a finding with a segment",
        "of a volume TID 1411 with Referenced Segment, of a photograph TID 1410 with Referenced Segmentation Frame; only in the "
        "report of destinations that receive the segmentation; one Tracking UID for point, segment and segmentation",
    ),
    (
        "a finding without a place",
        "TID 1501 on its image",
    ),
    (
        "in each group",
        "Tracking Identifier and Tracking UID (TID 4108), finding, finding site with laterality where the images' header says "
        "it, measurements in UCUM units with what they were measured on (TID 300, 320), algorithm identification (TID 4019: "
        "name, version, pipeline digest), confidence tier, judgements",
    ),
    (
        "no finding, abstained, not analysed",
        "TID 1501 without a region: what was looked for, or the reason",
    ),
    (
        "Qualitative Evaluations",
        "of the whole document: outcome, status of the model, what it is not for, its limits and notes; the other objects of "
        "the result that this destination receives, as IMAGE or COMPOSITE",
    ),
)


def content() -> str:
    private = [(f"`{entry.code.value}`", entry.code.meaning, entry.definition) for entry in codes.PRIVATE]
    published = [
        (f"`{code.value}`", code.scheme, code.meaning, codes.OUTSIDE_PS3_16.get(code, "PS3.16"))
        for code in sorted(set(codes.published()), key=lambda code: (code.scheme, code.value))
    ]
    objects = [(f"`{iod.kind.value}`", f"`{uid}`", iod.name, f"PS3.3 {iod.section}", iod.holds) for uid, iod in IODS.items()]
    return (
        "## Content of the results\n\n"
        "For each analysed series or image, in new series of the source's study. Each destination receives the kinds that its `objects`\n"
        "lists; its report names only objects that it receives, and destinations that receive different objects get reports with UIDs of\n"
        "their own. The report is sent last. What a route claimed and could not be analysed is reported with the reason.\n\n"
        + table(("`objects`", "SOP class", "name", "defined in", "what it holds"), objects)
        + "\n\nAll of them: Explicit VR Little Endian; patient, study, accession and request attributes of the source; Content Date and\n"
        "Time are the start of the analysis, with Timezone Offset From UTC where the source or the site's setting gives one; Series\n"
        "Description with model, version and RESEARCH where the model is for research; Series Description Code Sequence; Contributing\n"
        "Equipment Sequence with the model (purpose 109102, DCM, Processing Equipment), its manufacturer, version and a Device UID that\n"
        "changes with the model; body part and side as the source says them. In reports, key images, pages and rejections these, and\n"
        "Anatomic Region Sequence where the source or the findings have one region, are beyond the IOD (Standard Extended SOP Class), for\n"
        "archives to find them by. UIDs are derived from the input, so that a repeated analysis gives the same bytes.\n\n"
        "### The report\n\n"
        + table(("part", "how it is encoded"), _REPORT)
        + "\n\n### Elements that our validator requires\n\n"
        + table(("object", "with a value", "may be empty", "fixed"), [_required(iod) for iod in IODS.values()])
        + "\n\n### Published codes\n\n"
        + table(("code", "scheme", "meaning", "looked up in"), published)
        + f"\n\n### Private codes ({codes.PRIVATE_SCHEME}: {codes.PRIVATE_SCHEME_NAME})\n\n"
        + table(("code", "meaning", "definition"), private)
    )


def _required(iod: Iod) -> tuple[str, str, str, str]:
    fixed = ", ".join(f"{keyword} {value}" for keyword, value in iod.expected.items())
    return iod.name, ", ".join(map(_element, iod.type_1)), ", ".join(map(_element, iod.type_2)), fixed


def _element(keyword: str) -> str:
    tag = Tag(tag_for_keyword(keyword) or 0)
    return f"{keyword} ({tag.group:04X},{tag.element:04X})"


def validators() -> str:
    warnings = [
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
            "Content Item not in template: Geometric purpose of region (130400, DCM)",
            "part of TID 1410 and 1411 today, newer than the templates of the validator",
        ),
    ]
    return (
        "## Validation\n\n"
        "Every object passes the node's own validator before it may be sent: attributes, values, codes, template and content tree,\n"
        "frames and pixels, references within the unit and the result. What fails is held with the reason. Of the public validators,\n"
        "neither `dciodvfy` (dicom3tools) nor `DicomSRValidator` (PixelMed) finds an error. What they warn of:\n\n"
        + table(("validator", "warning", "explanation"), warnings)
    )
