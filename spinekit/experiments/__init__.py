"""What notebooks beyond the pipeline try out: trainings by the dozen, kept on disk one by one.

trial                           a training that is kept, and reused while nothing that decides it has changed
ablation, ablation_scores       from the prior to the whole model, one thing added at a time
synthetic, synthetic_scores     few real studies with generated crops, or with other phantoms
synthetic_source                the population of those other phantoms
tuning, tuning_scores           three searches for hyperparameters at equal cost, and what is left of their gain
transfer, transfer_scores       encoders, warm starts, few grades and ensembles
image_floor, image_floor_scores networks that are trained on true chances: what the pictures can tell
unet3d                          the 3D network against the 2D one: errors, time, memory
"""
