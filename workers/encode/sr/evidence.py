"""Lists of instances by study and series, as documents name their evidence (PS3.3 C.17.2.3)."""

from collections.abc import Mapping

from pydicom.dataset import Dataset

from imaging.wire.writer import REFERENCED_SOP_SEQUENCE, encode_referenced_sops

# SOP class by SOP Instance UID, by Series Instance UID.
InstancesBySeries = Mapping[str, Mapping[str, str]]


def evidence_item(study_instance_uid: str, instances: InstancesBySeries) -> Dataset:
    """An item of Current Requested Procedure Evidence Sequence. References are encoded at once: a study has hundreds of instances."""
    study = Dataset()
    study.StudyInstanceUID = study_instance_uid
    study.ReferencedSeriesSequence = [_series_item(uid, of_series) for uid, of_series in instances.items()]
    return study


def _series_item(series_instance_uid: str, instances: Mapping[str, str]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = series_instance_uid
    series[REFERENCED_SOP_SEQUENCE] = encode_referenced_sops(instances)
    return series
