"""Duplicates: exact copies by their bytes, near ones by their cosine, never mixed."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boost_edge import Encoder, Gallery
from boost_edge.runtime.duplicates import exact_copies, near_copies
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.images import content_digest

WritePicture = Callable[..., Path]


def naive_groups(pairs: list[tuple[str, str]], order: list[str]) -> list[list[str]]:
    """Merge pairs until nothing changes; sort by the order in which the images came."""
    groups = [set(pair) for pair in pairs]
    for _ in range(len(groups)):
        for one, other in itertools.combinations(groups, 2):
            if one & other:
                one |= other
                groups.remove(other)
                break
    return sorted(
        (sorted(group, key=order.index) for group in groups),
        key=lambda group: order.index(group[0]),
    )


def naive_exact(gallery: Gallery) -> list[list[str]]:
    """Compare the bytes of all files, two by two."""
    order = gallery.paths()
    contents = {path: Path(path).read_bytes() for path in order}
    pairs = [
        (one, other)
        for one, other in itertools.combinations(order, 2)
        if contents[one] == contents[other]
    ]
    return naive_groups(pairs, order)


def naive_near(gallery: Gallery, threshold: float) -> list[list[str]]:
    """Compare the embeddings of the first of each content, two by two."""
    order = gallery.paths()
    first: dict[str, str] = {}
    for path in order:
        first.setdefault(content_digest(Path(path).read_bytes()), path)
    distinct = list(first.values())
    embeddings = gallery.encoder.encode(distinct)
    pairs = [
        (distinct[one], distinct[other])
        for one, other in itertools.combinations(range(len(distinct)), 2)
        if np.vecdot(embeddings[one], embeddings[other]) >= threshold
    ]
    return naive_groups(pairs, order)


@pytest.fixture
def crowded(gallery: Gallery, pictures: Path) -> Gallery:
    """Return a gallery of nine pictures, some of them several times."""
    for number in range(20):
        shutil.copy(pictures / "red" / "0.png", pictures / f"a{number}.png")
    shutil.copy(pictures / "blue" / "1.png", pictures / "green" / "7.png")
    gallery.index([pictures])
    return gallery


def lists(groups: tuple[tuple[str, ...], ...]) -> list[list[str]]:
    """Return groups as lists."""
    return [list(group) for group in groups]


def test_exact_copies_are_as_a_naive_comparison_finds(crowded: Gallery) -> None:
    """Files with the same bytes are one group, all others are in none."""
    found = lists(exact_copies(crowded.path))
    assert found == naive_exact(crowded)
    assert sorted(map(len, found)) == [2, 21]


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.97, 0.99, 0.999, 1.0])
@pytest.mark.parametrize("exact_limit", [0, 1000])
def test_near_copies_are_as_a_naive_comparison_finds(
    crowded: Gallery, threshold: float, exact_limit: int
) -> None:
    """Both ways, through all pairs and through searches, give the naive groups."""
    found = lists(near_copies(crowded.path, threshold, exact_limit=exact_limit))
    assert found == naive_near(crowded, threshold)


@pytest.mark.parametrize("exact_limit", [0, 1000])
def test_equal_embeddings_are_nearly_the_same(
    gallery: Gallery, write_picture: WritePicture, tmp_path: Path, exact_limit: int
) -> None:
    """However the product of an embedding with itself is rounded, its cosine is 1."""
    pairs: list[list[str]] = []
    for seed in range(20):
        one = write_picture(tmp_path / "in" / f"{seed:02}.png", "red", seed=seed)
        other = one.with_name(f"{seed:02}_.png")
        # What follows the picture is not looked at.
        other.write_bytes(one.read_bytes() + b"other bytes")
        pairs.append([str(one), str(other)])
    gallery.index([tmp_path / "in"])
    embeddings = gallery.encoder.encode([one for one, _ in pairs])
    assert (np.vecdot(embeddings, embeddings) < 1).any()
    assert lists(near_copies(gallery.path, 1, exact_limit=exact_limit)) == pairs


def test_deleted_images_are_no_copies(crowded: Gallery, pictures: Path) -> None:
    """What was pruned is not listed; its copy stands alone."""
    (pictures / "green" / "7.png").unlink()
    crowded.index([pictures], prune=True)
    assert sorted(map(len, exact_copies(crowded.path))) == [21]


def test_nothing_is_twice_in_an_empty_gallery(gallery: Gallery) -> None:
    """Without images there are no groups."""
    assert exact_copies(gallery.path) == ()
    assert near_copies(gallery.path, 0.5) == ()


def test_what_makes_no_sense_is_refused(gallery: Gallery, tmp_path: Path) -> None:
    """A threshold out of range and a folder that is no gallery are wrong usage."""
    for threshold in (0.0, -1.0, 1.1, float("nan")):
        with pytest.raises(UsageError, match="threshold"):
            near_copies(gallery.path, threshold)
    with pytest.raises(UsageError, match="the threshold is '1', but must be a number"):
        near_copies(gallery.path, "1")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="no gallery"):
        exact_copies(tmp_path / "absent")
    with pytest.raises(UsageError, match="no gallery"):
        near_copies(tmp_path / "absent", 0.9)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    contents=st.lists(st.integers(0, 5), max_size=12), threshold=st.floats(0.1, 1, exclude_min=True)
)
def test_groups_share_nothing(
    contents: list[int],
    threshold: float,
    encoder: Encoder,
    write_picture: WritePicture,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Each image is in one group at most; exact copies are all there, near ones are distinct."""
    folder = tmp_path_factory.mktemp("property")
    for number, content in enumerate(contents):
        write_picture(folder / "in" / f"{number}.png", "red", seed=content)
    (folder / "in").mkdir(exist_ok=True)
    with Gallery.open(folder / "gallery", encoder) as gallery:
        gallery.index([folder / "in"])
        exact, near = exact_copies(gallery.path), near_copies(gallery.path, threshold)
    for groups in (exact, near):
        listed = [path for group in groups for path in group]
        assert len(set(listed)) == len(listed)
        assert all(len(group) > 1 for group in groups)
    copies = {content: contents.count(content) for content in set(contents)}
    assert sorted(map(len, exact)) == sorted(count for count in copies.values() if count > 1)
    by_path = {str(folder / "in" / f"{number}.png"): each for number, each in enumerate(contents)}
    for group in near:
        assert len({by_path[path] for path in group}) == len(group)
