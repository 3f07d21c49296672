"""Kits, the folder of a site, and who may connect to a coordinator."""

import json
import socket
import ssl
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigurationError, ModelError
from training.federated.site_images import read_site_images
from training.federated.startup_kits import CONTROLLER, EXECUTOR, PRIVACY_FILTER, write_startup_kits

SITES = ("north", "south")


def test_a_kit_allows_only_our_classes_and_sends_no_logs(kits: Path) -> None:
    for name in ("localhost", *SITES):
        resources = json.loads((kits / name / "local" / "resources.json").read_text())
        assert resources["class_list_enforcement_mode"] == "enforce"
        assert resources["class_allow_list"] == [CONTROLLER, EXECUTOR, PRIVACY_FILTER]
        assert resources["allow_log_streaming"] is False
        assert not any("log" in part["id"] for part in resources["components"])
        assert "/tmp/nvflare" not in json.dumps(resources)


def test_wrong_input_is_refused_with_a_reason(tmp_path: Path, sites: dict[str, Path]) -> None:
    for name in ("../south", "South", "süd", "", "-south", "s" * 41, "a/b", "south\n"):
        with pytest.raises(ConfigurationError, match="a site is named by small letters, digits and hyphens, at most 40, not"):
            write_startup_kits(tmp_path / "two", "localhost", 8002, ["north", name])
    for sites_given, came in ((["north"], "1 came"), (["north", "north"], "'north' came twice"), ([f"s{i}" for i in range(1001)], "1001")):
        with pytest.raises(ConfigurationError, match=came):
            write_startup_kits(tmp_path / "one", "localhost", 8002, sites_given)
    for host in ("a b", "[::1]", "../x", "Coordinator.example.org", "-bad", "a..b", "a" * 65, "localhost\n"):
        with pytest.raises(ConfigurationError, match="the coordinator's host is"):
            write_startup_kits(tmp_path / "host", host, 8002, SITES)
    with pytest.raises(ConfigurationError, match="'north' is the coordinator's host and a site"):
        write_startup_kits(tmp_path / "same", "north", 8002, SITES)
    for port in (0, -1, 65_535, 10**9):
        with pytest.raises(ConfigurationError, match="the port must be from 1 to 65534"):
            write_startup_kits(tmp_path / "port", "localhost", port, SITES)
    assert not any(tmp_path.iterdir())
    with pytest.raises(ModelError, match=r"no .*index\.csv"):
        read_site_images(tmp_path)
    many = [f"{number}.png,mel\n" for number in range(9)]
    for content, reason in (
        ("file,label\n" + "".join(many) + "x.png,psoriasis\n", "line 11: label 'psoriasis' is none of akiec"),
        ("file,label\n" + "".join(many) + "x.png\n", "line 11: label None is none of akiec"),
        ("file,label\n" + "".join(many) + "3.png,nv\n", r"lists 3\.png more than once, with the labels mel, nv"),
        ("file,label\n" + "".join(many) + "/etc/passwd,nv\n", "'/etc/passwd' is no name of a file beside the index"),
        ("file,label\n" + "".join(many) + ",nv\n", "'' is no name of a file beside the index"),
        ("file,label\n" + "".join(many[:7]), "lists 7 images, 8 to 20000 are needed"),
        ("image;label\n" + "".join(many), "is no table with the columns file and label"),
        ("file,label\nbär.png,mel\n".encode("latin-1"), "is no table with the columns file and label"),
        ("\ufefffile,label\n" + "".join(many), r"0\.png cannot be read"),
    ):
        (tmp_path / "index.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(ModelError, match=reason):
            read_site_images(tmp_path)
    images = read_site_images(sites["north"])
    assert images.pixels.shape == (14, 2, 150, 150, 3)
    assert np.bincount(images.labels, minlength=7).min() >= 1


def test_the_coordinator_talks_only_to_certificates_of_this_training(kits: Path, tmp_path: Path) -> None:
    """TLS without a client certificate, and with one of another training, is refused."""
    from training.federated import flare_processes

    other = write_startup_kits(tmp_path / "other", "localhost", 18802, SITES)
    server = flare_processes.start_server(kits / "localhost")
    port = int(json.loads((kits / "north" / "startup" / "fed_client.json").read_text())["servers"][0]["service"]["target"].split(":")[1])
    try:
        assert _handshake(port, kits / "north" / "startup", kits / "north" / "startup", server) == "accepted"
        assert _handshake(port, kits / "north" / "startup", None, server) == "refused"
        assert _handshake(port, kits / "north" / "startup", other / "north" / "startup", server) == "refused"
    finally:
        flare_processes.stop(server)


def _handshake(port: int, authority: Path, own: Path | None, server: "subprocess.Popen[bytes]") -> str:
    context = ssl.create_default_context(cafile=str(authority / "rootCA.pem"))
    context.check_hostname = False
    if own is not None:
        context.load_cert_chain(own / "client.crt", own / "client.key")
    while True:
        assert server.poll() is None
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as plain, context.wrap_socket(plain) as secure:
                secure.settimeout(2.0)
                try:
                    return "refused" if secure.recv(1) == b"" else "accepted"  # TLS 1.3: the refusal arrives after the handshake
                except TimeoutError:
                    return "accepted"
        except ConnectionRefusedError:
            time.sleep(0.2)  # the server starts
        except (ssl.SSLError, ConnectionResetError):
            return "refused"
