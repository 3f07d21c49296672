"""The result page, read back with another program: content, margins, and properties without names of persons."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace

import pypdfium2
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.records import Prediction
from core.states import Outcome
from tests.support import analyses, analyses_with_images, comparisons
from tests.support.fresh_process import hashes_in_new_process
from workers.encode.analysis import Analysis
from workers.encode.objects import pdf
from workers.encode.page import text_coverage
from workers.encode.page.typography import MARGIN


def document(analysis: Analysis) -> Dataset:
    return dcmread(io.BytesIO(pdf.encode(analysis).content))


def opened(analysis: Analysis) -> pypdfium2.PdfDocument:
    found = document(analysis)
    content = found.EncapsulatedDocument[: found.EncapsulatedDocumentLength]
    assert content.rstrip().endswith(b"%%EOF")
    return pypdfium2.PdfDocument(content)


def text(analysis: Analysis) -> str:
    """The text of all pages in one line, since line breaks depend on the layout."""
    return " ".join(" ".join(page.get_textpage().get_text_range() for page in opened(analysis)).replace("\ufffe", "-").split())


def named(**elements: object) -> Analysis:
    return analyses.ct(Prediction(Outcome.NO_FINDING, looked_for="x"), dataset=analyses.header("CT", **elements))


SHAPES = {**analyses.shapes(), "chest": analyses_with_images.chest(), "lesion": analyses_with_images.lesion()}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_page_names_model_patient_and_intended_use(shape: str) -> None:
    analysis = SHAPES[shape]
    words = text(analysis)
    for expected in ("Müller, Änne", "P-77 (HOSPITAL)", "ACC-1", "2026-11-19", "1950-01-02, F", "2026-11-20 10:30 +0100"):
        assert expected in words
    identity = analysis.identity
    for expected in (identity.title, f"{identity.name} {identity.version}", identity.digest[:12], identity.not_for, identity.manufacturer):
        assert expected in words
    assert "RESEARCH not for clinical use" in words
    assert "RESEARCH - not for clinical use. Not for diagnosis without a clinician." in words
    assert all(limit in words for limit in analysis.limits)
    assert all(note in words for note in analysis.prediction.notes)
    assert f"page 1 of {len(opened(analysis))}" in words


def test_a_finding_has_its_place_in_the_organ_and_its_category() -> None:
    words = text(analyses.ct(Prediction(Outcome.FINDINGS, (analyses.nodule(),))))
    assert "Upper zone of lung, right" in words
    assert "Lung-RADS 2022 category by size and density alone: 2 or 3" in words


def test_the_comparison_stands_below_each_finding_and_beside_the_earlier_result() -> None:
    words = text(comparisons.grown())
    for expected in (
        "Comparison with earlier examinations",
        "Earlier result of 2026-01-05 (318 days before, version 1.0.0, job 17): 2 findings",
        "volume then 200 mm³, difference +312 mm³ (+156 %)",
        "volume doubling time 234 days",
        "No comparable finding was found in the result of 2026-01-05",
        "the reader has to check each match in both examinations",
    ):
        assert expected in words, expected
    assert "Comparison with earlier examinations" not in text(analyses.shapes()["ct-findings"])
    assert "nothing was compared" in text(comparisons.nothing_before())


def test_an_empty_note_is_not_a_line_of_the_page() -> None:
    whole = analyses.shapes()["ct-no-finding"]
    assert "Notes on this analysis" in text(replace(whole, prediction=replace(whole.prediction, notes=("First.", ""))))
    assert "Notes on this analysis" not in text(replace(whole, prediction=replace(whole.prediction, notes=("",))))


def test_what_was_not_covered_stands_beside_the_outcome() -> None:
    whole = analyses.shapes()["ct-no-finding"]
    sentence = "The upper end of the lungs was not covered by the series."
    words = text(replace(whole, prediction=replace(whole.prediction, not_covered=(sentence,))))
    assert words.index("No finding") < words.index(sentence) < words.index("What was looked for")


@pytest.mark.parametrize("shape", SHAPES)
def test_one_page(shape: str) -> None:
    assert len(opened(SHAPES[shape])) == 1


def test_findings_with_confidence_tier_size_and_place() -> None:
    words = text(analyses_with_images.chest())
    assert "3 findings" in words
    for expected in ("score 0.93, not calibrated", "score 0.71, not calibrated", "to be reviewed", "uncertain", "Diameter 22.0 mm"):
        assert expected in words
    finding = analyses_with_images.chest().prediction.findings[0]
    assert "x {:.0f}, y {:.0f}, z {:.0f}".format(*finding.position_mm) in words  # type: ignore[misc]
    number = analyses_with_images.chest().source.image(finding.sop_instance_uid).number
    assert f"Lung; image {number};" in words
    assert "probability" not in words.lower().replace("no probability", "")


def test_classifier_page_has_calibrated_probability_classes_and_advice() -> None:
    words = text(analyses_with_images.lesion())
    assert "probability 81 %, calibrated" in words
    assert "Probability of malignancy (mel + bcc + akiec) 0.91" in words
    assert "nv · Melanocytic nevus" in words
    assert "Urgent specialist assessment is advised." in words


def test_no_finding_excludes_nothing() -> None:
    words = text(SHAPES["ct-no-finding"])
    assert "No finding" in words
    assert "This excludes nothing." in words
    assert analyses.LOOKED_FOR in words


@pytest.mark.parametrize(
    ("shape", "headline", "meaning"),
    [
        ("ct-not-analysed", "Not analysed", "This is no negative result."),
        ("skin-abstained", "the model abstained", "neither a positive nor a negative result"),
    ],
)
def test_missing_answer_states_its_reason(shape: str, headline: str, meaning: str) -> None:
    words = text(SHAPES[shape])
    assert headline in words
    assert meaning in words
    assert f"Reason: {SHAPES[shape].prediction.reason}" in words
    assert "81 %" not in words  # the classes of an answer that was not given
    looked = replace(SHAPES[shape], prediction=replace(SHAPES[shape].prediction, looked_for=analyses.LOOKED_FOR))
    assert "looked for" not in text(looked)  # it was not


def test_pictures_are_on_the_page() -> None:
    def pictures(analysis: Analysis) -> int:
        return sum(1 for item in opened(analysis)[0].get_objects() if item.type == pypdfium2.raw.FPDF_PAGEOBJ_IMAGE)

    assert pictures(analyses_with_images.chest()) == 3 * 3 + 1  # and the legend
    assert pictures(analyses_with_images.lesion()) == 2 + 1
    assert pictures(SHAPES["ct-no-finding"]) == 0


def test_long_texts_are_complete_and_within_the_margins() -> None:
    finding = analyses_with_images.chest().prediction.findings[0]
    notes = tuple(f"Note {n}: " + "a long sentence about what it cannot do " * 5 + f"end {n}." for n in range(40))
    analysis = analyses_with_images.chest()
    many = replace(
        analysis,
        identity=replace(analysis.identity, title="A title of very many words " * 6, not_for="W" * 300),
        prediction=replace(analysis.prediction, findings=(finding,) * 25, reason="r" * 200, notes=notes),
    )
    pages = opened(many)
    assert len(pages) > 1
    words = text(many)
    assert all(f"Note {n}:" in words and f"end {n}." in words for n in range(40))
    assert words.count("score 0.93, not calibrated") == 25
    assert "22 more without a picture here" in words
    assert f"page {len(pages)} of {len(pages)}" in words
    for page in pages:
        width, height = page.get_size()
        content = page.get_textpage()
        for index in range(content.count_chars()):
            left, bottom, right, top = content.get_charbox(index)
            assert MARGIN - 2 <= left <= right <= width - MARGIN + 2
            assert 10 <= bottom <= top <= height - MARGIN + 4


def test_markup_in_texts_is_text() -> None:
    analysis = replace(named(PatientName="<b>Bold & Co^<para>"), limits=("a < b & c > d <br/> e",))
    words = text(analysis)
    assert "<b>Bold & Co, <para>" in words
    assert "a < b & c > d <br/> e" in words


@pytest.mark.parametrize(
    ("name", "character_set", "shown"),
    [
        ("Müller^Änne", "ISO_IR 100", "Müller, Änne"),
        ("Иванов^Иван^Иванович^Dr", "ISO_IR 192", "Иванов, Dr Иван Иванович"),
        ("Ιωάννου^Άννα", "ISO_IR 192", "Ιωάννου, Άννα"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ISO_IR 192", "Yamada, Tarou (山田 太郎)"),
        ("=山田^太郎=やまだ^たろう", "ISO_IR 192", "山田 太郎"),
        ("王^小明", "GB18030", "王 小明"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "ISO_IR 192", "Hong, Gildong (洪 吉洞)"),
        ("홍^길동", "ISO_IR 192", "(not shown: in characters that this page cannot draw)"),
        ("Yoshida^Taro=𠮷田^太郎", "ISO_IR 192", "Yoshida, Taro"),  # beyond what the typeface has
        ("كريم^محمد", "ISO_IR 192", "(not shown: in characters that this page cannot draw)"),
        ("שרון^דבורה", "ISO_IR 192", "(not shown: in characters that this page cannot draw)"),
        ("", "ISO_IR 192", "Patient -"),
    ],
)
def test_names_are_drawn_correctly_or_marked_as_not_shown(name: str, character_set: str, shown: str) -> None:
    analysis = named(PatientName=name, SpecificCharacterSet=character_set)
    words = text(analysis)
    assert shown in words
    assert str(document(analysis).PatientName) == name  # whatever the page can draw, the object keeps it


@pytest.fixture
def without_east_asian(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without the East Asian typeface."""
    monkeypatch.setattr(text_coverage, "east_asian_font_path", lambda: None)
    text_coverage.typeface_of.cache_clear()
    yield
    text_coverage.typeface_of.cache_clear()


@pytest.mark.usefixtures("without_east_asian")
def test_without_the_east_asian_typeface_only_letters_are_drawn() -> None:
    assert "Patient Yamada, Tarou Study" in text(named(PatientName="Yamada^Tarou=山田^太郎", SpecificCharacterSet="ISO_IR 192"))
    assert text_coverage.NOT_SHOWN in text(named(PatientName="山田^太郎", SpecificCharacterSet="ISO_IR 192"))


def test_identifiers_are_shown_completely_or_not_at_all() -> None:
    words = text(named(PatientID="12م34", SpecificCharacterSet="ISO_IR 192"))
    assert "12" not in words.split("Born")[0].split("Patient ID")[1]


def test_properties_of_the_file_name_no_patient_and_no_time() -> None:
    analysis = analyses_with_images.chest()
    found = opened(analysis)
    properties = found.get_metadata_dict()
    assert properties["Title"] == "AI result: lung_nodule_ct 1.0.0 · a1a1a1a1a1a1 (RESEARCH)"
    said = " ".join(properties.values())
    assert not any(secret in said for secret in ("Müller", "Änne", "P-77", "ACC-1", "2026"))


def test_attributes_of_the_object() -> None:
    found = document(analyses_with_images.chest())
    assert found.SOPClassUID.name == "Encapsulated PDF Storage"
    assert (found.Modality, found.MIMETypeOfEncapsulatedDocument) == ("DOC", "application/pdf")
    assert found.DocumentTitle == "RESEARCH: Lung nodules on chest CT"
    assert found.SeriesDescription == "AI lung nodules: report as PDF (research)"
    assert (found.BurnedInAnnotation, found.VerificationFlag) == ("YES", "UNVERIFIED")
    assert (found.ContentDate, found.ContentTime) == ("20261120", "103015.250000")
    wanted = [finding.sop_instance_uid for finding in analyses_with_images.chest().prediction.findings]
    assert [item.ReferencedSOPInstanceUID for item in found.SourceInstanceSequence] == wanted
    assert len(document(SHAPES["ct-no-finding"]).SourceInstanceSequence) == 12


def test_released_models_are_not_called_research() -> None:
    analysis = analyses_with_images.lesion()
    released = replace(analysis, identity=replace(analysis.identity, status="clinical"))
    assert "RESEARCH" not in text(released)
    assert "Not for diagnosis without a clinician." in text(released)
    assert document(released).DocumentTitle == "Dermoscopy, seven classes"


@pytest.mark.parametrize("name", ["chest", "lesion"])
def test_same_analysis_gives_the_same_bytes(name: str) -> None:
    made = hashlib.sha256(pdf.encode(getattr(analyses_with_images, name)()).content).hexdigest()
    assert [made] == hashes_in_new_process("pdf", name)
