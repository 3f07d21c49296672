"""Delivery by STOW-RS (PS3.18 10.5): one request for each object, so that each object has a response of its own."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset

from core.settings.peers.destinations import Destination
from core.settings.settings import Settings
from dicom_node.deliver.bounded_answer import AnswerTooLong, BoundedAnswers
from dicom_node.deliver.stow_response import http_status_text, interpret_response
from dicom_node.deliver.transport_types import EchoResult, OutgoingObject, SendResult, decode_object
from dicom_node.statuses import SendOutcome

UNUSED_STUDY_UID = "2.25.0"  # `echo` searches for it: no study has it, so no patient data is returned
UNCHUNKED_BYTES = 1 << 31  # a body up to this size is sent with its length: some servers do not accept chunks
JSON = "application/dicom+json"
ANSWER_BYTES = 1 << 20  # of one object, or of a search that finds nothing

logging.getLogger("dicomweb_client").setLevel(logging.WARNING)  # it logs complete URLs, which hold UIDs


class StowTransport:
    """Requests over one HTTP session. Credentials are read each time it is opened: a renewed token needs no restart.

    Raises
    ------
    CannotUnderstand
        An object cannot be read.
    """

    def __init__(self, settings: Settings, destination: Destination, objects: Sequence[OutgoingObject]) -> None:
        self._datasets = {outgoing.sop_instance_uid: decode_object(outgoing) for outgoing in objects}
        self._timeout_s = settings.delivery.timeout_s
        self._destination = destination
        self._client: _StowClient | None = None
        self._problem = ""

    def __enter__(self) -> Self:
        try:
            self._client = _StowClient(self._destination, self._timeout_s)
        except (OSError, UnicodeError) as error:
            self._problem = _unreadable_secret(error)
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()

    def send(self, outgoing: OutgoingObject) -> SendResult:
        """Store one object."""
        if self._client is None:
            return _unreachable(self._problem)
        return self._client.store(outgoing.sop_instance_uid, self._datasets[outgoing.sop_instance_uid])


def echo(_settings: Settings, destination: Destination, timeout_s: float) -> EchoResult:
    """Search for a study that does not exist (QIDO-RS). A service that only stores answers that it has no search, which is enough."""
    try:
        client = _StowClient(destination, timeout_s)
    except (OSError, UnicodeError) as error:
        return EchoResult(False, _unreadable_secret(error))
    try:
        return client.search()
    finally:
        client.close()


class _StowClient:
    """dicomweb-client with time-outs and without redirects or retries. Keeps the last response: the client's errors lack its body."""

    def __init__(self, destination: Destination, timeout_s: float) -> None:
        assert destination.stow_url is not None  # the table of transports has checked it
        session = requests.Session()
        session.trust_env = False  # no proxy, certificate bundle or .netrc that the configuration does not name
        for scheme in ("http://", "https://"):
            session.mount(scheme, BoundedAnswers(seconds=timeout_s, max_bytes=ANSWER_BYTES))
        session.max_redirects = 0  # a redirected POST may become a GET, whose status 200 stores nothing
        tls = destination.tls
        if tls is not None:
            session.verify = _readable(tls.ca) if tls.ca is not None else True
            if tls.cert is not None and tls.key is not None:
                session.cert = (_readable(tls.cert), _readable(tls.key))
        if destination.token_file is not None:
            session.headers["Authorization"] = f"Bearer {_secret(destination.token_file)}"
        elif destination.user is not None and destination.password_file is not None:
            session.auth = (destination.user, _secret(destination.password_file))
        self._session = session
        self._last: requests.Response | None = None
        url = destination.stow_url.rstrip("/").removesuffix("/studies")
        self._client = DICOMwebClient(url, session=session, callback=self._keep, chunk_size=UNCHUNKED_BYTES, timeout=timeout_s)
        self._client.set_http_retry_params(retry=False)  # the time of the next attempt is kept in the database
        session.headers["Accept"] = JSON

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def _keep(self, response: requests.Response, *_: object, **__: object) -> requests.Response:
        self._last = response
        return response

    def _response(self, request: Any) -> requests.Response | SendResult:
        """Return the response to a request, whatever its status; a result where there was none."""
        self._last = None
        try:
            request()
        except requests.exceptions.TooManyRedirects:
            return _unreachable("the service redirects: give its final URL")
        except requests.exceptions.SSLError as error:
            return _unreachable(f"no TLS, or its certificate is not accepted: {_root_cause(error)}")
        except requests.exceptions.ConnectionError as error:
            return _unreachable(f"no connection: {_root_cause(error)}")
        except AnswerTooLong as error:
            return SendResult(SendOutcome.TRANSIENT, f"{error}: is this the DICOMweb service?", connection_lost=True)
        except requests.exceptions.Timeout:
            return SendResult(SendOutcome.TRANSIENT, "no answer in time", connection_lost=True)
        except Exception as error:
            # With a response, the error is an HTTP status or a body that the client cannot parse: both are interpreted here.
            if self._last is None:
                return SendResult(SendOutcome.TRANSIENT, f"the request failed: {type(error).__name__}", connection_lost=True)
        if self._last is None:
            return SendResult(SendOutcome.TRANSIENT, "no answer", connection_lost=True)
        return self._last

    def store(self, sop_instance_uid: str, dataset: Dataset) -> SendResult:
        """Store one data set (PS3.18 10.5)."""
        response = self._response(lambda: self._client.store_instances([dataset]))
        if isinstance(response, SendResult):
            return response
        return interpret_response(response.status_code, response.content, sop_instance_uid)

    def search(self) -> EchoResult:
        """Search for a study that does not exist (PS3.18 10.6)."""
        filters = {"StudyInstanceUID": UNUSED_STUDY_UID}
        response = self._response(lambda: self._client.search_for_studies(limit=1, search_filters=filters))
        if isinstance(response, SendResult):
            return EchoResult(False, response.reason)
        status = response.status_code
        if status in (405, 501):
            return EchoResult(True, f"the service answered (HTTP {status}: it has no search)")
        text = http_status_text(status)
        return EchoResult(200 <= status < 300, f"QIDO-RS answered HTTP {status}{': ' + text if text else ''}")


def _unreachable(reason: str) -> SendResult:
    return SendResult(SendOutcome.TRANSIENT, reason, connection_lost=True, unreachable=True)


def _unreadable_secret(error: OSError | UnicodeError) -> str:
    why = "it is no UTF-8 text" if isinstance(error, UnicodeError) else error.strerror or type(error).__name__
    return f"a secret or certificate cannot be read: {why}"


def _secret(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _readable(path: Path) -> str:
    with path.open("rb"):
        return str(path)


def _root_cause(error: BaseException) -> str:
    """Describe the error at the end of a chain of wrappers, whose texts hold complete URLs."""
    seen = {id(error)}
    while True:
        wrapped = [cause for cause in (*error.args, getattr(error, "reason", None), error.__cause__) if isinstance(cause, BaseException)]
        inner = next((cause for cause in wrapped if id(cause) not in seen), None)
        if inner is None:
            break
        seen.add(id(inner))
        error = inner
    text = getattr(error, "verify_message", None) or getattr(error, "strerror", None)
    return str(text or type(error).__name__)
