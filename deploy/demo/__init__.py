"""The main job, end to end, on real input where there is some: `dicom-node demo`."""
