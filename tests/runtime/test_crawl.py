"""Finding images: a stable order, no duplicates, no loops, nothing lost in silence."""

from __future__ import annotations

import contextlib
import os
import tempfile
import tracemalloc
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boost_edge.runtime import crawl
from boost_edge.runtime.errors import ImageError, UsageError
from boost_edge.runtime.images import IMAGE_SUFFIXES, read_bytes
from boost_edge.runtime.selection import Selection


def find_images(paths: Iterable[str | Path], **selection: Any) -> list[Path]:
    """Return all that the search yields."""
    found = list(crawl.find_images(paths, Selection(**selection)))
    # Written as pathlib writes them.
    assert found == [str(Path(path)) for path in found]
    return list(map(Path, found))


@contextlib.contextmanager
def unprivileged() -> Generator[None]:
    """Give up root's rights for a while: root may read everything."""
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


def plant(folder: Path, *names: str) -> None:
    """Create empty files, with the folders they need."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_files_first_then_subfolders_by_name(tmp_path: Path) -> None:
    """The order is by name, whatever order the disk has."""
    plant(tmp_path, "z.jpg", "b/2.png", "b/10.png", "b/a/deep.gif", "a/x.webp", "A.JPG")
    found = [str(path.relative_to(tmp_path)) for path in find_images([tmp_path])]
    assert found == ["A.JPG", "z.jpg", "a/x.webp", "b/10.png", "b/2.png", "b/a/deep.gif"]


def test_only_images_are_taken_from_folders(tmp_path: Path) -> None:
    """Other suffixes and hidden names are left out, suffixes count in either case."""
    plant(tmp_path, *(f"image{suffix}" for suffix in IMAGE_SUFFIXES), "IMAGE.TIFF")
    plant(tmp_path, "a.txt", "jpg", "labels.csv", ".hidden.jpg", ".git/x.jpg", "c.jpg.part")
    assert len(find_images([tmp_path])) == len(IMAGE_SUFFIXES) + 1


def test_what_is_named_is_taken(tmp_path: Path) -> None:
    """A file named directly needs no suffix, and a hidden folder named directly is searched."""
    plant(tmp_path, "noname", ".hidden/x.jpg", ".hidden/.y.jpg")
    named = [tmp_path / "noname", tmp_path / ".hidden"]
    assert find_images(named) == [tmp_path / "noname", tmp_path / ".hidden" / "x.jpg"]


def test_paths_stay_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path gives relative paths; order of the arguments is kept."""
    plant(tmp_path, "b/x.jpg", "a/y.jpg")
    monkeypatch.chdir(tmp_path)
    assert find_images(["b", Path("a")]) == [Path("b/x.jpg"), Path("a/y.jpg")]
    assert find_images(["."]) == [Path("a/y.jpg"), Path("b/x.jpg")]


def test_each_file_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file by another spelling, by its folder or by a link is listed once."""
    plant(tmp_path, "a/x.jpg", "a/b/y.jpg")
    (tmp_path / "a" / "z.jpg").symlink_to("x.jpg")
    (tmp_path / "again").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    expected = [Path("a/b/y.jpg"), Path("a/x.jpg")]
    given_paths: list[str | Path] = [
        "a/b/y.jpg",
        "a/b/../b/y.jpg",
        "a",
        "a",
        tmp_path / "a/b",
        "again",
        "a/z.jpg",
    ]
    assert find_images(given_paths) == expected


def test_two_dots_go_up_and_links_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path with ``..`` in it is stored as the same path without it, links elsewhere included."""
    plant(tmp_path, "away/deep/x.jpg", "here/x.jpg", "photos/x.jpg")
    (tmp_path / "photos" / "link").symlink_to("../away")
    (tmp_path / "here" / "to").symlink_to("../away/deep")
    monkeypatch.chdir(tmp_path / "here")
    stored = {
        "../photos/link/deep/x.jpg": "photos/link/deep/x.jpg",
        "../photos/link": "photos/link",
        "../photos/link/deep/../x.jpg": "photos/link/x.jpg",
        # Where a link leads, not where it stands.
        "to/../x.jpg": "away/x.jpg",
        "../here/./to/x.jpg": "here/to/x.jpg",
        "../gone/../photos": "photos",
        "..": "",
        "to/..": "away",
    }
    found = {given: crawl.absolute(given) for given in stored}
    assert found == {given: str(tmp_path / path) for given, path in stored.items()}
    assert crawl.absolute(f"{tmp_path}/here/../photos/link/") == f"{tmp_path}/photos/link"
    assert crawl.absolute("/../..") == "/"
    assert crawl.folder_prefix("..") == f"{tmp_path}/"
    assert find_images(["../photos"]) == [
        Path("../photos/x.jpg"), Path("../photos/link/deep/x.jpg")
    ]  # fmt: skip


def test_links_in_a_loop_end(tmp_path: Path) -> None:
    """A folder that contains itself by a link is searched once."""
    plant(tmp_path, "a/b/x.jpg")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(".")
    (tmp_path / "circle").symlink_to("circle")
    assert find_images([tmp_path]) == [tmp_path / "a" / "b" / "x.jpg"]


def test_linked_folder_is_searched(tmp_path: Path) -> None:
    """Images behind a link to a folder elsewhere are found under the link's name."""
    plant(tmp_path, "elsewhere/x.jpg")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to("../elsewhere")
    assert find_images([tmp_path / "here"]) == [tmp_path / "here" / "link" / "x.jpg"]


def test_names_of_any_bytes(tmp_path: Path) -> None:
    """Line breaks and bytes that are not UTF-8 in names are kept."""
    names = {os.fsdecode(name) for name in (b"two\nlines.jpg", b"caf\xe9.png")}
    plant(tmp_path, *names)
    assert {path.name for path in find_images([tmp_path])} == names


def test_unreadable_things_are_listed(tmp_path: Path) -> None:
    """A FIFO, a link to nothing and a circle called like images are listed, to be reported."""
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    found = find_images([tmp_path])
    assert [path.name for path in found] == ["fifo.jpg", "gone.jpg", "round.jpg"]
    reasons: list[str] = []
    for path in found:
        with pytest.raises(ImageError) as caught:
            read_bytes(path)
        reasons.append(caught.value.reason)
    assert reasons == ["not_a_file", "missing", "unreadable"]


def test_folder_that_may_not_be_listed_is_reported() -> None:
    """A forbidden subfolder is in the list, and reading it says why."""
    with tempfile.TemporaryDirectory() as name:  # tmp_path lies in a folder of its owner alone
        top = Path(name)
        top.chmod(0o755)
        plant(top, "a/x.jpg", "b/y.jpg")
        (top / "a").chmod(0)
        with unprivileged():
            assert find_images([top]) == [top / "a", top / "b" / "y.jpg"]
            with pytest.raises(ImageError) as caught:
                read_bytes(top / "a")
        (top / "a").chmod(0o700)
    assert caught.value.reason == "permission"


@pytest.mark.parametrize("name", ["absent", "two\nlines", "", "a\0b", "x" * 300, "file/below"])
def test_path_that_does_not_exist(tmp_path: Path, name: str) -> None:
    """A path that is not there is a usage error, on one line, that names it."""
    plant(tmp_path, "file")
    with pytest.raises(UsageError) as caught:
        find_images([f"{tmp_path}/{name}" if name else ""])
    assert "\n" not in str(caught.value)
    assert repr(name)[1:-1] in str(caught.value)


def test_a_single_path_is_not_a_list() -> None:
    """A path in place of the list is refused, not read letter by letter."""
    for single in ("photos", Path("photos")):
        with pytest.raises(UsageError, match="photos"):
            find_images(single)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - the mistake under test


@settings(max_examples=30, deadline=None)
@given(
    st.sets(
        st.lists(
            st.sampled_from(["a", "b.d", ".c", "x.jpg", "Y.PNG", "n.txt"]), min_size=1, max_size=3
        )
        .filter(lambda parts: all("." not in part[1:-2] for part in parts[:-1]))
        .map("/".join),
        max_size=12,
    )
)
def test_same_as_a_naive_search(names: set[str]) -> None:
    """The result is what pathlib finds, filtered by the rules."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        for relative in sorted(names):
            if relative.endswith((".jpg", ".PNG", ".txt")):
                plant(top, relative)
            else:
                (top / relative).mkdir(parents=True, exist_ok=True)
        expected = {
            path
            for path in top.rglob("*")
            if path.is_file()
            and path.suffix.lower() in IMAGE_SUFFIXES
            and not any(part.startswith(".") for part in path.relative_to(top).parts)
        }
        found = find_images([top])
        assert set(found) == expected
        assert len(found) == len(expected)


def test_patterns_choose_by_the_path_below_the_folder(tmp_path: Path) -> None:
    """Includes let in, excludes keep out, both for the whole path; a star crosses slashes."""
    plant(tmp_path, "a.jpg", "b.png", "thumbs/c.jpg", "x/d.jpg", "x/thumbs/e.jpg", "x/F.JPG")

    def names(**selection: Any) -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in find_images([tmp_path], **selection)]

    assert names(include=["*.jpg"]) == ["a.jpg", "thumbs/c.jpg", "x/d.jpg", "x/thumbs/e.jpg"]
    assert names(exclude=["thumbs/**"]) == [
        "a.jpg",
        "b.png",
        "x/F.JPG",
        "x/d.jpg",
        "x/thumbs/e.jpg",
    ]
    assert names(include=["x/*"], exclude=["*/thumbs/*", "*.JPG"]) == ["x/d.jpg"]
    assert names(include=["?.png", "[ab].jpg"]) == ["a.jpg", "b.png"]
    assert find_images([tmp_path / "a.jpg"], exclude=["*"]) == [tmp_path / "a.jpg"]


def test_hidden_names_are_taken_on_demand(tmp_path: Path) -> None:
    """With ``hidden``, names that begin with a dot are like any other."""
    plant(tmp_path, ".x.jpg", ".git/y.jpg", "z.jpg", ".jpg")
    assert [path.name for path in find_images([tmp_path])] == ["z.jpg"]
    assert [path.name for path in find_images([tmp_path], hidden=True)] == [
        ".x.jpg",
        "z.jpg",
        "y.jpg",
    ]


def test_a_folder_that_is_left_out_is_not_entered(tmp_path: Path) -> None:
    """A folder of which everything is excluded may be unreadable: nobody looks."""
    plant(tmp_path, "a.jpg", "no/b.jpg")
    entered: list[str] = []
    scandir = os.scandir

    def noted(path: Path) -> Any:
        entered.append(path.name)
        return scandir(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", noted)
        assert find_images([tmp_path], exclude=["no/*"]) == [tmp_path / "a.jpg"]
    assert entered == [tmp_path.name]


def test_links_and_names_are_found_once_in_any_order(tmp_path: Path) -> None:
    """A file comes under the first of its names, be that a link, itself, or the name given."""
    plant(tmp_path, "m.jpg", "a/n.jpg", "k.txt")
    (tmp_path / "b.jpg").symlink_to("m.jpg")
    (tmp_path / "z.jpg").symlink_to("a/n.jpg")
    (tmp_path / "c.jpg").symlink_to("k.txt")
    assert find_images([tmp_path]) == [tmp_path / name for name in ("b.jpg", "c.jpg", "z.jpg")]
    given = [tmp_path, tmp_path / "m.jpg", tmp_path / "a" / "n.jpg", tmp_path / "k.txt"]
    assert find_images(given) == [tmp_path / name for name in ("b.jpg", "c.jpg", "z.jpg")]
    given = [tmp_path / "a", tmp_path / "z.jpg", tmp_path / "k.txt", tmp_path]
    assert find_images(given) == [tmp_path / name for name in ("a/n.jpg", "k.txt", "b.jpg")]


def test_only_some_are_looked_at(tmp_path: Path) -> None:
    """Of what is asked for, only what is named or lies below a name comes, by the same rules."""
    plant(tmp_path, "in/a.jpg", "in/b/c.jpg", "in/b/d.txt", "in/.e.jpg", "out/f.jpg", "in/g.jpg")
    (tmp_path / "in" / "link.jpg").symlink_to("a.jpg")

    def among(*only: str, **selection: Any) -> list[str]:
        chosen = Selection(**selection)
        found = crawl.find_images_among(
            [tmp_path / "in", tmp_path / "out" / "f.jpg"],
            chosen,
            [tmp_path / each for each in only],
        )
        return [str(Path(path).relative_to(tmp_path)) for path in found]

    assert among("in/a.jpg", "in/b", "in/gone.jpg", "in/b/c.jpg") == ["in/a.jpg", "in/b/c.jpg"]
    assert among("in/.e.jpg", "in/link.jpg", "in/b/d.txt", "elsewhere") == []
    assert among("in/.e.jpg", hidden=True) == ["in/.e.jpg"]
    assert among("in/a.jpg", "in/b", exclude=["b/*"]) == ["in/a.jpg"]
    assert among("in", "out/f.jpg") == ["in/a.jpg", "in/g.jpg", "in/b/c.jpg", "out/f.jpg"]
    assert among("") == ["in/a.jpg", "in/g.jpg", "in/b/c.jpg"]


def peak_of_a_crawl(folder: Path) -> tuple[int, int]:
    """Return how many images a search finds, and the most memory it takes, in bytes."""
    tracemalloc.start()
    try:
        number = sum(1 for _ in crawl.find_images([folder]))
        return number, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """Searching 60,000 images takes no more memory than 2,000, but for a few bytes a folder."""
    peaks: dict[int, int] = {}
    for folders in (20, 600):
        top = tmp_path / str(folders)
        for folder in range(folders):
            inner = top / str(folder // 25) / str(folder)
            inner.mkdir(parents=True)
            (inner / "0.jpg").touch()
            for name in range(1, 100):
                # Another name of the same file costs no inode.
                (inner / f"{name}.jpg").hardlink_to(inner / "0.jpg")
        number, peaks[number] = peak_of_a_crawl(top)
    assert set(peaks) == {2000, 60_000}
    # A path alone takes more than 100 bytes.
    assert peaks[60_000] - peaks[2000] < 58_000 * 4


@given(
    pattern=st.text("ab*?/[].", min_size=1, max_size=8),
    folder=st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=3),
    below=st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=3),
)
def test_nothing_wanted_is_below_a_folder_that_is_not_entered(
    pattern: str, folder: list[str], below: list[str]
) -> None:
    """What is not entered holds nothing that the patterns let pass."""
    selection = Selection(exclude=[pattern], hidden=True)
    path = "/".join(folder)
    assert selection.enters(path) or not selection.passes("/".join([path, *below]))


def test_patterns_that_make_no_sense() -> None:
    """A pattern in place of the list, and an empty one, are refused."""
    for patterns in ("*.jpg", [""]):
        with pytest.raises(UsageError, match="pattern"):
            Selection(include=patterns)
