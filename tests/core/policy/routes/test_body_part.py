"""The condition ``body_part = "chest"``: which of header and image decides, in several languages."""

import pytest

from core.policy.routes.body_part.condition import LUNGS_IN_IMAGE, NOT_SEEN, SEEN, image_decides
from core.policy.routes.condition_parser import parse_condition
from core.policy.routes.route_sentences import condition_in_words
from core.policy.routes.routing import Attributes

CHEST = parse_condition({"body_part": "chest"})
CHEST_CT = parse_condition({"Modality": "CT", "body_part": "chest"})


def line(attributes: Attributes) -> str:
    (text,) = CHEST.evaluate(attributes).lines
    return text


@pytest.mark.parametrize(
    "value",
    [
        *("CHEST", "THORAX", "LUNG", "Thorax", "TH CT CHEST WO C", "CHESTABDPELVIS", "NECKCHESTABDPELV", "CHEST_TO_PELVIS", "CT_CHABD"),
        *("THORAXABD", "CAP INFUSION", "THORAX CT _AH05", "MEDIASTINUM", "PLEURA", "BRONCHUS"),
    ],
)
def test_body_part_examined_as_scanners_write_it(value: str) -> None:
    assert CHEST.evaluate({"BodyPartExamined": value, "SeriesDescription": "ABDOMEN"}).holds
    assert line({"BodyPartExamined": value}) == f"[yes] body part is the chest: BodyPartExamined '{value}' names the chest"


@pytest.mark.parametrize(
    "text",
    [
        *("CT chest w/o contrast", "LUNG 3.0  B70f", "CHEST_ROUTINE_SMALL", "CT pulmonary angiogram", "THORAX W  3.0  B41 Soft Tissue"),
        *("CT Thorax nativ", "Thoraxübersicht CT", "Lungenembolie", "CT Lunge low dose"),
        *("TDM thoracique sans injection", "Scanner du poumon", "TDM THORACO-ABDOMINO-PELVIEN", "angioscanner pulmonaire"),
        *("TC de tórax", "TAC torácico con contraste", "Nódulo pulmonar"),
        *("TC torace senza mdc", "TC polmoni HRCT"),
        *("TC do tórax", "Tomografia do pulmão", "TC tórax e abdome"),
        *("CT longen", "CT-thorax blanco", "CT longembolieën"),
        *("胸部CT", "胸部単純", "肺野条件", "胸腹部造影"),
    ],
)
@pytest.mark.parametrize("keyword", ["StudyDescription", "SeriesDescription", "ProtocolName"])
def test_descriptions_in_several_languages(text: str, keyword: str) -> None:
    assert line({keyword: text}) == f"[yes] body part is the chest: {keyword} '{text}' names the chest"
    assert not image_decides(CHEST, {keyword: text})


@pytest.mark.parametrize(
    "text",
    [
        *("HEAD", "ABDOMEN", "PANCREAS", "TSPINE", "CT THORACIC SPINE", "thoracolumbar spine", "Brustwirbelsäule", "BWS sagittal"),
        *("Rachis thoracique", "Columna torácica", "colonna toraco-lombare", "Coluna torácica", "thoracale wervelkolom", "胸椎"),
        *(
            "Schädel nativ",
            "Becken",
            "TDM cérébral",
            "TC abdomen y pelvis",
            "TC addome",
            "CT hersenen",
            "頭部単純",
            "腹部骨盤",
            "CT coronary",
        ),
    ],
)
def test_other_parts_do_not_match(text: str) -> None:
    for keyword in ("BodyPartExamined", "SeriesDescription"):
        assert line({keyword: text}) == f"[no]  body part is not the chest: {keyword} '{text}' names another part"
        assert not image_decides(CHEST, {keyword: text})


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"SeriesDescription": "5/5mm Plain", "StudyDescription": "Behandlung", "ProtocolName": "long axis, head first"},
        {"BodyPartExamined": "WHOLEBODY"},
        {"BodyPartExamined": "ABDOMEN", "StudyDescription": "CT CHEST ABDOMEN"},
        {"StudyDescription": "CT Thorax/Abdomen", "SeriesDescription": "Abdomen 5.0"},
    ],
)
def test_the_image_decides_where_the_header_is_silent_or_contradicts_itself(header: dict[str, str]) -> None:
    assert image_decides(CHEST, header)
    assert "the image was not looked at" in line(header)
    assert not CHEST.evaluate(header).holds
    assert line({**header, LUNGS_IN_IMAGE: (SEEN, "4.2 l of lung")}).endswith("; by the image: 4.2 l of lung")
    assert CHEST.evaluate({**header, LUNGS_IN_IMAGE: (SEEN, "4.2 l of lung")}).holds
    assert not CHEST.evaluate({**header, LUNGS_IN_IMAGE: (NOT_SEEN, "no lungs")}).holds


def test_no_image_is_looked_at_where_another_condition_decides() -> None:
    assert image_decides(CHEST_CT, {"Modality": "CT"})
    assert not image_decides(CHEST_CT, {"Modality": "MR"})
    assert not image_decides(CHEST_CT, {"Modality": "CT", LUNGS_IN_IMAGE: (NOT_SEEN, "")})
    assert image_decides(parse_condition({"not": {"body_part": "chest"}}), {})


def test_wording_and_errors() -> None:
    assert condition_in_words(CHEST_CT) == "Modality is CT and it shows the chest"
    for wrong in ("head", ["chest"], 1):
        with pytest.raises(ValueError, match="takes one of: chest"):
            parse_condition({"body_part": wrong})
