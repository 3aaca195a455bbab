"""Every plot: arrays and tables in, a figure out. Side, level, unit and the meaning of each colour stand on it.

- `_base`: colours, slices drawn to scale with the patient's directions, legends
- `tables`: a sentence in place of a table without numbers
- `anatomy`: notebook 01, kinds of series, planes, grades, spacings
- `matching`: notebook 02, one landmark in every series, errors and their causes
- `label_audit`: notebook 02, a suspected label error in patient mm, recall
- `localization`: notebook 03, heat-maps, landmarks, errors
- `decoders`: notebook 03, four ways to decode heat-maps
- `grading`: notebooks 04 and 05, crops, jitter, training, tokens
- `scores`: notebooks 04 to 06, scores, calibration, confusions, worst cases
- `saliency`: notebook 05, saliency maps, the loss of uncertain grades
- `ablation`, `registration`, `unet3d`, `synthetic`, `tuning`, `transfer`: notebooks 07 and 10 to 14
- `phantom`: sheets of phantom pictures
"""
