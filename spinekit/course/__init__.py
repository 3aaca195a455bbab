"""The notebooks as a course: run folders and manifests, papermill, cohort and folds, the submission, the report.

steps       the names of the notebooks, which are those of the steps of a run
profiles    what smoke, demo, cpu and full are, in one place
scales      the sizes that a profile sets for each experiment
runs        where a step of a run writes, what it read, and when it is done
folders     where the project, its notebooks and the outputs lie
mounts      what is attached to a notebook on Kaggle
finished    finished steps of runs, of any folder with weights, of attached outputs
making      a missing step, made by its notebook
manifests   what decides a step's result
digests     digests of files by content, read again only where a file changed
locks       one process at a time makes a step, one run at a time has a fold
execution   one notebook executed by papermill
run_log     what happened in a run, as lines of JSON
disk        what a run holds on disk that could be removed
timing      how long each step takes
time_profile where the time of a step goes, by sampling
plan        what a run will need, before anything runs: `spinekit plan`
doctor      whether this machine can do it: `spinekit doctor`
cost_parts  the quantities of a plan, and how they add up
step_costs  what each step costs for a cohort of a given size
model_costs FLOP and memory of the models, counted without computing
study_counts files, slices and crops of a study, counted on phantoms that are not drawn
provenance  the commit, versions and device that a manifest names
arguments   what is typed on the command line, as values
runner      notebooks through papermill, fold by fold
cluster     jobs on other machines, through a Dask scheduler
cluster_worker a job as it runs on a worker of a cluster
cluster_run folds side by side on the workers of a cluster
stored_outputs the outputs and figures that git keeps in the notebooks
progress    the time that is left of a run
setup       environment, cohort and folds for notebook 00
test_half   the test half alone, graded with trained models within a budget of time
teaching    one patient with every grade of every condition, for pictures
submission  the predictions of all folds, and the table to submit
report      closing table and HTML index
report_pages the pages of executed notebooks and of the guides that they link to
notebook_html a notebook as HTML: formulas in MathML, nothing from foreign servers
static_notebook a notebook without sliders, scripts and foreign images
pictures    pictures made small
pages       the HTML of the report
console     how commands print: tables for people, JSON for machines
"""
