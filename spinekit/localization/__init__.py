"""Where the landmarks are: heat-maps, peaks with their uncertainty, and one joint posterior of all series of a study.

resampling        slices the same way up, in the same millimetres per pixel
heatmaps          training targets of the UNet, its loss and its predictions
peaks             places read off heat-maps, finer than a pixel, each with its covariance
peak_uncertainty  how far peaks lie from the landmarks, learnt from annotated studies
shape_model       how the 25 landmarks lie to each other
posterior         landmarks and patient motion as one Gaussian: what all series say together
assembly          proposed places to the 25 landmarks of a study, carried between series
localizer         the landmark models of a fold: recipes, training, loading, finding
series_kind       the kind of a series from headers and pixels alone
decoders          the same heat-maps read in plainer ways, side by side
unet3d            a heat-map UNet over whole stacks, to compare with the 2D one
"""
