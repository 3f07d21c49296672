"""``patients erase``: deletes everything that the node stores of one person, and says what it cannot delete."""

from dataclasses import asdict, replace
from typing import Annotated

import typer

from core.errors import ConfigurationError, NodeError
from deploy.cli.common import MOST_ID, AsJson, Config, open_database, operator_name
from deploy.cli.jobs.planned_commands import CommandOptions, DryRun, ReasonOption, Yes
from deploy.cli.patients.options import Issuer, PatientId
from deploy.terminal import print_json, print_message


def erase_patient(
    patient_id: PatientId,
    issuer: Issuer = None,
    reason: ReasonOption = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="also erase what waits: queued analyses, pending deliveries, incomplete series")
    ] = False,
    whole_studies: Annotated[
        bool, typer.Option("--whole-studies", help="also erase images in studies of this person whose header names another person")
    ] = False,
    quarantined: Annotated[
        list[int] | None,
        typer.Option(
            "--quarantined", metavar="ID", max=MOST_ID, help="erase this refused data set too; may be repeated", show_default=False
        ),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Erase everything that is stored of one person.

    Images, results, findings, verdicts, refused data sets, uploads, and the rows about them (GDPR Art. 17). The audit trail stays, without
    an identity.
    What destinations hold is listed: it is not recalled. An erasure that was interrupted is continued by the same command.
    """
    from db.blobs.open_blobs import open_blobs
    from db.patients.erasure_plan import plan_erasure
    from db.patients.erasure_record import has_open_erasure
    from db.patients.erasure_rules import check_can_be_erased, check_reason
    from db.patients.patient_key import find_patient
    from deploy.cli.patients.erasure_report import print_plan, remarks
    from dicom_node.erasure.quarantined import quarantined_of
    from dicom_node.erasure.run import run_erasure

    options = CommandOptions(reason, dry_run, yes, as_json)
    options.check()
    with open_database(config) as (settings, database):
        blobs = open_blobs(settings)
        if not blobs.removes:
            raise ConfigurationError("files cannot be removed from this node: its store is on another one", hint="run the command there")
        patient = find_patient(database, patient_id, issuer)
        refused = quarantined_of(database, blobs, patient)
        items = sorted({*refused.ids, *(quarantined or ())})
        plan, interrupted = plan_erasure(database, patient, items), has_open_erasure(database, patient)
        check_reason(reason, patient.patient_id, plan)
        refused = replace(refused, unreadable=tuple(id for id in refused.unreadable if id not in items))
        if not as_json:
            print_plan(plan, interrupted=interrupted, dry_run=dry_run)
        erased, sent = None, plan.sent
        if not dry_run:
            check_can_be_erased(plan, interrupted, cancel=cancel, whole_studies=whole_studies)
            if not yes and not typer.confirm("Erase it? It cannot be undone.", err=True):
                raise NodeError("nothing was changed")
            finished = run_erasure(
                settings, database, blobs, patient, plan, items, actor=operator_name(), reason=reason.strip(), cancel=cancel,
                whole_studies=whole_studies,
            )  # fmt: skip
            erased, sent = finished.counts, finished.sent
        reference = patient.reference(database)
    if as_json:
        print_json(
            {
                "patient": reference,
                "interrupted_before": interrupted,
                "planned": plan.counts,
                "busy": plan.busy,
                "waiting": plan.waiting,
                "images_of_other_persons": plan.mixed,
                "images_in_other_studies": plan.elsewhere,
                "refused_data_sets_of_unknown_persons": refused.unreadable,
                "refused_data_sets_of_other_issuers": refused.of_namesakes,
                "sent": [asdict(one) for one in sent],
                "erased": erased,
            }
        )
        return
    for sentence in remarks(plan, sent, refused, reference, erased):
        print_message(sentence)
