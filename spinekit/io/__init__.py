"""Files to studies: DICOM slices, stacks of one orientation, the competition's tables, folds by study.

dicom_errors     a named error for everything that can be wrong with one DICOM file
limits           what one file may ask for: bytes, pixels, frames, items of sequences; pipes and devices named
header_values    values of a header, also from functional groups
contrasts        what an image shows beside its place: contrast, echo, time
image_checks     what looks like an MR slice and is none
plain_pixels     pixels that are plain integers, uncompressed or RLE, in a few steps
open_dicom       a DICOM file opened within the limits, and what is taken for one
dicom_file       one DICOM file: the header of each slice in it
codestream       the size that a compressed image says of itself, against its header
dicom_pixels     pixels of slices: which decoder reads which compression, padding
slice_groups     slices that can be one stack by their geometry
mixed_series     series that mix contrasts
stacks           slices to stacks of one contrast and orientation, ordered along their normal
study            folders to studies, problems as findings
csv_file         a CSV file as text by column, with the line of each row
tables           the competition's tables, read and checked
walk             folders below one and their files: no link leads out, none goes round without end
export_files     files below folders, zips and DICOMDIRs; what is skipped is named
plain_text       text from files, printed as it is: no markup, no control characters
export           a scanner's export as examinations, without a table
cohort           a cohort's tables and images, points in patient mm, folds by study
related_studies  studies of one patient, or with the same pixels under another id: folds keep them together
"""
