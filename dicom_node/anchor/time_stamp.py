"""Asks a time-stamp service to sign a line of the anchor file (RFC 3161 3.4, over HTTP)."""

import base64
from pathlib import Path

import requests
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from core.errors import ConfigurationError
from db.anchor.time_stamps import load_authorities, token_problem

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 1 << 16


def request_time_stamp(url: str, authorities: Path, line: bytes) -> tuple[str, str]:
    """Return (base64 of the service's answer, ""), verified, or ("", the problem). Only a hash of the line leaves the node."""
    request = TimestampRequestBuilder().data(line).hash_algorithm(HashAlgorithm.SHA256).build()
    headers = {"Content-Type": "application/timestamp-query", "User-Agent": "dicom-node"}
    with requests.Session() as session:
        session.trust_env = False  # no proxy or .netrc that the configuration does not name
        try:
            answer = session.post(url, data=request.as_bytes(), headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            return "", f"unreachable: {type(error).__name__}"
    if answer.status_code != 200 or len(answer.content) > MAX_ANSWER_BYTES:
        return "", f"answered {answer.status_code} with {len(answer.content)} bytes"
    token = base64.b64encode(answer.content).decode()
    try:
        problem = token_problem(token, line, load_authorities(authorities), request.nonce)
    except ConfigurationError as error:
        problem = str(error)
    return ("", problem) if problem else (token, "")
