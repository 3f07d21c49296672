"""``patients access``: everything that the node stores of one person, as a page and as JSON, with the files on request."""

import json
from pathlib import Path
from typing import Annotated

import typer

from core.errors import ConfigurationError
from deploy.cli.common import Config, open_database, operator_name
from deploy.cli.patients.options import Issuer, PatientId
from deploy.terminal import print_json, print_message

PAGE_FILE, DATA_FILE = "access-report.html", "access-report.json"
TO_STANDARD_OUTPUT = Path("-")


def access_patient(
    patient_id: PatientId,
    issuer: Issuer = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="write the report into this folder, as HTML and JSON", show_default=False)
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="write the report as JSON; - for standard output", show_default=False)
    ] = None,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="write the DICOM files too, received ones and results; needs --out")
    ] = False,
    config: Config = None,
) -> None:
    """Report everything that is stored of one person.

    For the person, or whoever answers for the data (GDPR Art. 15): what was received, when and from whom; analyses with model version,
    findings and verdicts; where results were sent; who has seen or exported the data; what was deleted. Reading it is an audit event.
    """
    from db.blobs.open_blobs import open_reader
    from db.patients.patient_key import find_patient
    from db.patients.patient_record import read_record
    from deploy.cli.patients.access_document import access_document, summarise
    from deploy.local.private_files import make_private_folder, write_private_file
    from dicom_node.erasure.quarantined import quarantined_of

    if with_images and out is None:
        raise ConfigurationError("--with-images writes many files", hint="name a folder with --out")
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError(f"--out {out} exists and is not an empty folder", hint="name a new folder for each report")
    with open_database(config) as (settings, database):
        blobs = open_reader(settings)
        patient = find_patient(database, patient_id, issuer)
        quarantined = quarantined_of(database, blobs, patient)
        record = read_record(database, patient, quarantined.ids, actor=operator_name(), with_images=with_images)
        document = access_document(record, ae_title=settings.node.ae_title, refused=quarantined)
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if json_file == TO_STANDARD_OUTPUT:
        print_json(document)
    elif json_file is not None:
        write_private_file(json_file, text)
    if out is not None:
        from deploy.cli.patients.image_files import copy_files
        from deploy.cli.patients.report_page import report_page

        make_private_folder(out)
        missing = copy_files(blobs, document, out) if with_images else []
        write_private_file(out / PAGE_FILE, report_page(document, missing))
        write_private_file(out / DATA_FILE, text)
        for path in missing:
            print_message(f"missing: {path}: its blob is not there; see `dicom-node doctor`")
        print_message(f"written: {out / PAGE_FILE}, {out / DATA_FILE}")
    for sentence in summarise(document):
        print_message(sentence)
