"""What is measured on where little is said."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from boost_edge.bench.subject import Setup, Subject
from boost_edge.models.backbones import head_taps
from boost_edge.runtime.errors import UsageError


def test_taps_by_default_are_those_that_a_head_reads_best(
    setup: Setup, subject: Callable[[Setup], Subject]
) -> None:
    """They are found for the image size, and said in what describes the result."""
    untold = dataclasses.replace(setup, taps=None)
    assert untold.chosen_taps == head_taps(setup.backbone, setup.image_size)
    assert setup.chosen_taps == ("features.4",)
    found = subject(untold)
    assert tuple(found.describe()["taps"]) == found.backbone(found.draw(0)).taps
    assert found.backbone(found.draw(0)).taps == untold.chosen_taps


def test_no_taps_at_all_are_refused(setup: Setup, subject: Callable[[Setup], Subject]) -> None:
    """An empty list is not the default."""
    with pytest.raises(UsageError, match="once, not none"):
        subject(dataclasses.replace(setup, taps=()))


def test_pca_has_as_many_components_as_the_images_allow(
    setup: Setup, subject: Callable[[Setup], Subject]
) -> None:
    """Fewer images than any of its taps has components are enough."""
    pca = dataclasses.replace(setup, backbone="pca", taps=None, image_size=16)
    found = subject(pca)
    draw = found.draw(0)
    assert found.backbone(draw).width < len(draw.train)
    assert found.describe()["taps"] == []
