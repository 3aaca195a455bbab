"""Series brought together through patient space: which slices show the same place, and how the patient moved.

slice_matching       which slice of which stack shows a landmark, which level an axial slice shows
registration         rigid alignment of a study's series: the motion of the patient between them
registration_images  stacks as the images that registration compares
pair_registration    rigid registration of two series
motion_graph         one motion for each series from the motions between pairs
"""
