"""Every plot: arrays and tables in, a figure out.

_base         colours with one meaning each, slices drawn to scale with the patient's directions, legends
crops         a crop to scale, with the patient's directions
tables        a sentence in place of a table without numbers
pipeline      notebook 00: from a study's series to its 25 grades, as one picture
anatomy       notebook 01: targets in the three kinds of series, their planes, grades
slices        notebook 01: the slices of a stack, with a slider or side by side
cohorts       notebook 01: how frequent the grades are, how coarse the images
matching      notebook 02: one landmark in every series, errors and their causes
label_audit   notebook 02: a suspected label error in patient mm, recall
heatmaps      notebook 03: heat-maps, from their peaks to places with an uncertainty
localization  notebook 03: landmarks on the images, errors
decoders      notebook 03: four ways to decode heat-maps
grading       notebooks 04 and 05: crops, jitter, training
attention     notebook 05: tokens in the patient, attention, what hiding tokens changes
scores        notebooks 04 to 06: scores, calibration, confusions, worst cases
saliency      notebook 05: saliency maps, the loss of uncertain grades
ablation      notebook 07: what each step gains
registration  notebook 10: series overlaid, estimated motions, remaining errors
unet3d        notebook 11: 2D against 3D
synthetic     notebook 12: generated crops, learning curves
tuning        notebook 13: searches, and what remains of their gain
transfer      notebook 14: encoders, warm starts, ensembles
training      notebooks 03 to 05: curves of a training while it runs
test_half     notebook 20: what was submitted, and the time it took
phantom       sheets of phantom pictures
realism       phantoms beside real studies
"""
