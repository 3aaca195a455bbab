"""A scanner's export in, 25 grades of each study out, with what they rest on.

result              what is kept of a graded study: grades, the images behind them, findings, the weights' card
kinds               which kind each series is, by headers and by pixels, and why some are skipped
grading             one study to 25 grades, each with the image that it was read from
measured            lengths and areas in mm, each beside its error on phantoms
weights             the models: where they lie, their hash and card
pack                the models as one file, and back
model_check         whether models are whole: their line of `spinekit doctor`
batch               an export of many studies: each graded once, results written whole
reports             the one place where all reports of a study are written
report_content      what a report of a study says, in words, for HTML and PDF alike
report_pictures     the slice and the enlarged place behind a grade; the levels as they were named
report_html         the report as one HTML file
report_pdf          the report as a PDF
index_page          one page over a batch
structured_report   the grades as a DICOM Structured Report, filed beside the images
report_codes        its codes: SNOMED CT, DICOM, and a scheme of spinekit's own
summary             a batch and the weights as tables for the console
commands            `spinekit grade`, `spinekit doctor` and `spinekit weights`
"""
