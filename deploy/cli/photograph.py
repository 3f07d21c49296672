"""The command ``photograph``: image files of a camera to DICOM photographs, without any service."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import NAMESPACE_OID

import typer

from core.clock import system_clock
from core.errors import NodeError
from deploy.terminal import print_message

Sex = Literal["F", "M", "O"]


def photograph(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="JPEG, PNG or TIFF files")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="folder for the DICOM files; it is made if it does not exist")],
    patient_id: Annotated[str, typer.Option("--patient-id", help="Patient ID (0010,0020)")] = "",
    patient_name: Annotated[str, typer.Option("--patient-name", help="Patient's Name, as FAMILY^GIVEN")] = "",
    birth_date: Annotated[
        datetime | None,
        typer.Option("--birth-date", metavar="YYYY-MM-DD", formats=["%Y-%m-%d"], help="Patient's Birth Date", show_default=False),
    ] = None,
    sex: Annotated[Sex | None, typer.Option("--sex", help="Patient's Sex (0010,0040)", show_default=False)] = None,
    accession_number: Annotated[str, typer.Option("--accession-number", help="Accession Number (0008,0050)")] = "",
    taken_on: Annotated[
        datetime | None,
        typer.Option(
            "--taken-on", metavar="YYYY-MM-DD", formats=["%Y-%m-%d"], help="date of the study (default: today)", show_default=False
        ),
    ] = None,
    kind: Annotated[Literal["dermoscopy", "vl"], typer.Option("--kind", help="dermoscopy, or vl for a clinical photograph")] = "dermoscopy",
    region: Annotated[str, typer.Option("--region", metavar="REGION", help="region of the skin, for example cheek-L or lower-back")] = "",
) -> None:
    """Make DICOM photographs of JPEG, PNG or TIFF files.

    A baseline JPEG is kept bit for bit, without EXIF; every other image is stored without loss. All files of one call are one study. UIDs
    are derived from the files and the options, so that the same call makes the same objects.
    """
    from imaging.headers.identity import Identity
    from imaging.photograph.camera_file import PhotographPlace, photograph_from_file
    from imaging.photograph.photograph_uids import photograph_uid, upload_uid
    from imaging.photograph.skin_regions import skin_regions

    regions = skin_regions()
    if region and region not in regions:
        raise typer.BadParameter(f"{region!r} is none of {', '.join(regions)}", param_hint="--region")
    hashes = [_sha256(path) for path in images]
    day = (taken_on or system_clock()).strftime("%Y%m%d")
    born = birth_date.strftime("%Y%m%d") if birth_date else ""
    study = upload_uid(NAMESPACE_OID, "study", patient_id, patient_name, accession_number, day, *sorted(hashes))
    identity = Identity(
        patient_id, study, patient_name=patient_name, patient_birth_date=born, patient_sex=sex or "", accession_number=accession_number,
        study_date=day, study_time="000000",
    )  # fmt: skip
    series = upload_uid(NAMESPACE_OID, "series", study, kind)
    out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for number, (path, sha256) in enumerate(zip(images, hashes, strict=True), start=1):
        place = regions.get(region)
        uid = photograph_uid(NAMESPACE_OID, sha256, identity, kind, place)
        try:
            made = photograph_from_file(path, PhotographPlace(identity, series, uid, kind, number, place))
        except NodeError as error:
            print_message(f"{path}: {error}")
            failed += 1
            continue
        target = out / f"{path.stem}-{sha256[:8]}.dcm"
        made.save_as(target, enforce_file_format=True)
        print(target)
    if failed:
        raise NodeError(f"{failed} of {len(images)} files could not be converted", hint="the reason of each is above")


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise NodeError(f"{path} cannot be read: {error.strerror}", hint="give an existing file") from error
