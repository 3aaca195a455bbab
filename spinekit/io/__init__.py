"""Files to studies: DICOM slices, stacks of one orientation, the competition's tables, folds by study.

dicom_file       one DICOM file: its header, and a named error for everything that can be wrong with it
dicom_pixels     one slice's pixels: which decoder reads which compression
stacks           slices to stacks of one orientation, ordered along their normal
study            folders to studies, problems as findings
csv_file         a CSV file as text by column, with the line of each row
tables           the competition's tables, read and checked
export_files     files below folders, zips and DICOMDIRs; what is skipped is named
export           a scanner's export as examinations, without a table
cohort           a cohort's tables and images, points in patient mm, folds by study
related_studies  studies of one patient, or with the same pixels under another id: folds keep them together
"""
