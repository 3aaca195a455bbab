"""Where the landmarks are: heat-maps, peaks with their uncertainty, and one joint posterior of all series of a study.

resampling        slices the same way up, in the same millimetres per pixel
slice_store       these slices on disk, read once and shared
heatmaps          training targets of the UNet, its loss and its predictions
peaks             sub-pixel peaks of heat-maps, each with its covariance
peak_uncertainty  standard deviations of peaks, fitted to annotated studies
shape_model       Gaussian model of the relative places of the 25 landmarks
posterior         landmarks and patient motion as one Gaussian, given the peaks of all series
chain_decoding    which peak is which level: the best chain of peaks
assembly          from peaks to the 25 landmarks of a study, carried between series
localizer         the landmark models of a fold: recipes, training, loading, finding
edges             where bone begins along a line, to a fraction of a pixel
dural_sac         the outline of the dural sac on an axial slice
measurements      sac, discs and foramina in mm, at the landmarks
series_kind       the kind of a series from headers and pixels alone
decoders          simpler ways to decode the same heat-maps, for comparison
unet3d            a heat-map UNet over whole stacks, to compare with the 2D one
"""
