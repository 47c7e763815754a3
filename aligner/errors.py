"""What can go wrong, each as one sentence a user can act on.

The command line prints the message and exits with a non-zero code; nothing
else in the project is shown without a traceback.
"""

from __future__ import annotations


class AlignerError(Exception):
    """Root of every error that is the input's or the environment's, not the program's."""


class InputError(AlignerError):
    """A recording, transcript or gold file that cannot be used."""


class SettingError(AlignerError):
    """A setting that does not exist or does not fit the others."""


class ModelError(AlignerError):
    """A model that cannot be found, loaded or used as asked."""


class OutputError(AlignerError):
    """An output that cannot be written."""


class StorageError(OutputError):
    """Nothing more can be written: the disk is full, or the folder has turned read-only."""
