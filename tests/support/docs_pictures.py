"""Creates the pictures of docs/results.md: ``python -m tests.support.docs_pictures docs/pictures/results``.

The images are synthetic, and the findings are their known nodules and lesion: no model was used.
"""

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pypdfium2
from highdicom.pm.sop import pmread
from PIL import Image
from pydicom import dcmread

from core.records import Prediction
from core.states import Outcome
from imaging.volume.volume import Volume
from models.card import read_card
from tests.support import analyses, analyses_with_images
from workers.encode.analysis import Analysis
from workers.encode.objects import heatmap, parametric_map, pdf
from workers.encode.pictures import colours, heat_values, reformats
from workers.encode.source_images.source import source_from_dataset

MODELS = Path(__file__).parents[2] / "models"


def with_model_card(analysis: Analysis, package: str, name: str) -> Analysis:
    """Return the analysis with the texts of a model card and a synthetic patient."""
    card = read_card(MODELS / package / "card.toml")
    identifiers = {"PatientID": "SYN-0005", "IssuerOfPatientID": "", "AccessionNumber": "SYN05"}
    header = analyses.header(analysis.source.modality, PatientName=name, **identifiers)
    header.PatientBirthDate, header.PatientSex, header.StudyDescription = "19600101", "O", "Synthetic images"
    return replace(
        analysis,
        identity=replace(analysis.identity, name=card.name, version=card.version, title=card.title, not_for=card.not_for),
        prediction=replace(analysis.prediction, looked_for=card.looked_for, notes=()),
        source=source_from_dataset(header, analysis.source.images),
        limits=card.limits,
        advice={label.name: label.advice for label in card.labels},
    )


def save_pdf_page(analysis: Analysis, path: Path) -> None:
    """Save the first page of the PDF."""
    document = dcmread(io.BytesIO(pdf.encode(analysis).content))
    found = pypdfium2.PdfDocument(document.EncapsulatedDocument)
    found[0].render(scale=1.5).to_pil().convert("RGB").save(path, quality=88)


def save_heat_map(analysis: Analysis, path: Path) -> None:
    """Save the first image of the heat map."""
    document = dcmread(io.BytesIO(heatmap.encode(analysis)[0].content))
    Image.fromarray(document.pixel_array).save(path, quality=88)


def save_parametric_map(analysis: Analysis, path: Path) -> None:
    """A plane of the parametric map as its save_parametric_map are, and as a viewer lays it over the slice."""
    made, volume, heat = parametric_map.encode(analysis), analysis.item, analysis.heat
    assert made is not None
    assert isinstance(volume, Volume)
    assert heat is not None
    read = pmread(io.BytesIO(made.content)).get_volume(apply_real_world_transform=True, allow_missing_positions=True)
    k = int(read.array.max(axis=(1, 2)).argmax())
    z = round(volume.index(tuple(read.affine[:3] @ (k, 0, 0, 1)))[0])  # type: ignore[arg-type]
    stored = Image.fromarray((read.array[k] * 255).astype(np.uint8))
    times = 420 // max(stored.size)
    grey = np.zeros((420, 420), np.uint8)
    grey[: stored.height * times, : stored.width * times] = np.repeat(np.repeat(np.asarray(stored), times, axis=0), times, axis=1)
    cut = reformats.acquired_slice(volume, z, 420)
    warm = cut.resample(heat_values.heat_on_slice(heat, z, cut.voxels))
    laid = colours.overlay_heat(np.repeat(cut.grey[..., None], 3, axis=2), warm)
    both = np.concatenate([np.repeat(grey[..., None], 3, axis=2), np.full((420, 12, 3), 255, np.uint8), laid], axis=1)
    Image.fromarray(both).save(path, quality=88)


def main(folder: Path) -> None:
    """Write every picture to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    chest = with_model_card(analyses_with_images.chest(seed=11, slices=110, size=384, slice_mm=3.0), "lung_nodule_ct", "Synthetic^Chest")
    lesion = with_model_card(analyses_with_images.lesion(seed=8), "dermoscopy", "Synthetic^Lesion")
    save_heat_map(chest, folder / "heatmap-ct.jpg")
    save_heat_map(lesion, folder / "heatmap-photograph.jpg")
    save_pdf_page(chest, folder / "page-ct.jpg")
    save_pdf_page(lesion, folder / "page-photograph.jpg")
    reason = "the slices have a gap of 6.0 mm between two neighbours, 3.0 mm are expected"
    save_pdf_page(
        replace(chest, prediction=Prediction(Outcome.NOT_ANALYSED, reason=reason), item=None, heat=None), folder / "page-not-analysed.jpg"
    )
    save_parametric_map(chest, folder / "parametric-map.jpg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
