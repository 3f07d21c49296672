"""Records that pass between the stages: frozen, slotted, valid once built."""

from core.records.coded import Code, Evaluation, Measurement
from core.records.comparison import Change, FindingComparison, OrganPlace, PriorFinding, PriorResult
from core.records.instance import InstanceHeader, UnitInput
from core.records.model import ModelIdentity, RegisteredModel
from core.records.prediction import Finding, Prediction
from core.records.result import CompletionEvidence, ResultObject
from core.records.spatial import HeatMap, Lps, Mask

__all__ = [
    "Change",
    "Code",
    "CompletionEvidence",
    "Evaluation",
    "Finding",
    "FindingComparison",
    "HeatMap",
    "InstanceHeader",
    "Lps",
    "Mask",
    "Measurement",
    "ModelIdentity",
    "OrganPlace",
    "Prediction",
    "PriorFinding",
    "PriorResult",
    "RegisteredModel",
    "ResultObject",
    "UnitInput",
]
