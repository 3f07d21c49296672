"""Compiles in an image what its roles import: ``python -m deploy.images.compile_roles node`` or ``worker``.

Containers run with a read-only root, and a role that compiles its libraries at every start takes seconds longer. Compiling all that is
installed would make the image larger by what no role imports. The import writes the compiled files; the codecs and the search for lungs,
whose libraries were partly deleted, are tried too.
"""

import importlib
import sys

from core.states import ResultKind
from deploy.cli.main import build_app
from deploy.demo.synthetic.chest import make_chest
from deploy.doctor.codecs import broken_decoders
from deploy.local.forked_process import ROLE_MODULES
from models.ct.lung_field import lung_field
from models.registry import SHIPPED

# Beyond the modules of the roles: what a role or a command imports at its first use.
MORE = (
    "alembic.command",
    "console.auth.oidc.provider",
    "console.viewer.render_object",
    "console.viewer.render_unit",
    "db.schema.upgrade",
    "deploy.doctor.run",
    "deploy.local.database.backup",
    "dicom_node.conformance.statement",
    "models.ct.lung_search",
)
# Not of the node: the dictionary of codes has 3 MB, and a console compiles it with its first photograph, once, in about a second.
WORKER = ("pydicom.sr.codedict", "workers.queue.worker", "workers.child.runtime", "models.runtime")
MODELS = tuple(f"models.{folder}.model" for folder in SHIPPED)


def compile_roles(image: str) -> None:
    """Import the modules of an image.

    Raises
    ------
    RuntimeError
        A decoder or the search for lungs does not work: something that it needs has been deleted.
    """
    build_app()
    of_node = [name for role, names in ROLE_MODULES.items() if role != "worker" for name in names]
    modules = {"node": of_node, "worker": [*WORKER, *MODELS]}[image]
    for name in (*MORE, *modules):
        importlib.import_module(name)
    if image == "worker":
        importlib.import_module("workers.encode.warm_up").warm_up_encoders(list(ResultKind))
    broken, _ = broken_decoders()
    if broken:
        raise RuntimeError(f"decoders that do not work: {broken}")
    chest = make_chest(1, slices=24, size=64, slice_mm=10.0)
    if lung_field(chest.hu, chest.spacing_mm) is None:
        raise RuntimeError("the search for lungs finds none in a synthetic chest")


if __name__ == "__main__":
    compile_roles(sys.argv[1])
