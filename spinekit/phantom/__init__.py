"""A synthetic cohort of lumbar MRI in the competition's own layout, with the truth kept apart.

``write_cohort`` writes one, ``truth.read`` reads what only an evaluation may know.
"""

from spinekit.phantom.acquisition import Recipe
from spinekit.phantom.traps import TRAPS
from spinekit.phantom.write import PhantomError, adapted, write_cohort

__all__ = ["TRAPS", "PhantomError", "Recipe", "adapted", "write_cohort"]
