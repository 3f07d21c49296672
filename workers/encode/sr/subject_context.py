"""The subject of a document where it is not the patient: the specimen on a slide (TID 1006, 1009 of PS3.16)."""

from workers.encode.analysis import Analysis
from workers.encode.sr import concept_names, content_items
from workers.encode.sr.content_items import HAS_OBS_CONTEXT, ContentItem


def subject_context(analysis: Analysis) -> list[ContentItem]:
    """Class, UID, identifier and container of the specimen; none for images of a patient, and where a slide holds several specimens."""
    specimen = analysis.source.specimen
    described = specimen.get("SpecimenDescriptionSequence", ())
    if len(described) != 1:
        return []
    identifier, container = str(described[0].SpecimenIdentifier), str(specimen.ContainerIdentifier)
    return [
        content_items.code_item(concept_names.SUBJECT_CLASS, concept_names.SPECIMEN, HAS_OBS_CONTEXT),
        content_items.uid_item(concept_names.SPECIMEN_UID, str(described[0].SpecimenUID), HAS_OBS_CONTEXT),
        content_items.text_item(concept_names.SPECIMEN_IDENTIFIER, identifier, HAS_OBS_CONTEXT),
        content_items.text_item(concept_names.SPECIMEN_CONTAINER, container, HAS_OBS_CONTEXT),
    ]
