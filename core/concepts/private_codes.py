"""Private coded concepts of the project, each with its definition. The conformance statement prints them.

A private code is used where no published code is known, and where a published one would say more than is meant: none is used for a group of
diagnoses that it does not mean.
"""

from dataclasses import dataclass

from core.records import Code

PRIVATE_SCHEME = "99DCMNODE"
PRIVATE_SCHEME_NAME = "dicom-node private codes"


@dataclass(frozen=True, slots=True)
class PrivateCode:
    """A concept for which no published code is known, and what it means."""

    code: Code
    definition: str


_PRIVATE: list[PrivateCode] = []


def _private(value: str, meaning: str, definition: str) -> Code:
    code = Code(value, PRIVATE_SCHEME, meaning)
    _PRIVATE.append(PrivateCode(code, definition))
    return code


ABSTAINED = _private(
    "ABSTAINED",
    "Algorithm ran and abstained",
    "The algorithm ran and gives no result, because the input is unlike its training images or its answer is uncertain.",
)
SCORE = _private(
    "SCORE",
    "Uncalibrated model score",
    "A number from 0 to 1 that orders the findings of one model. It is not a probability, because it is not calibrated.",
)
CLASS_PROBABILITIES = _private(
    "CLASSES",
    "Probability of every class",
    "The calibrated probability of every class that the classifier knows, as text, by the model's class names; they add up to 1.",
)
MALIGNANCY = _private(
    "MALIGNANCY",
    "Probability of malignancy (mel + bcc + akiec)",
    "The sum of the calibrated probabilities of the HAM10000 classes melanoma, basal cell carcinoma, and actinic keratosis or "
    "intraepithelial carcinoma.",
)
TIER = _private(
    "TIER", "Confidence tier", "How much weight a reader may give a result. Its limits are in the model card and in the report."
)
TIER_HIGH = _private("TIER-HIGH", "High", "Confidence tier: the probability is above the upper limit of the card.")
TIER_REVIEW = _private(
    "TIER-REVIEW", "Review", "Confidence tier: the probability is between the two limits of the card; a person must check it."
)
TIER_UNCERTAIN = _private(
    "TIER-UNCERTAIN", "Uncertain", "Confidence tier: the probability is below the lower limit of the card, or is not calibrated."
)
NOT_FOR = _private("NOT-FOR", "Not for", "Sentence that says what the result must not be used for.")
LIMITS = _private("LIMITS", "Limits of the analysis", "A known limit of the algorithm.")
LOOKED_FOR = _private("LOOKED-FOR", "Looked for", "What the algorithm looked for, at what size and at what operating point.")
REASON = _private("REASON", "Reason why there is no result", "Why the algorithm abstained, or why the input was not analysed.")
STATUS = _private(
    "STATUS", "Status of the algorithm", "Whether the algorithm is for research only or was released for clinical use by the site."
)
CLINICAL = _private("CLINICAL", "Released for clinical use", "Status of the algorithm: the site has released it for clinical use.")
ACTINIC_KERATOSIS_OR_CARCINOMA_IN_SITU = _private(
    "AKIEC",
    "Actinic keratosis or intraepithelial carcinoma",
    "A class of HAM10000: actinic keratosis or intraepithelial carcinoma (Bowen's disease); the two are not distinguished.",
)
BENIGN_KERATOSIS = _private(
    "BKL",
    "Benign keratosis-like lesion",
    "A class of HAM10000: seborrheic keratosis, solar lentigo or lichen-planus-like keratosis; they are not distinguished.",
)
DERMATOFIBROMA = _private(
    "DF", "Dermatofibroma", "A class of HAM10000: dermatofibroma. Private because no published code could be verified."
)
VASCULAR_LESION = _private(
    "VASC",
    "Vascular skin lesion",
    "A class of HAM10000: angioma, angiokeratoma, pyogenic granuloma or hemorrhage of the skin; they are not distinguished.",
)
DENSITY = _private(
    "DENSITY",
    "Density of the nodule",
    "Whether a nodule is solid, part-solid or ground-glass, by the rule of the model card: coefficients that were fitted to readers' "
    "ratings, or the share of the region that is denser than a limit.",
)
SOLID = _private("SOLID", "Solid", "Density: solid by the rule of the model card.")
PART_SOLID = _private("PART-SOLID", "Part-solid", "Density: part-solid by the rule of the model card.")
GROUND_GLASS = _private("GROUND-GLASS", "Ground-glass", "Density: ground-glass by the rule of the model card.")
SUSPICION = _private(
    "SUSPICION",
    "Suspicion, as readers rated such nodules on the image (1 to 5)",
    "The mean rating of likely malignancy, 1 (highly unlikely) to 5 (highly suspicious), that the readers of LIDC-IDRI would give to the "
    "image, as estimated by the algorithm. It is an opinion on an image and says nothing of pathology.",
)
SUSPICION_LOW = _private("SUSPICION-LOW", "Below 2.5 of 5", "Suspicion: the estimated mean rating is below 2.5.")
SUSPICION_INDETERMINATE = _private("SUSPICION-MIDDLE", "2.5 to 3.5 of 5", "Suspicion: the estimated mean rating is from 2.5 to 3.5.")
SUSPICION_HIGH = _private("SUSPICION-HIGH", "Above 3.5 of 5", "Suspicion: the estimated mean rating is above 3.5.")
SIZE_BAND = _private(
    "SIZE-BAND",
    "Size band of the nodule (like Lung-RADS, not Lung-RADS)",
    "The band into which the mean of long and short axis of the marked region falls. The limits are those of Lung-RADS for solid "
    "nodules at baseline; it is not a Lung-RADS category, which requires a reader, the patient's history and earlier images.",
)
SIZE_BELOW_6 = _private("SIZE-BELOW-6", "Below 6 mm", "Size band: mean axis below 6 mm.")
SIZE_6_TO_8 = _private("SIZE-6-TO-8", "6 to below 8 mm", "Size band: mean axis from 6 to below 8 mm.")
SIZE_8_TO_15 = _private("SIZE-8-TO-15", "8 to below 15 mm", "Size band: mean axis from 8 to below 15 mm.")
SIZE_FROM_15 = _private("SIZE-FROM-15", "15 mm or more", "Size band: mean axis of 15 mm or more.")
PLEURA_DISTANCE = _private(
    "PLEURA-DISTANCE",
    "Distance to the pleura",
    "Shortest distance from the edge of the marked region to the edge of the lung field, where the lung meets chest wall, diaphragm, "
    "mediastinum or heart; in steps of about 2 mm. 0: the region lies on it.",
)
LUNG_RADS = _private(
    "LUNG-RADS-SIZE",
    "Lung-RADS 2022 category by size and density alone",
    "The category that Lung-RADS 2022 gives to a nodule seen for the first time, by the measured size and the density, with a "
    "measuring error of 1 mm. Not the category of an examination, which a reader assigns with history, shape, growth and earlier images.",
)


def _lung_rads(value: str, meaning: str) -> Code:
    return _private(f"LUNG-RADS-{value}", meaning, f"Lung-RADS 2022 category by size and density alone: {meaning}.")


LUNG_RADS_SINGLE = (_lung_rads("2", "2"), _lung_rads("3", "3"), _lung_rads("4A", "4A"), _lung_rads("4B", "4B"))
LUNG_RADS_PAIRS = (_lung_rads("2-3", "2 or 3"), _lung_rads("3-4A", "3 or 4A"), _lung_rads("4A-4B", "4A or 4B"))
LUNG_RADS_2_TO_4A = _lung_rads("2-4A", "2 to 4A")
LUNG_RADS_3_OR_HIGHER = _lung_rads("3-UP", "3 or higher")
VERDICT = _private("VERDICT", "Verdict of a clinician", "What a clinician decided on one statement of an algorithm, after having seen it.")
ACCEPTED = _private("VERDICT-ACCEPTED", "Accepted", "Verdict: the clinician agrees with the statement of the algorithm.")
CORRECTED = _private(
    "VERDICT-CORRECT", "Corrected", "Verdict: the finding is present, with the class, position or size that this document states."
)
VERDICT_REJECTED = _private("VERDICT-REJECT", "Rejected", "Verdict: the clinician does not agree that the finding is present or relevant.")
MISSED = _private("VERDICT-MISSED", "Missed by the algorithm", "Verdict: the clinician sees a finding that the algorithm did not report.")
VERDICT_REASON = _private("VERDICT-REASON", "Reason for the rejection", "Why a clinician rejected a finding of an algorithm.")
REASON_NORMAL = _private("REASON-NORMAL", "Normal anatomy", "Reason for a rejection: the marked place shows a normal structure.")
REASON_NOT_RELEVANT = _private(
    "REASON-NOT-REL", "Present, not relevant", "Reason for a rejection: something is there, and it has no clinical relevance."
)
REASON_DUPLICATE = _private(
    "REASON-DUPLICATE", "Same as another finding", "Reason for a rejection: another finding of the result is the same lesion."
)
REASON_POOR_IMAGE = _private(
    "REASON-POOR-IMG",
    "Image quality too poor",
    "Reason for a rejection: the image does not allow to decide whether the finding is present.",
)
REASON_OTHER = _private("REASON-OTHER", "Another reason", "Reason for a rejection: none of the other reasons of this scheme.")
COMPARED_WITH = _private(
    "COMPARED-WITH",
    "Earlier results compared with",
    "A sentence about the earlier results of the same algorithm on this patient with which this one was compared, or that there is none.",
)
CHANGE = _private(
    "CHANGE",
    "Change since the earlier examination",
    "What the comparison with the finding of an earlier result says that was matched by place and size, without a reader.",
)
CHANGE_NOT_MATCHED = _private(
    "CHANGE-NO-MATCH",
    "No comparable finding found",
    "Change: no finding of the earlier result was matched. It does not say that the finding is new.",
)
CHANGE_NOT_JUDGED = _private(
    "CHANGE-NO-JUDGE", "Matched, change not judged", "Change: a finding was matched, and the change is not judged."
)
CHANGE_WITHIN_ERROR = _private(
    "CHANGE-IN-ERROR", "Within the measuring error", "Change: the difference of the volumes does not exceed the measuring error."
)
CHANGE_LARGER = _private(
    "CHANGE-LARGER", "Larger, beyond the measuring error", "Change: the volume has grown by more than the measuring error."
)
CHANGE_SMALLER = _private(
    "CHANGE-SMALLER", "Smaller, beyond the measuring error", "Change: the volume has shrunk by more than the measuring error."
)
DAYS_BETWEEN = _private("DAYS-BETWEEN", "Days since the earlier examination", "Days between the Study Dates of both examinations.")
EARLIER_VOLUME = _private(
    "EARLIER-VOLUME", "Volume at the earlier examination", "Volume of the matched finding as the earlier result states it."
)
EARLIER_DIAMETER = _private(
    "EARLIER-DIAMETER", "Diameter at the earlier examination", "Diameter of the matched finding as the earlier result states it."
)
VOLUME_DIFFERENCE = _private("VOLUME-DIFF", "Difference of volume", "Volume now minus volume at the earlier examination.")
VOLUME_PERCENT = _private(
    "VOLUME-PERCENT", "Relative difference of volume", "Difference of volume in percent of the volume at the earlier examination."
)
DIAMETER_DIFFERENCE = _private("DIAMETER-DIFF", "Difference of diameter", "Diameter now minus diameter at the earlier examination.")
DOUBLING_TIME = _private(
    "DOUBLING-TIME",
    "Volume doubling time",
    "Days in which the volume would double if it grew exponentially: days between the examinations, times ln 2, by ln of the ratio of the "
    "volumes. Given only where the volume has grown by more than the measuring error.",
)

PRIVATE: tuple[PrivateCode, ...] = tuple(_PRIVATE)
