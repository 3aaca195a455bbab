"""The notebooks as a course: run folders and manifests, papermill, cohort and folds, the submission, the report.

steps       the names of the notebooks, which are those of the steps of a run
profiles    what smoke, demo, cpu and full are, in one place
scales      the sizes that a profile sets for each experiment
runs        where a step of a run writes, what it read, and when it is done
provenance  the commit, versions and device that a manifest names
arguments   what is typed on the command line, as values
runner      notebooks through papermill, fold by fold
progress    the time that is left of a run
setup       environment, cohort and folds for notebook 00
submission  the predictions of all folds, and the table to submit
report      closing table and HTML index
pages       the HTML of the report
console     how commands print: tables for people, JSON for machines
"""
