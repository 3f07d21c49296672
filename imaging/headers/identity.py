"""Patient and study attributes of instances that the node makes itself (demo, tests, photographs from a camera)."""

from dataclasses import dataclass

from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Identity:
    """Patient and study of a new instance. Dates YYYYMMDD, times HHMMSS, ``patient_age`` of VR AS ("045Y"); text is written in UTF-8."""

    patient_id: str
    study_instance_uid: str
    patient_name: str = ""
    issuer_of_patient_id: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    patient_age: str = ""
    accession_number: str = ""
    study_id: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    timezone_offset: str = ""

    def write(self, ds: Dataset) -> None:
        """Set the attributes of the Patient, Patient Study and General Study modules (PS3.3 C.7.1.1, C.7.2.2, C.7.2.1)."""
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.PatientName = self.patient_name
        ds.PatientID = self.patient_id
        if self.issuer_of_patient_id:
            ds.IssuerOfPatientID = self.issuer_of_patient_id
        ds.PatientBirthDate = self.patient_birth_date
        ds.PatientSex = self.patient_sex
        if self.patient_age:
            ds.PatientAge = self.patient_age
        ds.StudyInstanceUID = self.study_instance_uid
        ds.StudyID = self.study_id
        ds.StudyDate = self.study_date
        ds.StudyTime = self.study_time
        ds.AccessionNumber = self.accession_number
        ds.ReferringPhysicianName = ""
        if self.study_description:
            ds.StudyDescription = self.study_description
        if self.timezone_offset:
            ds.TimezoneOffsetFromUTC = self.timezone_offset
