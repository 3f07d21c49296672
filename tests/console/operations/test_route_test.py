"""The route test of one file looks into the image where the header names no part of the body."""

from console.operations.route_test import try_routes
from core.settings.routes import Route
from deploy.demo.synthetic.chest import chest_datasets, make_chest
from tests.support.series import encoded

CHEST = Route.model_validate({"name": "chest", "model": "m", "destinations": ["d"], "when": {"Modality": "CT", "body_part": "chest"}})


def test_the_image_of_a_file_decides_and_the_answer_says_so() -> None:
    slices = list(chest_datasets(make_chest(7, slices=24, size=96, slice_mm=5.0, pixel_mm=2.2, diameters_mm=(12.0,))))
    middle = slices[12]
    middle.BodyPartExamined = middle.StudyDescription = middle.SeriesDescription = ""
    answer = try_routes([CHEST], "slice.dcm", encoded(middle), "PACS")
    (route,) = answer.routes
    assert (answer.never, route.selects) == ("", True)
    text = "body part is the chest: the header names no part of the body; by the image: lungs in 1 image looked at"
    assert (True, text, False) in route.conditions
