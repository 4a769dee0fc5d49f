"""Every error that boost-edge raises on purpose.

::

    BoostEdgeError
    |-- UsageError               an argument makes no sense            exit 2
    |   `-- LabelTableError      the label table cannot be used as it is
    |-- MissingExtraError        an optional dependency is absent      exit 1
    |-- ImageError               one image cannot be read              exit 3 (skipped)
    |-- WeightsError             weights cannot be had, or do not fit  exit 1
    |-- WatchError               a folder cannot be watched any more   exit 1
    |-- GalleryError             the gallery cannot do this now        exit 1
    |   |-- ConflictError        images at the same path are not the same
    |   |-- GalleryLockedError   another process is writing to it
    |   `-- GalleryFormatError   it is of an older format, and cannot be written
    |-- IntegrityError           a file is damaged or does not belong  exit 4
    |   |-- ModelFileError       not a boost-edge model, or damaged
    |   |-- ExchangeFileError    an exported file is damaged, or of another model
    |   |-- RunError             a training run is incomplete or damaged
    |   `-- GalleryCorruptError  the gallery is damaged, or of another model
    `-- GateError                a quality or speed gate was not met   exit 5
        `-- ParityError          the exported graph differs from torch

A message is one line that says what is wrong, with which file, and what to do about it. The
command line maps the classes to exit codes in ``boost_edge.cli.exits`` and nowhere else.
"""

from __future__ import annotations

__all__ = [
    "BoostEdgeError",
    "ConflictError",
    "ExchangeFileError",
    "GalleryCorruptError",
    "GalleryError",
    "GalleryFormatError",
    "GalleryLockedError",
    "GateError",
    "ImageError",
    "IntegrityError",
    "LabelTableError",
    "MissingExtraError",
    "ModelFileError",
    "ParityError",
    "RunError",
    "UsageError",
    "WatchError",
    "WeightsError",
]


class BoostEdgeError(Exception):
    """Base class: catch it to catch everything that boost-edge raises on purpose."""


class UsageError(BoostEdgeError):
    """An argument makes no sense; nothing was done."""


class LabelTableError(UsageError):
    """The label table cannot be used as it is: encoding, columns, rows or values."""


class MissingExtraError(BoostEdgeError):
    """An optional dependency is absent; the message names the exact pip command."""

    def __init__(self, feature: str, extra: str, module: str) -> None:
        super().__init__(
            f"{feature} needs {module}, which is not installed: pip install 'boost-edge[{extra}]'"
        )
        self.feature = feature
        self.extra = extra
        self.module = module


class ImageError(BoostEdgeError):
    """One image cannot be read.

    ``reason`` is one of the short, stable codes in ``boost_edge.runtime.images.REASONS``, for
    counting and for JSON; ``detail`` is for people.
    """

    def __init__(self, path: str, reason: str, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.path = path
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str, str]]:
        return type(self), (self.path, self.reason, self.detail)


class WeightsError(BoostEdgeError):
    """Weights are absent, cannot be fetched, or do not fit the backbone."""


class WatchError(BoostEdgeError):
    """A folder cannot be watched, or not any more; what was indexed is kept."""


class GalleryError(BoostEdgeError):
    """The gallery cannot do what was asked now."""


class ConflictError(GalleryError):
    """Images at the same path are not the same; nothing was written.

    ``paths`` are some of these paths, ``count`` is their number.
    """

    def __init__(self, message: str, *, paths: tuple[str, ...], count: int) -> None:
        super().__init__(message)
        self.paths = paths
        self.count = count


class GalleryLockedError(GalleryError):
    """Another process is writing to the gallery."""


class GalleryFormatError(GalleryError):
    """The gallery is of an older format, and was not brought up to date."""


class IntegrityError(BoostEdgeError):
    """A file is damaged, or two files do not belong together."""


class ModelFileError(IntegrityError):
    """Not a boost-edge model, a damaged one, or one of a format this version cannot read."""


class ExchangeFileError(IntegrityError):
    """An exported file is damaged, of another model, or of a format this version cannot read."""


class RunError(IntegrityError):
    """A training run is incomplete, damaged, or belongs to other settings."""


class GalleryCorruptError(IntegrityError):
    """The gallery is damaged, or was built with another model."""


class GateError(BoostEdgeError):
    """A quality or speed gate was not met; nothing was written."""


class ParityError(GateError):
    """The exported graph does not reproduce the network that was trained."""
