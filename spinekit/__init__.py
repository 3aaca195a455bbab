"""Grade degenerative disease of the lumbar spine on MRI. Not for clinical use."""

__version__ = "0.1.0"
