"""Predictions as arrays: scores, intervals, calibration and ensembles. No files and no truth in here.

metric          the competition's score, per part and in total, and the same as a loss
baseline        the constant prediction to beat and to fall back on
scores          score tables with skill, calibration errors, confusion, worst cases
bootstrap       intervals over resampled studies and seeds
learning_curve  where a score over the number of studies ends, if its points tell
calibration     temperature and biases fitted out of fold, so that probabilities are calibrated
ensemble        several predictions to one by fitted weights, and what that gains
stacking        predictions corrected by those of the other targets of a study
"""
