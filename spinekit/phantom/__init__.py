"""A synthetic cohort of lumbar MRI in the competition's own layout, with the truth kept apart.

``plan_cohort`` says what is in it, ``write_cohort`` writes it, ``truth.read`` reads what only an evaluation may know.

factors      what goes with the narrowing: age, discs, slip, width of the canal
disease      narrowing of the 25 targets, jointly with the factors
reader       how well a reader sees a target, how he errs, and his grades
lesions      how lesions look, and what looks like one and is none
column       sizes and positions of a patient's vertebrae and discs
curve        the bent axis of the spine, and coordinates along it
shapes       the shapes that anatomy is made of, as signed distances
bones        vertebrae, facet joints, discs, sacrum and pelvis
metal        pedicle screws, and how they spoil the picture
canal        the spinal canal in cross-section, and how disease narrows it
nerves       what lies in the canal and the foramina
soft         everything around the spine: fat, muscles, vessels, organs
measures     true lengths and areas: sac, discs, foramina
grain        the patient's noise, from which tissues take their texture
tissue       relaxation times and signal equations
body         one patient, put together
canvas       painting shapes into slices
acquisition  what a series is before it is scanned
planning     planes laid as a radiographer lays them
render       magnitude images as a scanner would deliver them
labels       the reader's points and grades, with gaps and mistakes
traps        the irregularities of real data, each by name and rate
files        one slice to one DICOM file
study        one study, from its seed to its files
tables       the competition's five tables, and those of the truth
write        the cohort as a whole
truth        what lies beside a cohort for evaluations alone
"""

from spinekit.phantom.acquisition import Causes, Recipe
from spinekit.phantom.traps import TRAPS
from spinekit.phantom.write import CohortPlan, PhantomError, adapted, plan_cohort, write_cohort

__all__ = ["TRAPS", "Causes", "CohortPlan", "PhantomError", "Recipe", "adapted", "plan_cohort", "write_cohort"]
