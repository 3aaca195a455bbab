"""Files to studies: DICOM slices, stacks of one orientation, the competition's tables, folds by study.

dicom_file       one DICOM file: header, pixels, every named error
stacks           slices to stacks of one orientation, ordered along their normal
study            folders to studies, problems as findings
cohort           the tables, points in patient mm, folds by study
related_studies  studies of one patient, or with the same pixels under another id: what folds must not part
"""
