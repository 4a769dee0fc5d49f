"""Read one image file for indexing: its bytes' digest, and its pixels where they are new."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.image_rows import ImageRow
from boost_edge.runtime.images import content_digest, fit_image, read_bytes
from boost_edge.runtime.manifest import ImageSpec

__all__ = ["Job", "Read", "read_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A file to read: its absolute path, its row if there is one, and its stamp before reading."""

    path: str
    known: ImageRow | None
    size: int
    mtime_ns: int

    @property
    def is_live(self) -> bool:
        """Whether the gallery has an image at this path."""
        return self.known is not None and self.known.state == "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A file that was read; ``pixels`` is ``(S, S, 3) uint8``, or None where nothing changed."""

    job: Job
    digest: str
    width: int
    height: int
    pixels: NDArray[np.uint8] | None


def read_job(job: Job, spec: ImageSpec) -> Read | ImageError:
    """Read and decode one file, in any thread; an error is returned, not raised."""
    try:
        data = read_bytes(job.path)
        digest = content_digest(data)
        if job.known and job.known.digest == digest:
            width, height = job.known.width, job.known.height
            return Read(job=job, digest=digest, width=width, height=height, pixels=None)
        pixels, (width, height) = fit_image(data, spec, source=job.path)
    except ImageError as error:
        return error
    return Read(job=job, digest=digest, width=width, height=height, pixels=pixels)
