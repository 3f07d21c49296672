"""The keywords that conditions accept are those of pydicom's data dictionary."""

from pydicom.datadict import keyword_dict

from core.policy.routes.dicom_keywords import dicom_keywords


def test_the_keywords_are_those_of_pydicom() -> None:
    assert dicom_keywords() == {keyword for keyword in keyword_dict if keyword}
