"""The settings of a node as one object, valid once built."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from core.settings.completion import CompletionSection
from core.settings.delivery import DeliverySection
from core.settings.node import NodeSection
from core.settings.operations import AuditSection, LogsSection, ModelsSection, RetentionSection, WebhookSection
from core.settings.peers.destinations import Destination
from core.settings.peers.sources import Source
from core.settings.receive import ReceiveSection
from core.settings.routes import Route
from core.settings.section import Section
from core.settings.servers import BrokerSection, DatabaseSection, StoreSection
from core.settings.web.console import ConsoleSection
from core.settings.web.upload import UploadSection
from core.settings.worker import WorkerSection
from core.states import ResultKind


class Settings(Section):
    """Every section of the configuration. Names of routes and destinations are unique, and routes name existing destinations."""

    node: NodeSection = Field(default=NodeSection(), description="The node itself.")
    receive: ReceiveSection = Field(default=ReceiveSection(), description="Limits of the storage SCP.")
    database: DatabaseSection = Field(default=DatabaseSection(), description="PostgreSQL: it holds the state of the node.")
    broker: BrokerSection = Field(
        default=BrokerSection(),
        description="Valkey or Redis: it carries wake-ups of workers, and may be emptied at any moment without loss.",
    )
    store: StoreSection = Field(
        default=StoreSection(),
        description="Where the blobs are, if several machines share them ([how](several-machines.md#blobs-on-several-machines)).",
    )
    console: ConsoleSection = Field(
        default=ConsoleSection(),
        description="The web interface, health, metrics and the API over HTTP. Patient data are shown after sign-in only.",
    )
    upload: UploadSection = Field(default=UploadSection(), description="Limits of uploads in the console and over the API.")
    completion: CompletionSection = Field(
        default=CompletionSection(),
        description="When a series is complete. The evidence that decided is stored and shown by `dicom-node jobs show`.",
    )
    models: ModelsSection = Field(default=ModelsSection(), description="Supervision of the models: stop rules.")
    worker: WorkerSection = Field(default=WorkerSection(), description="The processes that run models.")
    delivery: DeliverySection = Field(default=DeliverySection(), description="Sending of results to the destinations.")
    webhook: WebhookSection = Field(
        default=WebhookSection(),
        description="Notifications of alerts ([operations](operations.md)). They hold no patient data.",
    )
    audit: AuditSection = Field(
        default=AuditSection(),
        description="The anchor of the audit trail, outside of the database ([security](security.md#the-anchor)).",
    )
    retention: RetentionSection = Field(
        default=RetentionSection(),
        description="What `dicom-node retention run` deletes, by age in days ([operations](operations.md)). `0`, the default: never. "
        "Rows, hashes and the audit trail always stay.",
    )
    logs: LogsSection = Field(
        default=LogsSection(), description="The log on standard error, one line an event. Patient data and UIDs are redacted."
    )
    sources: tuple[Source, ...] = Field(
        default=(),
        description="One table for each peer that may open associations. Calling AE title and address must both match one of them.",
    )
    destinations: tuple[Destination, ...] = Field(default=(), description="One table for each receiver of results.")
    routes: tuple[Route, ...] = Field(
        default=(),
        description="One table for each rule that selects a model and destinations for a unit. Every route is evaluated; "
        "`dicom-node rules test PATH...` explains the result.",
    )

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        known = [destination.name for destination in self.destinations]
        for kind, names in (("destination", known), ("route", [route.name for route in self.routes])):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"two {kind}s are named {', '.join(repeated)}: names must differ")
        for route in self.routes:
            missing = [name for name in route.destinations if name not in known]
            if missing:
                there = f"there is {', '.join(known)}" if known else "there is none"
                raise ValueError(f"route {route.name!r} sends to {', '.join(missing)}, which no [[destinations]] names: {there}")
        return self

    @model_validator(mode="after")
    def _check_anchor_webhook(self) -> Self:
        if self.audit.to_webhook and not self.webhook.url:
            raise ValueError("audit.to_webhook sends anchors to webhook.url, which is empty: set it, or leave to_webhook false")
        return self

    @model_validator(mode="after")
    def _check_certificates(self) -> Self:
        pinned = {source.ae_title for source in self.sources if source.certificate is not None}
        if pinned and (self.node.tls is None or not self.node.tls.require_client_cert):
            raise ValueError(f"source {', '.join(sorted(pinned))} pins a certificate: that needs [node.tls] with require_client_cert")
        open_to_all = sorted(pinned & {source.ae_title for source in self.sources if source.certificate is None})
        if open_to_all:
            raise ValueError(f"two sources have the AE title {', '.join(open_to_all)}, and only one of them pins a certificate")
        return self

    @property
    def blobs_dir(self) -> Path:
        """Folder of the blobs."""
        return self.node.data_dir / "blobs"

    @property
    def blob_cache_dir(self) -> Path:
        """Folder of the copies of blobs whose store is not on this machine."""
        return self.store.cache_folder or self.node.data_dir / "blob-cache"

    @property
    def anchor_file(self) -> Path:
        """File with the anchors of the audit trail."""
        return self.audit.anchor_file or self.node.data_dir / "audit" / "anchor.jsonl"

    @property
    def anchor_key(self) -> Path:
        """File with the private key that signs the anchors."""
        return self.audit.anchor_key or self.node.data_dir / "audit" / "anchor.key"

    @property
    def uploads_dir(self) -> Path:
        """Folder of the files that are being uploaded."""
        return self.upload.folder or self.node.data_dir / "uploads"

    @property
    def viewer_cache_dir(self) -> Path:
        """Folder of the images that were decoded for the viewer."""
        return self.console.viewer.cache_folder or self.node.data_dir / "viewer-cache"

    def destination(self, name: str) -> Destination | None:
        """Return the destination of this name; None where the configuration no longer has it."""
        return next((destination for destination in self.destinations if destination.name == name), None)

    @property
    def result_profiles(self) -> Mapping[str, frozenset[ResultKind]]:
        """Result profile of each destination, by its name."""
        return {destination.name: frozenset(destination.objects) for destination in self.destinations}
