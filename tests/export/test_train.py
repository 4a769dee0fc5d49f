"""Training end to end: the run it writes, its repeatability, and what it refuses."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.export.training import TrainInto

from boost_edge.export import finetune, fit
from boost_edge.export.artefacts import read_tensors
from boost_edge.export.convert import export_model
from boost_edge.export.finetune_recipe import FINETUNE
from boost_edge.export.run import (
    HEAD_FILE,
    RunRecord,
    load_backbone,
    read_run,
    run_digest,
    run_of_weights,
    sample_paths,
)
from boost_edge.export.train import TrainSettings, train
from boost_edge.models.backbones import build_backbone, head_taps
from boost_edge.runtime.errors import LabelTableError, MissingExtraError, RunError, UsageError


def test_run_says_what_was_done(run_folder: Path) -> None:
    """The record names backbone, parts, losses and quality, and its files belong to it."""
    record = read_run(run_folder)
    assert record.backbone == "pca"
    assert record.training.images == {part: len(names) for part, names in record.parts.items()}
    assert sum(record.training.images.values()) == 80
    assert {each.name for each in record.attributes} >= {"type", "colour", "pattern"}
    assert {each.name for each in record.quality} <= {each.name for each in record.attributes}
    assert record.losses is not None
    assert len(record.losses.train) == record.training.epochs
    assert [path.name for path in sample_paths(run_folder)] == [e.name for e in record.samples]
    assert {len(each.codes) for each in record.samples} == {len(record.attributes)}
    assert not list(run_folder.glob("checkpoint*"))


def test_same_seed_same_run(
    train_into: TrainInto, run_folder: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """The same command gives the same files, byte for byte, with or without a feature cache."""
    out = tmp_path / "again"
    train_into(out, quick)
    for name in ("train.json", HEAD_FILE, "backbone.safetensors"):
        assert (out / name).read_bytes() == (run_folder / name).read_bytes(), name


def test_interrupted_run_goes_on(
    train_into: TrainInto,
    run_folder: Path,
    quick: TrainSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A training that is interrupted while fitting ends as if it had not been."""
    monkeypatch.setattr(fit, "_CHECKPOINT_INTERVAL", 0.0)
    out = tmp_path / "run"

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "training" and done == 3 < total:
            raise KeyboardInterrupt

    def start(progress: Callable[[str, int, int], None] | None = None) -> None:
        train_into(out, quick, progress=progress)

    with pytest.raises(KeyboardInterrupt):
        start(interrupt)
    with pytest.raises(RunError, match="not finished"):
        read_run(out)
    start()
    assert (out / "train.json").read_bytes() == (run_folder / "train.json").read_bytes()


def test_a_refit_run_knows_the_validation_images_and_goes_on(
    train_into: TrainInto, quick: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its head has seen all but the test part, its record is as before, and it resumes."""
    monkeypatch.setattr(fit, "_CHECKPOINT_INTERVAL", 0.0)
    again = dataclasses.replace(quick, recipe=dataclasses.replace(quick.recipe, refit=True))

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "training again" and done == 1 < total:
            raise KeyboardInterrupt

    once, twice, resumed = (tmp_path / name for name in ("once", "twice", "resumed"))
    train_into(once, quick)
    train_into(twice, again)
    first, second = read_run(once), read_run(twice)
    assert (first.losses, first.parts) == (second.losses, second.parts)
    before, after = read_tensors(once / HEAD_FILE)[0], read_tensors(twice / HEAD_FILE)[0]
    assert torch.equal(before["temperature"], after["temperature"])
    assert not torch.equal(before["mean"], after["mean"])
    with pytest.raises(KeyboardInterrupt):
        train_into(resumed, again, progress=interrupt)
    train_into(resumed, again)
    for name in ("train.json", HEAD_FILE):
        assert (resumed / name).read_bytes() == (twice / name).read_bytes(), name
    assert not list(resumed.glob("checkpoint*"))


def test_finished_run_is_not_overwritten(
    catalogue: Path, run_folder: Path, quick: TrainSettings
) -> None:
    """A folder that holds a finished run is refused before anything is read."""
    with pytest.raises(UsageError, match="already holds a finished run"):
        train(catalogue / "labels.csv", images=catalogue / "images", out=run_folder, settings=quick)


def test_raw_readout_trains_no_head(
    train_into: TrainInto, quick: TrainSettings, tmp_path: Path
) -> None:
    """The baseline writes a run like any other, without a head."""
    report = train_into(tmp_path / "raw", dataclasses.replace(quick, readout="raw"))
    assert report.record.head_width is None
    assert report.record.attributes == ()
    assert report.record.quality == ()
    assert not (tmp_path / "raw" / HEAD_FILE).exists()
    assert read_run(tmp_path / "raw") == report.record


def test_taps_by_default_are_those_that_suit_what_is_trained(
    train_into: TrainInto, quick: TrainSettings, tmp_path: Path
) -> None:
    """A head reads early stages on grids; raw features are those of the network's end."""
    network = dataclasses.replace(quick, backbone="resnet18_w40", weights="none", image_size=64)
    read = train_into(tmp_path / "read", network).record
    assert read.taps == head_taps("resnet18_w40", 64)
    assert read.features == load_backbone(tmp_path / "read", read).width == (40 + 80 + 160) * 16
    raw = train_into(tmp_path / "raw", dataclasses.replace(network, readout="raw")).record
    assert raw.taps == ("layer4",)
    whole = train_into(tmp_path / "whole", finetuning(quick)).record
    assert whole.taps == ("layer4",)
    paper = dataclasses.replace(network.recipe, width=None)
    assert train_into(
        tmp_path / "paper", dataclasses.replace(network, recipe=paper)
    ).record.taps == ("layer4",)
    taken = dataclasses.replace(network, weights=str(tmp_path / "read"))
    assert train_into(tmp_path / "taken", taken).record.taps == read.taps


def gappy(catalogue: Path, folder: Path) -> Path:
    """Copy the catalogue, with one image deleted and one damaged."""
    shutil.copytree(catalogue, folder)
    first, second = sorted((folder / "images").iterdir())[:2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:40])
    return folder


def test_gaps_are_reported(catalogue: Path, quick: TrainSettings, tmp_path: Path) -> None:
    """Missing and unreadable images are left out, and each is named."""
    folder = gappy(catalogue, tmp_path / "gappy")
    report = train(
        folder / "labels.csv",
        images=folder / "images",
        out=tmp_path / "run",
        settings=quick,
        cache=tmp_path / "cache",
    )
    assert len(report.missing) == 1
    assert [error.reason for error in report.skipped] == ["damaged"]
    assert sum(report.record.training.images.values()) == 78


def test_strict_refuses_missing_images(
    catalogue: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """With ``strict`` nothing is written when an image is missing."""
    folder = gappy(catalogue, tmp_path / "gappy")
    with pytest.raises(LabelTableError, match="1 image missing"):
        train(
            folder / "labels.csv",
            images=folder / "images",
            out=tmp_path / "run",
            settings=dataclasses.replace(quick, strict=True),
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["train.json", HEAD_FILE, "backbone.safetensors"])
def test_damaged_run_is_refused(run_folder: Path, tmp_path: Path, name: str) -> None:
    """A run with a damaged or absent file is named, not used."""
    copy = tmp_path / "run"
    shutil.copytree(run_folder, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (copy / name).write_bytes(content)
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        read_run(copy)
    (copy / name).unlink()
    with pytest.raises(RunError, match="train"):
        read_run(copy)


def test_unknown_run_format_is_refused(run_folder: Path, tmp_path: Path) -> None:
    """A run of a later format, or with a key nobody knows, is not guessed at."""
    shutil.copytree(run_folder, tmp_path / "run")
    record = tmp_path / "run" / "train.json"
    text = record.read_text(encoding="utf-8")
    record.write_text(text.replace('"format_version": 1', '"format_version": 2'), encoding="utf-8")
    with pytest.raises(RunError, match="format 2 is not known"):
        read_run(tmp_path / "run")
    record.write_text(text.replace('"blend"', '"blnd"'), encoding="utf-8")
    with pytest.raises(RunError, match="blend, blnd"):
        read_run(tmp_path / "run")


def finetuning(
    settings: TrainSettings, *, consistent: bool = False, **others: object
) -> TrainSettings:
    """Return settings that train a whole network in seconds."""
    recipe = dataclasses.replace(FINETUNE, epochs=2, batch_size=16, consistent=consistent)
    changed = {"backbone": "resnet18_w40", "weights": "none", "image_size": 32, **others}
    return dataclasses.replace(settings, finetune=recipe, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("consistent", [False, True])
def test_finetuned_run_is_a_run_like_any_other(
    consistent: bool, catalogue: Path, quick: TrainSettings, run_folder: Path, tmp_path: Path
) -> None:
    """Its backbone was trained, its record says how and by which teacher, it can be exported."""
    whole = tmp_path / "run"
    settings = finetuning(quick, consistent=consistent, teachers=(run_folder,))
    report = train(
        catalogue / "labels.csv",
        images=catalogue / "images",
        out=whole,
        settings=settings,
        cache=tmp_path / "cache",
    )
    assert read_run(whole) == report.record
    assert len(report.record.finetune) == 2
    assert len(report.record.finetune[-1].accuracy) == len(report.record.attributes)
    said = report.record.training.settings
    assert said["finetune_epochs"] == 2
    assert said["finetune_consistent"] is consistent
    assert said["finetune_teacher_run"] == run_digest(run_folder)
    assert report.record.weights.name == "finetuned"
    assert "labels.csv" in report.record.weights.source
    frozen = build_backbone("resnet18_w40", weights="none", image_size=32).state_dict()
    trained = load_backbone(whole, report.record).state_dict()
    assert all(
        not torch.equal(frozen[name], value)
        for name, value in trained.items()
        if name.endswith("conv1.weight")
    )
    manifest = export_model(whole, tmp_path / "model.onnx")
    assert manifest.parity is not None
    assert manifest.weights == report.record.weights
    names = sorted(path.name for path in whole.iterdir())
    assert names == ["backbone.safetensors", "head.safetensors", "samples", "train.json"]


def test_what_the_network_was_trained_on_is_no_test(
    catalogue: Path, quick: TrainSettings, run_folder: Path, tmp_path: Path
) -> None:
    """Images that a finetuned network, or a teacher, was trained on are left out, and counted."""
    run = partial(
        train, catalogue / "labels.csv", images=catalogue / "images", cache=tmp_path / "cache"
    )
    first = run(out=tmp_path / "first", settings=finetuning(quick)).record
    settings = dataclasses.replace(
        quick, backbone="resnet18_w40", weights=str(tmp_path / "first"), image_size=32
    )
    again = run(out=tmp_path / "again", settings=settings)
    assert again.known == 0
    assert again.record.parts["test"] == first.parts["test"]
    fitted = {*first.parts["train"], *first.parts["val"]}
    # Of the run that took the network over, too.
    for weights in ("first", "again"):
        other = run(
            out=tmp_path / f"other-{weights}",
            settings=dataclasses.replace(settings, weights=str(tmp_path / weights), seed=1),
        )
        assert other.known == 8 - len(other.record.parts["test"]) > 0
        assert not fitted & set(other.record.parts["test"])
    taught = run(
        out=tmp_path / "taught", settings=finetuning(quick, seed=1, teachers=(run_folder,))
    )
    assert taught.known == other.known
    frozen = dataclasses.replace(quick, weights=str(run_folder), seed=1)
    assert run(out=tmp_path / "frozen", settings=frozen).known == 0


def test_an_unfinished_finetuning_is_not_lost(
    catalogue: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """Training a frozen network into its folder is refused: it would delete hours of work."""
    checkpoint = tmp_path / "run" / "checkpoint-finetune.safetensors"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"hours")
    with pytest.raises(RunError, match="unfinished training with --finetune"):
        train(
            catalogue / "labels.csv",
            images=catalogue / "images",
            out=tmp_path / "run",
            settings=quick,
        )
    assert checkpoint.read_bytes() == b"hours"


def test_without_validation_all_is_training(
    train_into: TrainInto, quick: TrainSettings, tmp_path: Path
) -> None:
    """What the head was fitted to is called training, also where the recipe validates nothing."""
    recipe = dataclasses.replace(quick.recipe, validation=False)
    record = train_into(tmp_path / "run", dataclasses.replace(quick, recipe=recipe)).record
    assert record.training.images == {"train": 72, "val": 0, "test": 8}
    assert {each.part for each in record.samples} == {"train", "test"}


@pytest.mark.parametrize("name", ["none", "imagenet"])
def test_a_folder_is_not_meant(
    name: str,
    train_into: TrainInto,
    quick: TrainSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever folders there are, the words for weights mean what they mean."""
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert run_of_weights(name) is None
    assert run_of_weights(f"./{name}") == Path(name)
    if name == "none":
        settings = dataclasses.replace(
            quick, backbone="resnet18_w40", weights=name, taps=("layer1",), image_size=32
        )
        record = train_into(tmp_path / "run", settings).record
        assert record.weights.name == "none"


def test_a_finetuned_network_without_a_head(
    train_into: TrainInto, quick: TrainSettings, tmp_path: Path
) -> None:
    """Its record says how the network was trained."""
    report = train_into(tmp_path / "run", finetuning(quick, readout="raw"))
    assert report.record.training.settings["finetune_epochs"] == 2
    assert len(report.record.finetune) == 2
    assert read_run(tmp_path / "run") == report.record


def test_backbone_of_a_run_is_taken_over(
    catalogue: Path, quick: TrainSettings, run_folder: Path, tmp_path: Path
) -> None:
    """A run's backbone serves another run: the same features and head; another one is refused."""
    run = partial(
        train, catalogue / "labels.csv", images=catalogue / "images", cache=tmp_path / "cache"
    )
    first = read_run(run_folder)
    settings = dataclasses.replace(quick, weights=str(run_folder))
    again = run(out=tmp_path / "run", settings=settings)
    assert again.record.backbone_sha256 == first.backbone_sha256
    assert again.record.quality == first.quality
    assert again.record.weights.sha256 == first.backbone_sha256
    for changes, says in (
        ({"backbone": "resnet18"}, "give --backbone pca"),
        ({"taps": ("pca8",)}, "leave --tap out"),
    ):
        with pytest.raises(UsageError, match=says):
            run(out=tmp_path / "other", settings=dataclasses.replace(settings, **changes))


def test_backbone_of_a_run_is_tapped_elsewhere(
    catalogue: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """The same network serves a head that sees its earlier stages too, but ends where it ended."""
    run = partial(
        train, catalogue / "labels.csv", images=catalogue / "images", cache=tmp_path / "cache"
    )
    settings = dataclasses.replace(
        quick, backbone="resnet18", weights="none", taps=("layer2",), image_size=32
    )
    first = run(out=tmp_path / "first", settings=settings).record
    settings = dataclasses.replace(settings, weights=str(tmp_path / "first"))
    both = run(
        out=tmp_path / "both", settings=dataclasses.replace(settings, taps=("layer1:2x2", "layer2"))
    ).record
    assert both.taps == ("layer1:2x2", "layer2")
    assert both.features == 4 * 64 + first.features
    assert both.backbone_sha256 == first.backbone_sha256
    for tap in ("layer1", "layer3"):
        with pytest.raises(UsageError, match="ends at layer2: leave --tap out, or give taps that"):
            run(out=tmp_path / "no", settings=dataclasses.replace(settings, taps=(tap,)))


def test_interrupted_finetuning_goes_on(
    catalogue: Path, quick: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training of a whole network that is interrupted ends as if it had not been."""
    monkeypatch.setattr(finetune, "_CHECKPOINT_INTERVAL", 0.0)
    settings = finetuning(quick)

    def interrupt(stage: str, done: int, _total: int) -> None:
        if stage == "finetuning" and done == 5:
            raise KeyboardInterrupt

    def start(out: Path, progress: Callable[[str, int, int], None] | None = None) -> RunRecord:
        return train(
            catalogue / "labels.csv", images=catalogue / "images", out=out, settings=settings,
            cache=tmp_path / "cache", progress=progress,
        ).record  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "run", interrupt)
    with pytest.raises(RunError, match="not finished"):
        read_run(tmp_path / "run")
    resumed, whole = start(tmp_path / "run"), start(tmp_path / "whole")
    assert resumed.backbone_sha256 == whole.backbone_sha256
    assert resumed.quality == whole.quality


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"attributes": ("colour", "type")}, "train it on the same labels"),
        ({"attributes": ("type",)}, "train it on the same labels"),
    ],
)
@pytest.mark.parametrize("consistent", [False, True])
def test_teacher_of_other_labels_is_refused(
    consistent: bool,
    changes: dict[str, object],
    says: str,
    catalogue: Path,
    quick: TrainSettings,
    run_folder: Path,
    tmp_path: Path,
) -> None:
    """A teacher must know the student's attributes, in its order, however it teaches."""
    settings = finetuning(quick, consistent=consistent, teachers=(run_folder,), **changes)
    with pytest.raises(UsageError, match=says):
        train(
            catalogue / "labels.csv",
            images=catalogue / "images",
            out=tmp_path / "run",
            settings=settings,
        )


def test_a_consistent_teacher_of_another_resize_policy_is_refused(
    catalogue: Path, quick: TrainSettings, run_folder: Path, tmp_path: Path
) -> None:
    """It would be shown what it never learnt from."""
    settings = finetuning(quick, consistent=True, teachers=(run_folder,), resize="letterbox")
    with pytest.raises(UsageError, match="train both with the same"):
        train(
            catalogue / "labels.csv",
            images=catalogue / "images",
            out=tmp_path / "run",
            settings=settings,
        )


def test_teacher_without_head_is_refused(
    catalogue: Path, quick: TrainSettings, tmp_path: Path
) -> None:
    """A run of raw features has nothing to teach, which is said before any picture is read."""
    run = partial(
        train, catalogue / "labels.csv", images=catalogue / "images", cache=tmp_path / "cache"
    )
    raw = dataclasses.replace(quick, readout="raw")
    run(out=tmp_path / "raw", settings=raw)
    with pytest.raises(UsageError, match="no head to teach with"):
        run(out=tmp_path / "run", settings=finetuning(quick, teachers=(tmp_path / "raw",)))
    assert not (tmp_path / "run").exists()


def test_teacher_of_other_attributes_is_refused(
    catalogue: Path, quick: TrainSettings, run_folder: Path, tmp_path: Path
) -> None:
    """What a teacher says must be about the student's attributes; nothing is written before."""
    settings = finetuning(quick, teachers=(run_folder,), attributes=("type",))
    with pytest.raises(UsageError, match=r"knows the attributes .*, not type"):
        train(
            catalogue / "labels.csv",
            images=catalogue / "images",
            out=tmp_path / "run",
            settings=settings,
        )
    assert not (tmp_path / "run").exists()


def test_a_contrastive_recipe_needs_its_library_before_any_work(
    catalogue: Path, quick: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run records the weight of the loss; without the library no picture is decoded."""
    recipe = dataclasses.replace(quick.recipe, contrast=0.5)
    settings = dataclasses.replace(quick, recipe=recipe, attributes=("type",))
    learn = partial(train, catalogue / "labels.csv", images=catalogue / "images", settings=settings)
    learn(out=tmp_path / "run")
    assert read_run(tmp_path / "run").training.settings["contrast"] == 0.5
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", None)
    monkeypatch.setattr("boost_edge.export.train.extract_features", None)
    with pytest.raises(MissingExtraError, match="pytorch-metric-learning"):
        learn(out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_mixtures_need_a_teacher_who_looks_at_them() -> None:
    """No label is right for two pictures at once, so a recipe without such a teacher is refused."""
    mixed = dataclasses.replace(FINETUNE.augmentation, mixup=0.5)
    assert dataclasses.replace(FINETUNE, augmentation=mixed, consistent=True).augmentation == mixed
    with pytest.raises(UsageError, match="--consistent too"):
        dataclasses.replace(FINETUNE, augmentation=mixed)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"backbone": "pca"}, "cannot be trained as a whole"),
        ({"finetune": None}, "finetune"),
        (
            {"finetune": dataclasses.replace(FINETUNE, consistent=True), "teachers": ()},
            "give --teacher RUN too",
        ),
    ],
)
def test_impossible_finetunings_are_refused(
    changes: dict[str, object],
    says: str,
    catalogue: Path,
    quick: TrainSettings,
    run_folder: Path,
    tmp_path: Path,
) -> None:
    """PCA has no weights to train, and a teacher needs somebody to teach."""
    settings = dataclasses.replace(finetuning(quick, teachers=(run_folder,)), **changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=says):
        train(
            catalogue / "labels.csv",
            images=catalogue / "images",
            out=tmp_path / "run",
            settings=settings,
        )
