"""Labelmaps for the clinic: files with names and colours, DICOM SEG, RTSTRUCT, secondary capture."""
