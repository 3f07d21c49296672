"""What is taken over from a source: every character set, flawed values, nested character sets, codes without meaning."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from core.errors import EncodingError
from core.records import Finding, Prediction, UnitInput
from core.states import Outcome, ResultKind
from deploy.demo.result_check import dciodvfy_errors
from imaging.headers.instance_header import read_header
from tests.support import analyses
from tests.support.real_data import shared_data
from workers.encode.local_time import to_dicom_time
from workers.encode.objects import by_kind
from workers.encode.source_images.attributes import PATIENT, STUDY
from workers.encode.source_images.source import read_source, source_from_dataset
from workers.encode.sr import document
from workers.encode.validate import validator

# One name a set, as pydicom writes it: these run everywhere; the files of the public collection where they are.
NAMES = {
    "arabic": ("ISO_IR 127", "قباني^لنزار"),
    "french": ("ISO_IR 100", "Buc^Jérôme"),
    "greek": ("ISO_IR 126", "Διονυσιος"),
    "hebrew": ("ISO_IR 138", "שרון^דבורה"),
    "russian": ("ISO_IR 144", "Люкceмбypг"),
    "latin-9": ("ISO_IR 203", "Šurek^Œil"),
    "thai": ("ISO_IR 166", "นามสกุล"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "half-width": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "chinese-gb": ("GB18030", "Wang^XiaoDong=王^小东"),
    "chinese-utf8": ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
    "ascii": ("", "Doe^Jane"),
}
WRITTEN = {"ISO_IR 127", "ISO_IR 100", "ISO_IR 126", "ISO_IR 138", "ISO_IR 144", "ISO_IR 166", "GB18030", "ISO_IR 192"}
NOTHING = Prediction(Outcome.NO_FINDING, looked_for="Something.")


def through_bytes(dataset: Dataset) -> Dataset:
    """The data set as it is received: encoded in its own character set, not decoded yet."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    buffer.seek(0)
    return dcmread(buffer, force=True)


def reported(dataset: Dataset) -> Dataset:
    content = document.encode(analyses.ct(NOTHING, dataset=dataset)).content
    assert validator.validate(content) == ()
    return dcmread(io.BytesIO(content))


@pytest.mark.parametrize("name", NAMES)
def test_names_are_copied_from_every_character_set(name: str) -> None:
    wanted, person = NAMES[name]
    dataset = analyses.header("CT", SpecificCharacterSet=wanted, PatientName=person, StudyDescription="x", ReferringPhysicianName="A^B")
    report = reported(through_bytes(dataset))
    assert str(report.PatientName) == person
    if isinstance(wanted, str) and wanted in WRITTEN:
        assert report.SpecificCharacterSet == wanted
    else:
        assert report.get("SpecificCharacterSet") == (None if person.isascii() else "ISO_IR 192")


def test_patient_names_of_public_files_are_kept(tmp_path: Path) -> None:
    files = sorted((shared_data() / "conformance" / "charsets").glob("*.dcm"))
    assert len(files) == 17
    for path in files:
        original = dcmread(path, force=True)
        if "PatientName" not in original:  # two files hold the name in a sequence item, one with a set of its own
            inner = original.RequestedProcedureCodeSequence[0]
            original = analyses.header("CT", SpecificCharacterSet=inner.get("SpecificCharacterSet", original.SpecificCharacterSet))
            original.PatientName = str(inner.PatientName)
            original.StudyDescription, original.ReferringPhysicianName = "x", "A^B"
            path = tmp_path / path.name
            original.SOPClassUID, original.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "2.25.9"
            path.write_bytes(as_bytes(original))
            original = dcmread(path, force=True)
        expected = read_header(path).patient_name
        assert expected
        assert not expected.isascii() or path.stem.startswith("chrSQ")
        report = tmp_path / "report.dcm"
        report.write_bytes(document.encode(analyses.ct(NOTHING, dataset=original)).content)
        assert read_header(report).patient_name == expected, path.name
        assert validator.validate(report.read_bytes()) == (), path.name
        assert dciodvfy_errors(report) == [], path.name


def as_bytes(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def test_request_in_a_character_set_of_its_own() -> None:
    item = analyses.request(SpecificCharacterSet=["ISO 2022 IR 13", "ISO 2022 IR 87"], RequestedProcedureDescription="胸部")
    report = reported(through_bytes(analyses.header("CT", RequestAttributesSequence=[item])))
    assert report.ReferencedRequestSequence[0].RequestedProcedureDescription == "胸部"
    assert str(report.PatientName) == "Müller^Änne"
    assert report.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning", "ignore:The (value|PN component) length:UserWarning")
def test_flawed_values_are_left_out_and_named_but_identifiers_stay() -> None:
    dataset = analyses.header("CT", PatientBirthDate="circa 1950", PatientSex="W", PatientID="P" * 70, StudyTime="noon", PatientAge="old")
    dataset.StudyDescription, dataset.PatientName = "long " * 20, "N" * 70
    source = source_from_dataset(dataset, analyses.ct(NOTHING).source.images)
    assert set(source.dropped) == {"PatientBirthDate", "PatientSex", "StudyTime", "PatientAge", "StudyDescription (its end)"}
    report = reported(dataset)
    assert (report.PatientBirthDate, report.PatientSex, report.StudyTime) == ("", "", "")
    assert "PatientAge" not in report
    assert (report.PatientID, str(report.PatientName)) == ("P" * 70, "N" * 70)
    assert report.StudyDescription == ("long " * 13)[:64].rstrip()


@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
def test_long_texts_are_cut_and_named() -> None:
    dataset = analyses.header("CT", PatientComments="c" * 10_241, AdditionalPatientHistory="h" * 30_000)
    source = source_from_dataset(through_bytes(dataset), analyses.ct(NOTHING).source.images)
    assert source.dropped == ("PatientComments (its end)", "AdditionalPatientHistory (its end)")
    assert source.attributes.PatientComments == "c" * 10_240
    exact = source_from_dataset(analyses.header("CT", PatientComments="ä" * 10_240), analyses.ct(NOTHING).source.images)
    assert (exact.dropped, exact.attributes.PatientComments) == ((), "ä" * 10_240)


def test_every_text_of_the_patient_and_study_modules_is_taken_over() -> None:
    dataset = analyses.header("CT")
    texts = [word for word in (*PATIENT, *STUDY) if word not in dataset and dictionary_VR(word) in {"LO", "SH", "LT", "UT", "UC"}]
    assert {"PatientAlternativeCalendar", "ReasonForVisit", "IssuerOfClinicalTrialSubjectID"} < {*PATIENT, *STUDY}
    for word in texts:
        setattr(dataset, word, "ä-1")
    report = reported(through_bytes(dataset))
    assert {word: report.get(word) for word in texts} == dict.fromkeys(texts, "ä-1")


def test_two_values_where_one_of_a_list_is_allowed_are_left_out_and_named() -> None:
    dataset = analyses.header("CT", PatientSex="F\\M")
    assert source_from_dataset(dataset, analyses.ct(NOTHING).source.images).dropped == ("PatientSex",)
    assert reported(dataset).PatientSex == ""


@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")
@pytest.mark.parametrize(
    ("keyword", "written", "copied"),
    [
        ("PatientBirthDate", "1950.01.02", "19500102"),
        ("StudyDate", "2026.11.19", "20261119"),
        ("StudyTime", "14:30:05", "143005"),
        ("StudyTime", "14:30:05.25", "143005.25"),
        ("StudyTime", "14:30", "1430"),
        ("PatientBirthDate", "1950.13.02", ""),  # no month
        ("StudyTime", "14.30", ""),
    ],
)
def test_dates_and_times_of_acr_nemas_form_are_taken_over_in_that_of_dicom(keyword: str, written: str, copied: str) -> None:
    dataset = analyses.header("CT", **{keyword: written})
    assert source_from_dataset(through_bytes(dataset), ()).dropped == (() if copied else (keyword,))
    report = reported(through_bytes(dataset))
    assert report[keyword].value == copied


def test_code_without_meaning_is_left_out_of_the_request() -> None:
    good, bad = Dataset(), Dataset()
    good.CodeValue, good.CodingSchemeDesignator, good.CodeMeaning = "24627-2", "LN", "CT Chest"
    bad.CodeValue = "24627-2"
    item = analyses.request(RequestedProcedureCodeSequence=[bad, good])
    report = reported(analyses.header("CT", RequestAttributesSequence=[item]))
    assert [code.CodeMeaning for code in report.ReferencedRequestSequence[0].RequestedProcedureCodeSequence] == ["CT Chest"]


def test_accession_number_alone_makes_a_request_and_nothing_makes_none() -> None:
    (request,) = reported(analyses.header("CT")).ReferencedRequestSequence
    assert (request.AccessionNumber, request.RequestedProcedureID) == ("ACC-1", "")
    assert "ReferencedRequestSequence" not in reported(analyses.header("CT", AccessionNumber=""))


def test_the_issuer_goes_with_the_accession_number_that_the_item_of_the_request_lacks() -> None:
    issuer, other = Dataset(), Dataset()
    issuer.LocalNamespaceEntityID, other.LocalNamespaceEntityID = "RIS-NORTH", "RIS-SOUTH"
    own = analyses.request(AccessionNumber="ACC-9", IssuerOfAccessionNumberSequence=[other])
    items = [analyses.request(), own, analyses.request(AccessionNumber="ACC-8")]
    report = reported(analyses.header("CT", IssuerOfAccessionNumberSequence=[issuer], RequestAttributesSequence=items))
    found = [
        (item.AccessionNumber, [one.LocalNamespaceEntityID for one in item.get("IssuerOfAccessionNumberSequence", ())])
        for item in report.ReferencedRequestSequence
    ]
    assert found == [("ACC-1", ["RIS-NORTH"]), ("ACC-9", ["RIS-SOUTH"]), ("ACC-8", [])]


def test_objects_without_content_tree_state_the_requests_with_an_id_as_images_do() -> None:
    analysis = analyses.masked_ct()
    bare = analyses.request(RequestedProcedureID="", ScheduledProcedureStepID="SPS-1")
    dataset = analyses.header("CT", RequestAttributesSequence=[analyses.request(ScheduledProcedureStepID="SPS-1"), bare])
    analysis = replace(analysis, source=source_from_dataset(dataset, analysis.source.images))
    made = [one for kind in by_kind.ENCODERS for one in by_kind.encode_kind(kind, analysis)]
    assert {one.kind for one in made} == {ResultKind.SEG, ResultKind.HEATMAP, ResultKind.KEY_IMAGES, ResultKind.PDF}
    for one in made:
        assert validator.validate(one.content) == ()
        result = dcmread(io.BytesIO(one.content))
        if one.kind is ResultKind.KEY_IMAGES:
            assert "RequestAttributesSequence" not in result
            assert len(result.ReferencedRequestSequence) == 2
            continue
        (item,) = result.RequestAttributesSequence
        assert (item.RequestedProcedureID, item.RequestedProcedureDescription) == ("RP-5", "CT Thorax")
        assert (item.AccessionNumber, item.StudyInstanceUID) == ("ACC-1", "2.25.100")
        assert "ScheduledProcedureStepID" not in item


def test_private_and_binary_elements_are_not_copied() -> None:
    item = analyses.request()
    item.add_new(0x00091001, "LO", "private")
    item.add_new(0x00420011, "OB", b"%PDF")
    report = reported(analyses.header("CT", RequestAttributesSequence=[item]))
    assert [element.tag for element in report.iterall() if element.tag.is_private or element.VR == "OB"] == []


def test_files_are_read_for_the_size_of_referenced_images_only(tmp_path: Path) -> None:
    inputs = []
    for number in range(2):
        dataset = analyses.header("DMS", SOPClassUID=analyses.DERMOSCOPIC, SOPInstanceUID=f"2.25.{number + 1}", Rows=4, Columns=6)
        dataset.InstanceNumber = 17 + number
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(as_bytes(dataset))
        inputs.append(UnitInput(str(dataset.SOPInstanceUID), str(dataset.SOPClassUID), "", str(path)))
    source = read_source(inputs, referenced=[inputs[1].sop_instance_uid])
    assert source.images[0].rows is None
    assert (source.images[1].rows, source.images[1].columns) == (4, 6)
    assert [source.image_name(one.sop_instance_uid, 1) for one in inputs] == ["", "image 18"]
    frames = replace(source, images=(replace(source.images[1], number_of_frames=30),))
    assert frames.image_name(inputs[1].sop_instance_uid, 7) == "frame 7"
    with pytest.raises(EncodingError):
        read_source([])


def test_a_screen_capture_in_the_series_gives_no_attributes_to_a_result_with_findings(tmp_path: Path) -> None:
    capture = analyses.header("CT", SOPClassUID=SecondaryCaptureImageStorage, SOPInstanceUID="2.25.1", BodyPartExamined="HEAD")
    capture.LossyImageCompression, capture.BurnedInAnnotation = "01", "YES"
    analysed = analyses.header("CT", SOPClassUID=CTImageStorage, SOPInstanceUID="2.25.2", BodyPartExamined="CHEST")
    inputs = []
    for dataset in (capture, analysed):
        path = tmp_path / str(dataset.SOPInstanceUID)
        path.write_bytes(as_bytes(dataset))
        inputs.append(UnitInput(str(dataset.SOPInstanceUID), str(dataset.SOPClassUID), "", str(path)))
    source = read_source(inputs, referenced=["2.25.2"])
    assert (source.anatomy.body_part, source.burned_in, len(source.lossy)) == ("CHEST", "", 0)
    assert read_source(inputs, analysed=["2.25.2"]).anatomy.body_part == "CHEST"  # nothing was found
    assert read_source(inputs).anatomy.body_part == "HEAD"


def test_a_series_with_one_lossy_image_is_lossy_whichever_image_has_the_finding(tmp_path: Path) -> None:
    inputs = []
    for number, compressed in enumerate(("00", "01", "01"), 1):
        dataset = analyses.header("CT", SOPClassUID=CTImageStorage, SOPInstanceUID=f"2.25.{number}", LossyImageCompression=compressed)
        if compressed == "01":
            dataset.LossyImageCompressionRatio, dataset.LossyImageCompressionMethod = "8", "ISO_15444_1"
        path = tmp_path / str(number)
        path.write_bytes(as_bytes(dataset))
        inputs.append(UnitInput(str(dataset.SOPInstanceUID), str(dataset.SOPClassUID), "", str(path)))
    lossy = read_source(inputs, referenced=["2.25.1"], analysed=["2.25.1", "2.25.2"]).lossy
    assert (lossy.LossyImageCompression, lossy.LossyImageCompressionRatio) == ("01", "8")
    assert lossy.LossyImageCompressionMethod == "ISO_15444_1"
    assert len(read_source(inputs, referenced=["2.25.1"], analysed=["2.25.1"]).lossy) == 0  # another in the series was not analysed


def test_finding_on_an_image_outside_of_the_unit_is_an_error() -> None:
    finding = Finding("nodule", analyses.nodule().code, sop_instance_uid="2.25.9999")
    with pytest.raises(EncodingError, match="outside of the unit"):
        document.encode(analyses.ct(Prediction(Outcome.FINDINGS, (finding,))))


def test_time_without_zone_is_an_error() -> None:
    with pytest.raises(EncodingError):
        to_dicom_time(analyses.STARTED.replace(tzinfo=None), "+0100", "")
