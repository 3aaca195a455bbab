"""The steps of the course: one notebook each, in the order in which they are read. Nothing else spells their names."""

from enum import StrEnum

PROFILE_NAMES = ("smoke", "demo", "cpu", "full")  # of ``course.profiles``, which takes seconds to import


class Step(StrEnum):
    """Name of a notebook, which is that of its folder in a run."""

    START = "00_start"
    ANATOMY = "01_anatomy"
    SLICE_MATCHING = "02_slice_matching"
    LOCALIZATION = "03_unet_localization"
    CROPS = "04_crop_classification"
    SEQUENCE = "05_vit_training"
    SUBMISSION = "06_submission"
    ABLATION = "07_ablation"
    REGISTRATION = "10_registration"
    UNET3D = "11_unet3d"
    SYNTHETIC = "12_synthetic_data"
    TUNING = "13_hyperparameters"
    TRANSFER = "14_transfer_and_ensembles"
    KAGGLE = "20_kaggle_inference"

    @property
    def number(self) -> str:
        """How people call it, e.g. ``03``."""
        return self[:2]


# Their trainings are what is spread over processes or workers, one by one.
SPREADING = frozenset({Step.ABLATION, Step.SYNTHETIC, Step.TUNING, Step.TRANSFER})
