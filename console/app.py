"""The role ``console``: the web application, and its server in the calling thread."""

import os
import socket
import threading
from collections.abc import Callable

import structlog
from fastapi import Depends, FastAPI

from console import pages
from console.api import health_routes
from console.api.routers import add_api
from console.api_reference import routes as api_reference
from console.assets import mount_assets
from console.audit import routes as audit
from console.audit import view_queries
from console.auth import account, first_administrator, invitation, sign_in, sign_in_link, user_admin
from console.auth.guard import Accounts, build_guard
from console.auth.oidc import routes as oidc
from console.auth.oidc.files import report_unusable_files
from console.auth.refusals import add_refusals
from console.bulk import routes as bulk
from console.current_settings import CurrentSettings
from console.dashboard import routes as dashboard
from console.head_requests import HeadRequests
from console.health import CONSOLE, NodeSnapshot, read_node
from console.models import routes as models
from console.operations import routes as operations
from console.page_templates import build_templates
from console.patients import routes as erasures
from console.server.address import expected_hosts, public_address, scheme
from console.server.body_limit import BodyLimit
from console.server.console_server import ConsoleServer
from console.server.host_check import HostCheck
from console.server.security_headers import SecurityHeaders
from console.study import objects
from console.study import routes as study
from console.upload import predict
from console.upload import routes as upload
from console.upload.limits import larger_bodies
from console.verdicts import routes as verdicts
from console.viewer import routes as viewer
from console.viewer.render_cache import RenderCache
from console.viewer.render_pool import RenderPool
from console.viewer.source import ViewerSource
from console.worklist import routes as worklist
from console.worklist import saved_views
from core.errors import ConfigurationError
from core.settings.settings import Settings
from core.tls import server_context
from db.accounts.sessions import SessionLimits
from db.blobs.open_blobs import open_reader
from db.engine import Database
from db.roles.role_heartbeat import RoleHeartbeat
from db.roles.supervised_loop import SupervisedLoop
from db.viewer.erased_copies import remove_erased_copies

ERASED_COPIES_EVERY_S = 60.0
STOP_TIMEOUT_S = 5.0

log = structlog.get_logger(__name__)


def create_app(read_snapshot: Callable[[], NodeSnapshot], accounts: Accounts, current: CurrentSettings) -> FastAPI:
    """Build the application: health, metrics, API and pages. Requests call ``read_snapshot``, and ``current`` for settings that change.

    FastAPI's interactive API pages are switched off, because they load scripts from other hosts. Every route is checked by the guard.
    """
    application = FastAPI(
        title="dicom-node",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(build_guard(accounts))],
    )
    settings = current()
    templates = build_templates(accounts.ae_title, settings.console.viewer.ohif_link, settings.console.time_zone)
    application.include_router(health_routes.router(read_snapshot, accounts.ae_title))
    application.include_router(pages.router(read_snapshot, accounts.ae_title, templates))
    for module in (sign_in, sign_in_link, oidc, invitation, account, user_admin, saved_views, view_queries, erasures):
        application.include_router(module.build_router(accounts, templates))
    application.include_router(worklist.build_router(accounts, templates, settings.console.time_zone))
    application.include_router(audit.build_router(accounts, templates, settings))
    application.include_router(operations.build_router(accounts, templates, current))
    application.include_router(bulk.build_router(accounts, templates, current))
    application.include_router(dashboard.build_router(accounts, templates, current))
    application.include_router(models.build_router(accounts, templates, settings))
    models_dir = settings.node.data_dir / "models"
    section = settings.console.viewer
    cache = RenderCache(settings.viewer_cache_dir, max_bytes=section.cache_mib << 20, keep_s=section.keep_s)
    blobs = open_reader(settings)
    render_pool = application.state.render_pool = RenderPool(section, cache)
    source = ViewerSource(accounts.database, render_pool, blobs)
    application.include_router(study.build_router(accounts, templates, current, blobs, source.prepare))
    application.include_router(verdicts.build_router(accounts, templates, models_dir, current))
    application.include_router(viewer.build_router(accounts, templates, source))
    application.include_router(objects.build_router(accounts, templates, source))
    add_api(application, accounts, current, blobs)
    application.include_router(api_reference.build_router(accounts, templates, lambda: application.openapi()))
    application.include_router(upload.build_router(accounts, templates, current))
    application.include_router(predict.build_router(accounts, current))
    add_refusals(application, templates, accounts)
    mount_assets(application)

    application.add_middleware(BodyLimit, larger=larger_bodies(settings))
    application.add_middleware(HostCheck, names=expected_hosts(settings.console))
    application.add_middleware(HeadRequests)
    application.add_middleware(SecurityHeaders, secure=accounts.secure)  # the last one is the outermost
    return application


def run(
    settings: Settings,
    database: Database,
    stop: threading.Event,
    on_ready: Callable[[str, int], None] = lambda _host, _port: None,
    take_change: Callable[[], Settings | None] = lambda: None,
) -> None:
    """Serve until ``stop`` is set.

    Parameters
    ----------
    on_ready
        Called with host and port when the port is bound.
    take_change
        Called again and again: returns settings that are to be used from now on, None where nothing has changed.

    Raises
    ------
    ConfigurationError
        The port cannot be bound, or the files of ``console.tls`` cannot be used.
    """
    section = settings.console
    files = section.tls  # checked before the port is bound, so that a wrong file is reported first
    tls_context = server_context(files, "console.tls", require_client=files.ca is not None) if files is not None else None
    try:
        listener = socket.create_server((section.host, section.port), family=socket.AF_INET6 if ":" in section.host else socket.AF_INET)
    except OSError as error:
        message = f"the console cannot listen on {section.host}:{section.port}: {os.strerror(error.errno or 0)}"
        raise ConfigurationError(message, hint="stop what listens there, or set console.host and console.port") from error
    # Connections inherit it. asyncio sets it only on sockets that name their protocol; without it a page waits 40 ms for the browser's ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    host, port = listener.getsockname()[:2]
    limits = SessionLimits(idle_s=section.session_idle_s, max_s=section.session_max_s)
    address, current = public_address(section, port), CurrentSettings(settings)
    accounts = Accounts(database, limits, section.secure, settings.node.ae_title, oidc=section.oidc, public_url=address)
    application = create_app(lambda: read_node(current(), database), accounts, current)
    server = ConsoleServer(
        application, stop, tls=tls_context, most_connections=section.max_connections, trusted_proxies=section.trusted_proxies
    )
    url = f"{scheme(section)}://{host}:{port}"
    with listener, RoleHeartbeat(database, CONSOLE, lambda: {"url": url}), current.follow(take_change):
        log.info("console_listening", host=host, port=port)
        if section.oidc is not None:
            report_unusable_files(section.oidc)
        if accounts.local_sign_in:
            first_administrator.offer_registration(database, address)
        on_ready(host, port)
        application.state.render_pool.cache.make_room(0)  # what an earlier process has left
        cleaning = SupervisedLoop("erased-copies", lambda: _remove_erased(database, settings), stop)
        cleaning.start()
        try:
            server.run(sockets=[listener])
        finally:
            application.state.render_pool.close()
            cleaning.join(STOP_TIMEOUT_S)


def _remove_erased(database: Database, settings: Settings) -> float:
    """Remove decoded images of erased units, wherever the erasure was carried out; return the seconds until the next time."""
    remove_erased_copies(database, settings.viewer_cache_dir)
    return ERASED_COPIES_EVERY_S
