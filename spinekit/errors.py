"""The root of every error that spinekit raises on purpose."""


class SpinekitError(Exception):
    """Something a user can act on: the message names the file or value and says what to do."""
