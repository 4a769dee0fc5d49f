"""What is measured: a label table, its images and a backbone, and which rows each seed takes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.relevance import PAPER, Protocol, relevance_matrix, sample_rows
from boost_edge.runtime.errors import ImageError, UsageError
from boost_edge.runtime.manifest import DEFAULT_DECODE, DEFAULT_RESIZE, ImageSpec, ResizePolicy
from boost_edge.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from boost_edge.export.fit import Rows
    from boost_edge.models.backbones import Backbone

__all__ = ["Draw", "Setup", "Subject"]

_VALIDATION_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What to measure on; the same setup on the same data draws the same rows.

    Parameters
    ----------
    backbone, weights, taps, image_size
        See `boost_edge.models.backbones.build_backbone`; without taps those that a head reads
        best, as in a training.
    attributes
        Columns to learn and to judge by; ``None`` for every one that looks categorical.
    name_column
        The column whose words grade the relevance; ``None``: all that agrees is relevant alike.
    protocol
        How rows are drawn where the label table has no split column of its own.
    seeds
        How many times: each seed draws its own rows (with a split column: the same ones) and
        trains its own heads.
    """

    backbone: str = "resnet18"
    weights: str = "imagenet"
    taps: tuple[str, ...] | None = None
    image_size: int | None = None
    attributes: tuple[str, ...] | None = None
    name_column: str | None = None
    protocol: Protocol = PAPER
    seeds: int = 5

    @property
    def chosen_taps(self) -> tuple[str, ...] | None:
        """Return the taps, where none are given those that a head reads best.

        ``None`` for pca: as many components as can be had.
        """
        from boost_edge.models.backbones import head_taps

        if self.taps is not None:
            return self.taps
        return head_taps(self.backbone, self.image_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """The rows of one seed, each ``(n,) int64`` and disjoint.

    ``val`` is the first tenth of what is fitted where the table does not name its own.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def fitted(self) -> NDArray[np.int64]:
        """Return the validation rows and then the training rows."""
        return np.concatenate([self.val, self.train])

    def first(self, count: int) -> Draw:
        """Return the same test rows, and only ``count`` rows to fit, a tenth of them ``val``."""
        return carve(self.fitted[:count], self.test)


def carve(fitted: NDArray[np.int64], test: NDArray[np.int64]) -> Draw:
    """Make a tenth of the rows to fit, the first ones, the validation part."""
    held = max(1, int(len(fitted) * _VALIDATION_SHARE))
    return Draw(train=fitted[held:], val=fitted[:held], test=test)


class Subject:
    """A label table with its images, and the backbone whose features are compared.

    Raises
    ------
    UsageError
        When the label table lacks the name column or cannot be used.
    WeightsError
        When the backbone's weights cannot be had.
    """

    def __init__(
        self,
        labels: Path,
        *,
        images: Path,
        setup: Setup,
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        from boost_edge.export.labels import read_labels
        from boost_edge.models.backbones import build_backbone

        self.setup = setup
        self.report: Progress = progress or silent
        self.cache = cache
        self.table = read_labels(labels, images=images, attributes=setup.attributes)
        self.attributes = tuple(attribute.name for attribute in self.table.attributes)
        self.classes = [len(attribute.values) for attribute in self.table.attributes]
        name = setup.name_column
        if name is not None and name not in self.table.columns:
            raise UsageError(f"{labels}: has no column {name}, whose words grade hits")
        self.titles = None if name is None else self.table.columns[name]
        self._backbone: Backbone | None = None
        if setup.backbone != "pca":
            self._backbone = build_backbone(
                setup.backbone,
                weights=setup.weights,
                taps=setup.chosen_taps,
                image_size=setup.image_size,
            )

    @property
    def fixed(self) -> bool:
        """Tell whether the label table says itself which rows are the test part."""
        return self.table.split is not None

    def draw(self, seed: int) -> Draw:
        """Return the rows of a seed; they do not depend on the order of the table.

        Raises
        ------
        UsageError
            When there are too few groups, or a split column names no test part.
        """
        if not self.fixed:
            table, protocol = self.table, self.setup.protocol
            sample = sample_rows(table.codes, table.names, seed=seed, protocol=protocol)
            return carve(sample.train, sample.test)
        from boost_edge.export.splits import split_rows

        split = split_rows(self.table, seed=0)
        if len(split.test) < 2:
            raise UsageError(f"{self.table.path}: its split column names no test part to search in")
        return Draw(train=split.train, val=split.val, test=split.test)

    def backbone(self, draw: Draw, resize: ResizePolicy = DEFAULT_RESIZE) -> Backbone:
        """Return the backbone; PCA is fitted to the images of the training rows."""
        if self._backbone is not None:
            return self._backbone
        from boost_edge.models.backbones import BACKBONES
        from boost_edge.models.pca import fit_pca
        from boost_edge.runtime.images import load_image

        size = self.setup.image_size or BACKBONES["pca"].image_size
        spec = ImageSpec(size=size, resize=resize, decode=DEFAULT_DECODE)
        rows: list[int] = draw.train.tolist()
        pixels = [load_image(self.table.paths[row], spec) for row in rows]
        return fit_pca(np.stack(pixels), taps=self.setup.taps)

    def features(
        self, backbone: Backbone, rows: NDArray[np.int64], resize: ResizePolicy = DEFAULT_RESIZE
    ) -> NDArray[np.float32]:
        """Return the features ``(n, F) float32`` of rows of the table.

        Raises
        ------
        ImageError
            When an image cannot be read: a measurement has no room for gaps.
        """
        from boost_edge.export.features import extract_features

        numbers: list[int] = rows.tolist()
        found = extract_features(
            backbone,
            [self.table.paths[row] for row in numbers],
            resize=resize,
            cache=self.cache,
            progress=partial(self.report, f"features ({resize})"),
        )
        if found.skipped:
            error: ImageError = found.skipped[0][1]
            raise error
        return found.matrix

    def rows(self, features: NDArray[np.float32], rows: NDArray[np.int64]) -> Rows:
        """Return features with the codes of their rows."""
        from boost_edge.export.fit import Rows

        return Rows(features=features, codes=self.table.codes[rows])

    def relevance(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the relevance ``(n, n) float32`` of rows to each other."""
        return relevance_matrix(self.table.codes[rows], self.names_of(rows))

    def names_of(self, rows: NDArray[np.int64]) -> Sequence[str]:
        """Return the names whose words grade the relevance; all alike where there are none."""
        titles = self.titles
        numbers: list[int] = rows.tolist()
        return [""] * len(numbers) if titles is None else [titles[row] for row in numbers]

    def sample_digest(self, draw: Draw) -> str:
        """Return a sha256 over the names of the test rows in order: equal ones can be paired."""
        rows: list[int] = draw.test.tolist()
        names = [self.table.names[row] for row in rows]
        return hashlib.sha256("\n".join(names).encode("utf-8", "surrogatepass")).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what identifies the data, the protocol and the backbone, for a result."""
        from boost_edge.models.backbones import BACKBONES

        setup, backbone = self.setup, self._backbone
        size = setup.image_size or BACKBONES[setup.backbone].image_size
        return {
            "labels_sha256": self.table.sha256,
            "attributes": list(self.attributes),
            "name_column": setup.name_column,
            "split": "column" if self.fixed else "drawn",
            "protocol": None if self.fixed else asdict(setup.protocol),
            "seeds": setup.seeds,
            "backbone": setup.backbone,
            "weights": {"name": "pca", "source": "fitted to the training images"}
            if backbone is None
            else asdict(backbone.weights),
            "taps": list((setup.taps or ()) if backbone is None else backbone.taps),
            "image_size": size if backbone is None else backbone.image_size,
            "backbone_sha256": None if backbone is None else backbone.digest(),
        }
