"""STOW-RS (PS3.18 10.5): one request for each object, so that each has its own answer."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset

from core.settings.destinations import Destination
from core.settings.settings import Settings
from dicom_node.deliver.transport_types import Echo, Parcel, Receipt, dataset_of
from dicom_node.statuses import Verdict, verdict

NO_STUDY = "2.25.0"  # asked for to see whether the service answers: nobody has it, so no patient data comes back
WHOLE_BYTES = 1 << 31  # a body with its length, not in chunks: not every server takes those
JSON = "application/dicom+json"

# PS3.18 Table 10.5.3-1 and RFC 9110: what concerns the moment or the configuration is tried again, what concerns the object is not.
_PERMANENT = {
    400: "the request is refused as malformed",
    406: "no acceptable media type",
    413: "the object is too large for the service",
    415: "the service does not take this kind of object or transfer syntax",
    422: "the object is refused as invalid",
}
_TRANSIENT = {
    401: "the credentials are not accepted",
    403: "not authorised",
    404: "the service is not at this URL",
    405: "the service is not at this URL",
    408: "the service timed out",
    429: "too many requests",
    503: "the service is busy",
}
_CONFLICT = "conflict: the archive holds other patient or study attributes under these identifiers, or refuses the study"

logging.getLogger("dicomweb_client").setLevel(logging.WARNING)  # it logs whole URLs, which hold UIDs


class StowTransport:
    """Requests over one session. Credentials are read each time it is opened: a renewed token needs no restart.

    Raises
    ------
    CannotUnderstand
        A parcel cannot be read.
    """

    def __init__(self, settings: Settings, destination: Destination, parcels: Sequence[Parcel]) -> None:
        self._datasets = {parcel.sop_instance_uid: dataset_of(parcel) for parcel in parcels}
        self._timeout_s = settings.delivery.timeout_s
        self._destination = destination
        self._service: _Service | None = None
        self._problem = ""

    def __enter__(self) -> Self:
        try:
            self._service = _Service(self._destination, self._timeout_s)
        except OSError as error:
            self._problem = f"a secret or certificate cannot be read: {error.strerror or type(error).__name__}"
        return self

    def __exit__(self, *_: object) -> None:
        if self._service is not None:
            self._service.close()

    def send(self, parcel: Parcel) -> Receipt:
        """Store one object."""
        if self._service is None:
            return Receipt(Verdict.TRANSIENT, self._problem, broken=True, away=True)
        return self._service.store(parcel.sop_instance_uid, self._datasets[parcel.sop_instance_uid])


def echo(_settings: Settings, destination: Destination, timeout_s: float) -> Echo:
    """A search for a study that nobody has (QIDO-RS); a service that only stores says so, and is there."""
    try:
        service = _Service(destination, timeout_s)
    except OSError as error:
        return Echo(False, f"a secret or certificate cannot be read: {error.strerror or type(error).__name__}")
    try:
        return service.ask()
    finally:
        service.close()


class _Service:
    """dicomweb-client with our bounds; the last response is kept, because its exceptions tell the status alone."""

    def __init__(self, destination: Destination, timeout_s: float) -> None:
        assert destination.stow_url is not None  # the table of transports sees to it
        session = requests.Session()
        session.trust_env = False  # no proxy, bundle or .netrc that the configuration does not name
        session.max_redirects = 0  # a redirected POST may come back as a GET, whose 200 stores nothing
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
        self._client = DICOMwebClient(url, session=session, callback=self._keep, chunk_size=WHOLE_BYTES, timeout=timeout_s)
        self._client.set_http_retry_params(retry=False)  # when to try again lies in PostgreSQL
        session.headers["Accept"] = JSON

    def close(self) -> None:
        self._session.close()

    def _keep(self, response: requests.Response, *_: object, **__: object) -> requests.Response:
        self._last = response
        return response

    def _answer(self, request: Any) -> requests.Response | Receipt:
        """The response to a request of the client, whatever its status; a receipt where there is none."""
        self._last = None
        try:
            request()
        except requests.exceptions.TooManyRedirects:
            return Receipt(Verdict.TRANSIENT, "the service redirects: give its final URL", broken=True, away=True)
        except requests.exceptions.SSLError as error:
            return Receipt(Verdict.TRANSIENT, f"no TLS, or its certificate is not accepted: {_innermost(error)}", broken=True, away=True)
        except requests.exceptions.ConnectionError as error:
            return Receipt(Verdict.TRANSIENT, f"no connection: {_innermost(error)}", broken=True, away=True)
        except requests.exceptions.Timeout:
            return Receipt(Verdict.TRANSIENT, "no answer in time", broken=True)
        except Exception as error:  # with a response: an HTTP error, or a body that the client cannot read and we judge ourselves
            if self._last is None:
                return Receipt(Verdict.TRANSIENT, f"the request failed: {type(error).__name__}", broken=True)
        if self._last is None:
            return Receipt(Verdict.TRANSIENT, "no answer", broken=True)
        return self._last

    def store(self, sop_instance_uid: str, dataset: Dataset) -> Receipt:
        answer = self._answer(lambda: self._client.store_instances([dataset]))
        return answer if isinstance(answer, Receipt) else judge(answer.status_code, answer.content, sop_instance_uid)

    def ask(self) -> Echo:
        answer = self._answer(lambda: self._client.search_for_studies(limit=1, search_filters={"StudyInstanceUID": NO_STUDY}))
        if isinstance(answer, Receipt):
            return Echo(False, answer.words)
        status = answer.status_code
        if status in (405, 501):
            return Echo(True, f"the service answered (HTTP {status}: it has no search)")
        words = _TRANSIENT.get(status) or _PERMANENT.get(status) or ""
        return Echo(200 <= status < 300, f"QIDO-RS answered HTTP {status}{': ' + words if words else ''}")


def judge(http_status: int, body: bytes, sop_instance_uid: str) -> Receipt:
    """What a STOW-RS response says of one instance.

    Failed SOP Sequence (0008,1198) with its Failure Reason (0008,1197) comes before the HTTP status; stored is only what
    Referenced SOP Sequence (0008,1199) names: a sign-in page of a proxy is a 200 as well.
    """
    said = _body(body)
    failed = _items(said, "00081198").get(sop_instance_uid)
    if failed is not None:
        reason = _number(failed, "00081197")
        if reason is None:
            return Receipt(Verdict.HELD, f"{_CONFLICT} (no reason is given)" if http_status == 409 else "refused without a reason")
        judged, words = verdict(reason)
        return Receipt(judged, words, reason)
    stored = _items(said, "00081199").get(sop_instance_uid)
    if stored is not None and http_status < 300:
        warning = _number(stored, "00081196")
        return Receipt(Verdict.STORED, "stored" if not warning else verdict(warning)[1], warning or 0)
    if http_status == 409:
        return Receipt(Verdict.HELD, _CONFLICT)
    if http_status in _PERMANENT:
        return Receipt(Verdict.PERMANENT, f"HTTP {http_status}: {_PERMANENT[http_status]}")
    if http_status < 300:
        words = f"HTTP {http_status}, but the answer does not say that the object is stored: is this the DICOMweb service?"
        return Receipt(Verdict.TRANSIENT, words)
    return Receipt(Verdict.TRANSIENT, f"HTTP {http_status}: {_TRANSIENT.get(http_status, 'the service failed')}", broken=True)


def _body(content: bytes) -> Mapping[str, Any]:
    """The DICOM JSON data set of a body, empty where it is none."""
    try:
        said = json.loads(content)
    except ValueError:
        return {}
    if isinstance(said, list):
        said = said[0] if said else {}
    return said if isinstance(said, dict) else {}


def _items(said: Mapping[str, Any], tag: str) -> dict[str, Mapping[str, Any]]:
    """Items of a sequence by Referenced SOP Instance UID (0008,1155)."""
    sequence = said.get(tag)
    items = sequence.get("Value") if isinstance(sequence, dict) else None
    found = {}
    for item in items if isinstance(items, list) else []:
        values = item.get("00081155", {}).get("Value") if isinstance(item, dict) else None
        if isinstance(values, list) and values:
            found[str(values[0])] = item
    return found


def _number(item: Mapping[str, Any], tag: str) -> int | None:
    values = item.get(tag, {}).get("Value") if isinstance(item.get(tag), dict) else None
    try:
        return int(values[0]) if values else None
    except (TypeError, ValueError):
        return None


def _secret(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _readable(path: Path) -> str:
    with path.open("rb"):
        return str(path)


def _innermost(error: BaseException) -> str:
    """The kind of the error at the bottom of a chain of wrappers, whose texts hold whole URLs."""
    seen = {id(error)}
    while True:
        wrapped = [one for one in (*error.args, getattr(error, "reason", None), error.__cause__) if isinstance(one, BaseException)]
        inner = next((one for one in wrapped if id(one) not in seen), None)
        if inner is None:
            break
        seen.add(id(inner))
        error = inner
    words = getattr(error, "verify_message", None) or getattr(error, "strerror", None)
    return str(words or type(error).__name__)
