"""What is relevant to what, and which images are asked: the paper's protocol, for any labels.

Images are grouped by all their attributes; some groups are drawn, some images of each, and these
are split into a training and a test part. An image is relevant to another only within a group, by
the share of the words of its name that the other's name has too.

Source: Mersha, "Boosting image retrieval with accurately labelled small data", and its code
(leobitz/boosting_image_retrieval, ``proc_lib.py``), for seven attributes and product names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import UsageError

__all__ = [
    "PAPER",
    "Protocol",
    "Sample",
    "draw_groups",
    "group_rows",
    "name_words",
    "number_groups",
    "relevance",
    "relevance_matrix",
    "sample_rows",
    "unseen_groups",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How many images are drawn, and how they are split.

    ``groups`` groups are drawn among those with at least ``min_size`` images, ``per_group`` images
    of each; ``test`` of them all are the test part, the others the training part.
    """

    groups: int = 100
    per_group: int = 40
    min_size: int = 40
    test: int = 1000


PAPER = Protocol()
"""The paper's numbers: 3,000 training and 1,000 test images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The rows drawn, in the order to use them: ``train`` and ``test``, 1-D int64, disjoint."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def group_rows(codes: NDArray[np.int64], *, min_size: int = 1) -> list[NDArray[np.int64]]:
    """Group the rows whose attributes all agree.

    Parameters
    ----------
    codes
        (N, A) the attributes' values as numbers, below 0 where unknown. A row with an unknown
        value is in no group.
    min_size
        Smaller groups are left out.

    Returns
    -------
    The groups in ascending order of their codes, each the rows in ascending order.

    Raises
    ------
    UsageError
        When ``codes`` is not two-dimensional, or has no column.
    """
    numbers = number_groups(codes)
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] >= 0]
    if not order.size:
        return []
    starts = np.flatnonzero(np.diff(numbers[order])) + 1
    return [group for group in np.split(order, starts) if len(group) >= min_size]


def sample_rows(
    codes: NDArray[np.int64], keys: Sequence[str], *, seed: int, protocol: Protocol = PAPER
) -> Sample:
    """Draw the groups and images of one run of the protocol, and split them.

    Parameters, order and errors are those of ``draw_groups``; ``protocol`` says how many.

    Raises
    ------
    UsageError
        Also when the protocol asks for a part that cannot be.
    """
    _check_protocol(protocol)
    rows = draw_groups(
        codes,
        keys,
        seed=seed,
        groups=protocol.groups,
        per_group=protocol.per_group,
        min_size=protocol.min_size,
    )
    split = len(rows) - protocol.test
    return Sample(train=rows[:split], test=rows[split:])


def draw_groups(
    codes: NDArray[np.int64],
    keys: Sequence[str],
    *,
    seed: int,
    groups: int,
    per_group: int,
    min_size: int | None = None,
) -> NDArray[np.int64]:
    """Draw groups of rows whose attributes all agree, and rows of each.

    Everything is drawn in the order of sha256 digests of the seed with a group's codes or an
    image's key. So the result does not depend on the order of the rows, the machine or the
    version of a random generator: the same seed gives the same images in the same order.

    Parameters
    ----------
    codes
        (N, A) as in ``group_rows``.
    keys
        N distinct names of the images, such as their file names.
    seed
        Chooses another sample.
    groups, per_group
        How many groups are drawn, and rows of each.
    min_size
        Smaller groups are not drawn; ``None`` for ``per_group``.

    Returns
    -------
    (groups x per_group,) int64 rows, in the order to use them.

    Raises
    ------
    UsageError
        When there are too few groups, or the keys are not N distinct ones.
    """
    if len(keys) != len(codes) or len(set(keys)) != len(keys):
        raise UsageError(f"{len(codes)} rows need as many distinct keys, not {len(set(keys))}")
    smallest = per_group if min_size is None else min_size
    found = group_rows(codes, min_size=smallest)
    if len(found) < groups:
        raise UsageError(
            f"only {len(found)} groups have {smallest} images with equal attributes, but "
            f"{groups} are wanted: ask for fewer, or smaller ones"
        )
    names = [":".join(str(code) for code in codes[group[0]]) for group in found]
    drawn: list[int] = []
    for place in _shuffled(names, f"{seed}:group")[:groups]:
        group = found[place]
        members = _shuffled([keys[int(row)] for row in group], f"{seed}:member")
        drawn.extend(int(group[member]) for member in members[:per_group])
    order = _shuffled([keys[row] for row in drawn], f"{seed}:order")
    return np.array([drawn[place] for place in order], np.int64)


def unseen_groups(
    codes: NDArray[np.int64], rows: NDArray[np.int64], *, test: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows so that no group stands on both sides.

    Parameters
    ----------
    codes
        (N, A) as in ``group_rows``.
    rows
        The rows to split, each in a group; their order is kept on both sides.
    test
        Whole groups are taken, in an order that depends on the seed and their codes, until the
        test side has at least this many rows; one group at least is left to train on.
    seed
        Chooses other groups.

    Returns
    -------
    The rows to train on, and those to test on.

    Raises
    ------
    UsageError
        When the rows make fewer than two groups, or one is in none.
    """
    numbers = number_groups(codes[rows])
    if (numbers < 0).any() or len(set(numbers.tolist())) < 2:
        raise UsageError("to keep groups apart, every row needs a group, and two groups at least")
    members = group_rows(codes[rows])
    names = [":".join(str(code) for code in codes[rows[group[0]]]) for group in members]
    held = np.zeros(len(rows), np.bool_)
    for place in _shuffled(names, f"{seed}:unseen")[: len(members) - 1]:
        if held.sum() >= test:
            break
        held[members[place]] = True
    return rows[~held], rows[held]


def name_words(name: str) -> list[str]:
    """Split a name into words as the paper's code does.

    Lower case, ``" & "`` joined to ``"-"``, cut at single spaces: two spaces in a row make an
    empty word, which counts like any other, and a word said twice counts twice.
    """
    return name.lower().strip().replace(" & ", "-").split(" ")


def relevance(
    query_codes: Iterable[int], other_codes: Iterable[int], query_name: str, other_name: str
) -> float:
    """Return how relevant another image is to a query, in [0, 1]: the definition, one pair.

    It is 0 unless all attributes are known and agree; then it is the share of the words of the
    query's name that the other's name has. It is not symmetric.
    """
    for mine, theirs in zip(query_codes, other_codes, strict=True):
        if mine < 0 or mine != theirs:
            return 0.0
    words, others = name_words(query_name), set(name_words(other_name))
    return sum(word in others for word in words) / len(words)


def relevance_matrix(codes: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.float32]:
    """Return the relevance of every image to every query, as ``relevance`` defines it.

    Parameters
    ----------
    codes
        (N, A) as in ``group_rows``.
    names
        N names.

    Returns
    -------
    (N, N) float32, the query's row by the other's column; the diagonal is 0, because a query is
    not its own answer. Beyond this matrix only the names' words are held in memory.

    Raises
    ------
    UsageError
        When ``codes`` is not two-dimensional, or there are not N names.
    """
    if len(names) != len(codes):
        raise UsageError(f"{len(codes)} rows need as many names, not {len(names)}")
    words = [Counter(name_words(name)) for name in names]
    holders: dict[tuple[int, str], list[int]] = {}
    for row, group in enumerate(number_groups(codes).tolist()):
        if group >= 0:
            for word in words[row]:
                holders.setdefault((group, word), []).append(row)
    matrix = np.zeros((len(codes), len(codes)), np.float32)
    for (_, word), rows in holders.items():
        if len(rows) > 1:
            counts = np.array([words[row][word] for row in rows], np.float32)
            matrix[np.ix_(rows, rows)] += counts[:, None]
    matrix /= np.array([counter.total() for counter in words], np.float32)[:, None]
    np.fill_diagonal(matrix, 0)
    return matrix


def number_groups(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the group of every row, (N,), ascending with the groups' codes; -1 for none.

    ``codes`` are (N, A) as in ``group_rows``, whose errors it raises.
    """
    if codes.ndim != 2 or codes.shape[1] == 0:
        raise UsageError(f"codes of shape {codes.shape} given: (rows, attributes) needed")
    from boost_edge.export.combinations import number_combinations

    return number_combinations(codes)


def _check_protocol(protocol: Protocol) -> None:
    counts = (protocol.groups, protocol.per_group, protocol.test)
    if min(counts) < 1 or protocol.min_size < protocol.per_group:
        raise UsageError(f"{protocol}: counts must be at least 1, and min_size at least per_group")
    if protocol.test >= protocol.groups * protocol.per_group:
        raise UsageError(f"{protocol}: the test part would leave nothing to train on")


def _shuffled(names: Sequence[str], salt: str) -> list[int]:
    """Return the places of distinct names in the order of their salted digests."""
    digests = [
        hashlib.sha256(f"{salt}:{name}".encode("utf-8", "surrogatepass")).digest() for name in names
    ]
    return sorted(range(len(names)), key=digests.__getitem__)
