"""How severe it is: crops around the landmarks, a classifier of single crops, a transformer over all crops of a study.

crops         millimetre crops around landmarks, and their left-right flips
crop_cache    the crops of a cohort in one array on disk
augmentation  what an encoder sees of a cached crop: its middle, or a random view of it
recipes       everything that decides a grader
models        crop classifier and transformer over crops
datasets      what the graders are fed, and their losses
grader        a trained grader, read from its folder
training      trains graders on a fold
predictions   what the models of a fold predict: transformer, single crops, axial canal
inference     a study in, probabilities out
label_noise   missing grades guessed, suspected label errors weighted down
pretraining   an encoder that learns from crops without grades
generation    a small diffusion model that makes crops of a wanted view, level and grade
saliency      where a grader looks: what hiding a part of a crop changes
uncertainty   how sure each grade is, split by its source; reasons to look again
"""
