"""Asks a time-stamp service to sign a line of the anchor file (RFC 3161 3.4, over HTTP)."""

import base64
from pathlib import Path

from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from core.errors import ConfigurationError
from db.anchor.time_stamps import load_authorities, token_problem
from dicom_node.bounded_post import Limits, NotPosted, post_within

LIMITS = Limits(seconds=10.0, answer_bytes=1 << 16)


def request_time_stamp(url: str, authorities: Path, line: bytes) -> tuple[str, str]:
    """Return (base64 of the service's answer, ""), verified, or ("", the problem). Only a hash of the line leaves the node."""
    request = TimestampRequestBuilder().data(line).hash_algorithm(HashAlgorithm.SHA256).build()
    try:
        status, content = post_within(LIMITS, url, request.as_bytes(), {"Content-Type": "application/timestamp-query"})
    except NotPosted as error:
        return "", str(error)
    if status != 200:
        return "", f"answered {status}"
    token = base64.b64encode(content).decode()
    try:
        problem = token_problem(token, line, load_authorities(authorities), request.nonce)
    except ConfigurationError as error:
        problem = str(error)
    return ("", problem) if problem else (token, "")
