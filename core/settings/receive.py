"""``[receive]``: limits of the storage SCP."""

from typing import Literal

from pydantic import Field, IPvAnyNetwork

from core.settings.section import Seconds, Section


class ReceiveSection(Section):
    """``[receive]``: limits of the storage SCP."""

    max_associations: int = Field(
        default=32,
        ge=1,
        le=1000,
        description="Associations that may be open at once, for each listener process. A further one is rejected as transient (local "
        "limit exceeded), so that the sender tries again.",
    )
    max_instance_bytes: int = Field(
        default=4 << 30,
        ge=1 << 16,
        description="Largest data set that is accepted, in bytes. A larger one is refused (0xA700) and not kept.",
    )
    acse_timeout_s: Seconds = Field(
        default=30.0, description="Longest wait for an association release, in seconds. For a request: at most 5 s."
    )
    dimse_timeout_s: Seconds = Field(default=60.0, description="Longest wait for the rest of a DIMSE message, in seconds.")
    network_timeout_s: Seconds = Field(default=120.0, description="An association without any traffic is aborted after this many seconds.")
    association_lease_s: Seconds = Field(
        default=60.0,
        description="Seconds after which an association whose listener no longer renews it counts as lost. It delays the completion of a "
        "series until then.",
    )
    quarantine_max_bytes: int = Field(
        default=1 << 30,
        ge=0,
        description="Space for the quarantine of refused data sets, in bytes. When it is full the oldest are deleted. `0`: none are kept.",
    )
    min_free_bytes: int = Field(
        default=1 << 30,
        ge=0,
        description="With less free disk space than this many bytes, receiving pauses until there is a tenth more "
        "([operations](operations.md)). `0`: never.",
    )
    max_waiting: int = Field(
        default=20_000,
        ge=0,
        description="With more open units and queued jobs than this, receiving pauses until there are a tenth fewer "
        "([operations](operations.md)). `0`: no limit.",
    )
    proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="Load balancers before the listeners, as addresses or CIDR blocks. Their connections must begin with a header of the "
        "PROXY protocol (version 1 or 2), whose address counts as that of the sender; connections from elsewhere have no header. Name "
        "only machines that no sender can use.",
    )
    own_objects: Literal["store", "refuse"] = Field(
        default="store",
        description="Results of dicom-node that a peer sends back, made by this or another installation: `store` or `refuse` (0x0124). "
        "They are never analysed.",
    )
