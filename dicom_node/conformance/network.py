"""Sections on the application entity, its network settings and its peers."""

from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from core.policy import admission
from core.settings.settings import Settings
from dicom_node import contexts
from dicom_node.conformance.markdown import table
from dicom_node.receive.back_pressure import pause_rejection
from dicom_node.receive.server import REQUEST_TIMEOUT_S
from dicom_node.sockets import MAX_PDU_BYTES


def roles_section(settings: Settings) -> str:
    """Return the section on services and roles."""
    rows = [
        ("Verification", "SCP and SCU", f"`{contexts.VERIFICATION}`", "SCU: `destinations echo`, `doctor`"),
        ("Storage", "SCP", "see [Storage as SCP](#storage-as-scp)", "every storage SOP class, every transfer syntax that can be stored"),
        ("Storage", "SCU", "see [Content of the results](#content-of-the-results)", "the results"),
        (
            "Storage commitment, push model",
            "SCU and SCP",
            f"`{contexts.STORAGE_COMMITMENT}`",
            "SCU where a destination has `storage_commitment`; SCP for every source",
        ),
        (
            "Query/Retrieve, Study Root, FIND",
            "SCU",
            f"`{StudyRootQueryRetrieveInformationModelFind}`",
            "only where a source has a `query` address: Number of Series Related Instances, else the images are counted",
        ),
    ]
    heading = f"## Application entity and roles\n\nOne application entity, `{settings.node.ae_title}`.\n\n"
    return heading + table(("service", "role", "SOP class", "use"), rows)


def network_section(settings: Settings) -> str:
    """Return the section on limits, time-outs and association policy."""
    node, receive, completion, delivery = settings.node, settings.receive, settings.completion, settings.delivery
    values = [
        ("maximum PDU size received", f"{MAX_PDU_BYTES} bytes", "fixed"),
        ("concurrent associations of each listener process", receive.max_associations, "`receive.max_associations`"),
        ("listener processes", node.processes, "`node.processes`"),
        ("largest instance", f"{receive.max_instance_bytes} bytes", "`receive.max_instance_bytes`"),
        ("wait for an association request", f"{min(REQUEST_TIMEOUT_S, receive.acse_timeout_s):g} s", "fixed"),
        ("ACSE time-out", f"{receive.acse_timeout_s:g} s", "`receive.acse_timeout_s`"),
        ("DIMSE time-out", f"{receive.dimse_timeout_s:g} s", "`receive.dimse_timeout_s`"),
        ("idle association", f"{receive.network_timeout_s:g} s", "`receive.network_timeout_s`"),
        ("time-out as SCU", f"{delivery.timeout_s:g} s", "`delivery.timeout_s`"),
        (
            "a series is complete",
            f"{completion.settle_s:g} s after the association was released, if the geometry has no gap; {completion.quiet_s:g} s after the "
            f"last instance; {completion.max_wait_s:g} s at the latest. Earlier if the source's count is met twice, or if its storage "
            "commitment request lists every instance held",
            "`[completion]`",
        ),
    ]
    rejections = (
        admission.WRONG_CALLED_TITLE,
        admission.UNKNOWN_CALLING_TITLE,
        admission.WRONG_ADDRESS,
        admission.WRONG_CERTIFICATE,
        admission.MALFORMED_CONTEXT,
        admission.TOO_MANY_ASSOCIATIONS,
        pause_rejection("too little free disk space, or too many units wait"),
        admission.SHUTTING_DOWN,
        admission.INTERNAL_ERROR,
    )
    rows = [(rejection.description, rejection.result, rejection.source, rejection.reason) for rejection in rejections]
    return (
        "## Network and association policy\n\n"
        + table(("", "value", "setting"), values)
        + "\n\nAsynchronous operations, extended negotiation and user identity are not negotiated. SCP/SCU role selection is used for\n"
        "storage commitment only. A request with presentation context ids that are even or repeated is aborted (PS3.8 9.3.2).\n"
        "An association is accepted if the calling AE title and the address are those of a configured source, and the called AE title is\n"
        "that of this node; a source with a `certificate` has to present it, too. A destination with `storage_commitment` may associate\n"
        "from its address too, for the Storage Commitment Push Model only. While receiving is paused, only requests for verification\n"
        "alone, or with storage commitment, are accepted. Rejections are audited (PS3.8 9.3.4); a pause is audited at its beginning\n"
        "and at its end:\n\n" + table(("A-ASSOCIATE-RJ because", "result", "source", "reason"), rows)
    )


def peers_section(settings: Settings | None) -> str:
    """Return the section on the sources and destinations of an installation."""
    heading = "## Peers of this installation\n\n"
    if settings is None:
        return heading + "Listed by `dicom-node conformance --config FILE`."
    sources = [(source.ae_title, source.host, "yes" if source.query is not None else "no") for source in settings.sources]
    destinations = [
        (destination.name, destination.address_in_words, " ".join(destination.objects)) for destination in settings.destinations
    ]
    return heading + table(("source", "address", "queried"), sources) + "\n\n" + table(("destination", "address", "objects"), destinations)
