"""Records that pass between the stages: frozen, slotted, valid once built."""

from core.records.coded import Code, Evaluation, Measurement
from core.records.instance import InstanceHeader, UnitInput
from core.records.model import ModelIdentity, RegisteredModel
from core.records.prediction import Finding, Prediction
from core.records.result import CompletionEvidence, ResultObject
from core.records.spatial import HeatMap, Lps, Mask

__all__ = [
    "Code",
    "CompletionEvidence",
    "Evaluation",
    "Finding",
    "HeatMap",
    "InstanceHeader",
    "Lps",
    "Mask",
    "Measurement",
    "ModelIdentity",
    "Prediction",
    "RegisteredModel",
    "ResultObject",
    "UnitInput",
]
