"""What the commands about one person share: whom they are about."""

from typing import Annotated

import typer

PatientId = Annotated[str, typer.Argument(metavar="PATIENT_ID", help="Patient ID (0010,0020) as it stands in the images")]
Issuer = Annotated[
    str | None,
    typer.Option(
        "--issuer",
        metavar="ISSUER",
        help='Issuer of Patient ID (0010,0021), "" for none; the same ID of another issuer is another person',
        show_default=False,
    ),
]
