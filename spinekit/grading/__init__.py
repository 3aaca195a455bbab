"""How severe it is: crops around the landmarks, a classifier of single crops, a transformer over all crops of a study.

tokens             the 30 crops of a study: which target, level and side each shows, and where its centre lies
crops              millimetre crops around landmarks, and their left-right flips
crop_pixels        pixels of crops in a file, each image once
crop_centres       where the crops of a study are cut
crop_cache         the crops of a cohort on disk
augmentation       what an encoder sees of a cached crop: its middle, or a random view of it
recipes            everything that decides a grader
models             crop classifier and transformer over crops
datasets           training data of the graders, and their losses
grader             a trained grader, read from its folder
training           trains graders on a fold
batches            studies of a crop set as tensors, and predictions batch by batch
predictions        what the models of a fold predict: transformer, single crops, axial canal
distribution_shift how unlike the training studies a study looks, and what its probabilities lose for that
shift_training     learns from which distance on a classifier is not to be trusted
inference          a study in, probabilities out
label_noise        pseudo-labels for missing grades, suspected label errors down-weighted
pretraining        an encoder trained on crops without grades
generator_network  the network that generates crops
generation         a small diffusion model of crops of a given view, level and grade
saliency           where a grader looks: the change when a part of a crop is hidden
uncertainty        a study graded in several views; flags for review
uncertainty_table  the least certain grades, their uncertainty split by its source
"""
