"""The notebooks as a course: run folders and manifests, papermill, cohort and folds, the submission, the report.

runs        where a step of a run writes, what it read, and when it is done
runner      notebooks through papermill, fold by fold
setup       environment, cohort and folds for notebook 00
submission  the predictions of all folds, and the table to submit
report      closing table and HTML index
"""
