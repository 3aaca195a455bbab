"""A synthetic cohort of lumbar MRI in the competition's own layout, with the truth kept apart.

``plan_cohort`` says what is in it, ``write_cohort`` writes it, ``truth.read`` reads what only an evaluation may know.
"""

from spinekit.phantom.acquisition import Recipe
from spinekit.phantom.traps import TRAPS
from spinekit.phantom.write import CohortPlan, PhantomError, adapted, plan_cohort, write_cohort

__all__ = ["TRAPS", "CohortPlan", "PhantomError", "Recipe", "adapted", "plan_cohort", "write_cohort"]
