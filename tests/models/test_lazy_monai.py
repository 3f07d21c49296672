"""MONAI is loaded in parts: what the networks use, and no more; names of its packages are found all the same."""

import json
import subprocess
import sys
from pathlib import Path

from models.lazy_monai import exported_names

ROOT = Path(__file__).parents[2]
UNUSED = {"matplotlib", "scipy.signal", "scipy.stats", "monai.apps.datasets", "monai.data.dataset", "sklearn", "pydicom.sr"}
PROGRAM = """
import importlib, json, sys
import models.dermoscopy.model, models.lung_histology_ct.network, models.lung_nodule_ct.model
loaded = sorted(sys.modules)
import monai
from monai.networks.nets import UNet
for name in ("networks", "networks.layers", "inferers", "losses", "utils", "config"):
    package = importlib.import_module(f"monai.{name}")
    for exported in package.__all__:
        getattr(package, exported)
print(json.dumps([loaded, UNet.__module__, monai.networks.nets.resnet.ResNet.__name__, hasattr(monai.networks, "nothing")]))
"""


def test_the_models_load_only_what_they_use_of_monai() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, place_of_unet, resnet, found_nothing = json.loads(done.stdout)
    assert UNUSED & set(loaded) == set()
    assert "monai.networks.nets.resnet" in loaded
    assert (place_of_unet, resnet, found_nothing) == ("monai.networks.nets.unet", "ResNet", False)


def test_a_package_that_does_more_than_to_export_names_is_not_lazy() -> None:
    assert exported_names('"""Text."""\nfrom __future__ import annotations\nfrom .a import b as c\n__all__ = ["c"]\n') == {"c": ("a", "b")}
    assert exported_names("from .a import b\nb.register()\n") is None
    assert exported_names("from .a import *\n") is None
    assert exported_names("import os\n") is None
    assert exported_names("import os\nfrom . import a\n", skip_blocks=True) == {"a": ("", "a")}
