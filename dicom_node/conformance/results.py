"""Section on the content of the results: which objects there are, their elements and their codes."""

from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from core.concepts import codes, private_codes
from core.iods import IODS, Iod
from dicom_node.conformance.markdown import table

_REPORT = (
    (
        "root",
        "TID 1500 Measurement Report; title (126000, DCM); language en-US; observer: TID 1001, 1004 (the model as a device, its "
        "UID changes with the model); subject of a slide: TID 1006, 1009 (the specimen); procedure reported from CID 100",
    ),
    (
        "Image Library",
        "TID 1600, 1601: the images that findings refer to, with their size; Current Requested Procedure Evidence lists all inputs",
    ),
    (
        "a finding with a position",
        "TID 1410 on a point (SCOORD on the image that shows it, of a tiled image in its Total Pixel Matrix; SCOORD3D where no image "
        "does); where both are known the point in the frame of reference is added as (111010, DCM, Center)",
    ),
    (
        "a finding with a segment",
        "of a volume TID 1411 with Referenced Segment, of a photograph TID 1410 with Referenced Segmentation Frame; only in the "
        "report of destinations that receive the segmentation; one Tracking UID for point, segment and segmentation",
    ),
    (
        "a finding without a position",
        "TID 1501 on its image",
    ),
    (
        "in each group",
        "Tracking Identifier and Tracking UID (TID 4108), finding, finding site with laterality where the model gives it, or the "
        "header of images of one side, measurements in UCUM units with the images they were measured on (TID 300, 320), algorithm "
        "identification (TID 4019: "
        "name, version, pipeline digest), confidence tier, judgements",
    ),
    (
        "a finding compared with an earlier result",
        "beside its measurements: the change as a code (`CHANGE`), where a finding was matched days between, volume and diameter then, "
        "differences and volume doubling time as private measurements (TID 300), and a sentence (111021, DCM, Description of Change)",
    ),
    (
        "no finding, abstained, not analysed",
        "TID 1501 without a region: what was looked for, or the reason",
    ),
    (
        "Qualitative Evaluations",
        "of the whole document, first in the tree: a summary in words (121111, DCM, Summary), outcome, status of the model, what it is "
        "not for, notes on this result as comments, at most five limits of the model (the model card has all); the other objects of "
        "the result that this destination receives, as IMAGE or COMPOSITE; sentences on the earlier results compared with, and their "
        "reports that all its destinations had stored when the analysis began, as COMPOSITE (122075, DCM, Prior report for current "
        "patient) with a Study Date and in Pertinent Other Evidence Sequence; a destination that is added later gets the same report",
    ),
)
_ASSESSMENT = (
    (
        "when",
        "made when a clinician has judged everything that a result states, and again after each later verdict; the next one names the "
        "one that the destination has stored in Predecessor Documents Sequence",
    ),
    (
        "root",
        "Comprehensive 3D SR, TID 1500, title and language as the report; observer: TID 1001, 1003 (the person, by the name of the "
        "console's account, with Person Observer's Login Name)",
    ),
    (
        "for each verdict",
        "a measurement group (TID 1501; TID 1410 with a point where the clinician has marked a place): Tracking Identifier and UID of "
        "the finding in the assessed report, or new ones for a missed finding; the finding's class, the corrected one after a correction; "
        "the verdict, the reason of a rejection, a corrected diameter; a comment with the user and the time",
    ),
    (
        "Qualitative Evaluations",
        "the assessed report as COMPOSITE, which is in the evidence too; the status of the model; that the document is not for diagnosis "
        "without a clinician",
    ),
    (
        "flags",
        "UNVERIFIED: a verdict in the console is no attestation with Verifying Observer and organization; PRELIMINARY, as the report",
    ),
    (
        "UIDs",
        "derived from the result, the number of the assessment and the assessed report: a repetition gives the same bytes",
    ),
    (
        "order",
        "sent to destinations that list `assessment`, after the report that they receive",
    ),
)


def results_section() -> str:
    """Return the section on the objects of a result: their SOP classes, elements and codes."""
    private = [(f"`{entry.code.value}`", entry.code.meaning, entry.definition) for entry in private_codes.PRIVATE]
    published = [
        (f"`{code.value}`", code.scheme, code.meaning, codes.OUTSIDE_PS3_16.get(code, "PS3.16"))
        for code in sorted(set(codes.published_codes()), key=lambda code: (code.scheme, code.value))
    ]
    objects = [(f"`{iod.kind.value}`", f"`{uid}`", iod.name, f"PS3.3 {iod.section}", iod.holds) for uid, iod in IODS.items()]
    return (
        "## Content of the results\n\n"
        "Results are in new series of the source's study, for each analysed series or image. Each destination receives the kinds that its\n"
        "`objects` lists. Its report names only objects that it receives; destinations that receive different objects get reports with\n"
        "different UIDs. The report is sent last. A unit that a route claimed and that was not analysed is reported with the reason.\n\n"
        + table(("`objects`", "SOP class", "name", "defined in", "content"), objects)
        + "\n\nAll of them have: Explicit VR Little Endian; patient, study, accession and request attributes of the source; the start of\n"
        "the analysis as Content Date and Time, with Timezone Offset From UTC where the source or the site's setting gives one; Series\n"
        'Description with what the model looks for and which object it is, such as "AI lung nodules: report (research)"; Series\n'
        "Description Code Sequence; Contributing\n"
        "Equipment Sequence with the model (purpose 109102, DCM, Processing Equipment), its manufacturer, version and a Device UID that\n"
        "changes with the model; body part and side as in the source. In reports, assessments, key images, pages and rejections these,\n"
        "and Anatomic Region Sequence where the source or the findings have one region, are not part of the IOD (Standard Extended SOP\n"
        "Class); archives can find the objects by them. UIDs are derived from the input: an attempt that is repeated gives objects with\n"
        "the same UIDs, and only those of the attempt whose result was committed are sent.\n\n"
        "### The report\n\n" + table(("part", "encoding"), _REPORT) + "\n\n### The assessment\n\n"
        "Verdicts of clinicians (`assessment` in `objects`). IHE AI Result Assessment could not be followed to the letter, because its\n"
        "text was not available: [what was followed](air.md#assessment-of-results-aira).\n\n"
        + table(("part", "encoding"), _ASSESSMENT)
        + "\n\n### Elements that our validator requires\n\n"
        + table(("object", "with a value", "may be empty", "fixed"), [_required(iod) for iod in IODS.values()])
        + "\n\n### Published codes\n\n"
        + table(("code", "scheme", "meaning", "defined in"), published)
        + f"\n\n### Private codes ({private_codes.PRIVATE_SCHEME}: {private_codes.PRIVATE_SCHEME_NAME})\n\n"
        + table(("code", "meaning", "definition"), private)
    )


def _required(iod: Iod) -> tuple[str, str, str, str]:
    fixed = ", ".join(f"{keyword} {value}" for keyword, value in iod.expected.items())
    return iod.name, ", ".join(map(_element, iod.type_1)), ", ".join(map(_element, iod.type_2)), fixed


def _element(keyword: str) -> str:
    tag = Tag(tag_for_keyword(keyword) or 0)
    return f"{keyword} ({tag.group:04X},{tag.element:04X})"
