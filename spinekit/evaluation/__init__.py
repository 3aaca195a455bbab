"""How good it is, compared with the truth of a phantom. Nothing that is fitted may import from here.

truth                 the door to a phantom's truth: grades, and the best prediction of them
evaluation_set        scores and skill of a model on unseen studies, with intervals
trained_runs          finished runs to evaluate, and the studies that they were fitted on
report_table          measures as tables for people
localization          the table of `spinekit evaluate localization`
localization_errors   tables of one study: slices, landmarks, levels, series
localization_summary  measures, goals and tables over all studies
measurements          the table of `spinekit evaluate measurements`
landmarks             distance of landmarks from readers' points and from the truth
slice_matching        errors of slice and level matching, and their causes
registration          registered series against the true motion
stacks                whether slices are in the true order; pixel to mm and back
grading               the table of `spinekit evaluate grading`
fresh_cohort          a run's headline: grades of patients that are drawn for it alone
out_of_fold           tables of predictions: what blending and calibration gain, which grades look wrong
label_audit           how many planted mistakes of the tables are found
saliency              whether saliency follows the true place of a lesion
close_up              a target at a resolution at which a person could grade it
context               what context is worth to an exact observer of the phantom's model
context_report        the table of `spinekit evaluate context`
residuals             how residuals of grades go together, of the model and of real predictions
linear_graders        linear models of measured severities: what noise in the labels costs
reader_offset         whether a reader's offset along a column can be estimated and taken out of the labels
floors                the floor of a phantom by formula, row by row and for all parts together
expected_scores       scores in expectation over the grades that readers might have given
transformer_gain      what the transformer adds to single crops, training by training
uncertainty           the loss of the least certain grades, and uncertainty against true ambiguity
sanity_checks         what must not work: permuted labels, and grading by intensity alone
shortcuts             how well header and intensity statistics alone grade a cohort
realism               figures of a study's images, by which phantoms and real studies are compared
realism_regions       where tissues lie, from readers' points
realism_texture       spectra, noise and edges of images
realism_patches       how well patches of phantoms are distinguished from real ones
realism_report        the table of `spinekit evaluate realism`
commands              the commands of `spinekit evaluate`
"""
