"""Makes the base images and builds both images of the project; says how large they are."""

import configparser
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.demo.viewer.ohif_files import fetch_ohif
from tests.containers.engine import Engine

ROOT = Path(__file__).parents[2]
STANDINS = Path(__file__).parent / "standins"
IMAGES = {"dicom-node": ("node", 350), "dicom-node-worker": ("worker", 1500)}  # name -> (Dockerfile, largest size in MB)
PIP_FILES = (Path("/etc/pip.conf"), Path("/etc/xdg/pip/pip.conf"), Path("/root/.config/pip/pip.conf"))
BUILD_TIMEOUT_S = 1800.0
BUILD = ("buildah", "bud", "--layers", "--isolation", "chroot", "--ulimit", "nofile=1024:1024", "--format", "docker")


def make_base_images(engine: Engine) -> None:
    """Make stand-ins for those base images that this machine does not have."""
    engine.run(str(STANDINS / "build.sh"), str(fetch_ohif()))


def build_images(engine: Engine, version: str) -> None:
    """Build both images from the working tree, both at once: a build waits for downloads and for the disk."""
    described = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True)

    def build(name: str) -> None:
        dockerfile = f"{ROOT}/deploy/images/{IMAGES[name][0]}.Dockerfile"
        options = ("--build-arg", f"REVISION={described.stdout.strip()}", "--file", dockerfile)
        engine.run(*BUILD, *_volumes(), *options, "--tag", f"{name}:{version}", str(ROOT), timeout_s=BUILD_TIMEOUT_S)

    with ThreadPoolExecutor(len(IMAGES)) as pool:
        list(pool.map(build, IMAGES))


def image_size_mb(engine: Engine, name: str) -> int:
    """Return the size of an image with its base, uncompressed, in MB."""
    return round(int(engine.inspect(name)["Size"]) / 1e6)


def _volumes() -> list[str]:
    """Return options that give a build the package sources of this machine: configuration and folders of pip, certificates."""
    paths = [Path("/etc/ssl/certs"), *PIP_FILES]
    for file in PIP_FILES:
        parser = configparser.ConfigParser()
        parser.read(file)
        values = " ".join(value for section in parser.values() for value in section.values()).split()
        folders = [Path(value.removeprefix("file://")) for value in values if value.removeprefix("file://").startswith("/")]
        paths += [folder.parent if folder.name == "simple" else folder for folder in folders]  # an index links to files beside it
    present = dict.fromkeys(path for path in paths if path.exists())
    return [option for path in present for option in ("--volume", f"{path}:{path}:ro")]
