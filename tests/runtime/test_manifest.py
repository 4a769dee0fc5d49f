"""The manifest inside a model: it survives a round trip, and nothing unknown passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boost_edge.runtime.errors import ModelFileError
from boost_edge.runtime.manifest import (
    PRECISIONS,
    READOUTS,
    RESIZE_POLICIES,
    Attribute,
    AttributeQuality,
    ImageSpec,
    Manifest,
    Parity,
    Quantisation,
    Training,
    Weights,
)

TEXT = st.text(max_size=8)
LABEL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
SHARE = st.floats(0, 1)
COUNT = st.integers(0, 10**9)


def manifests() -> st.SearchStrategy[Manifest]:
    """Return a strategy for any manifest of this version."""
    optional_text = st.none() | TEXT
    value = st.floats(allow_nan=False, allow_infinity=False) | st.integers() | TEXT | st.booleans()
    return st.builds(
        Manifest,
        format_version=st.just(1),
        created_with=TEXT,
        backbone=TEXT,
        taps=st.lists(TEXT, max_size=3).map(tuple),
        weights=st.builds(
            Weights, name=TEXT, source=TEXT, sha256=optional_text, licence=optional_text
        ),
        image=st.builds(
            ImageSpec,
            size=COUNT,
            resize=st.sampled_from(RESIZE_POLICIES),
            decode=st.sampled_from([None, "reduced"]),
        ),
        features=COUNT,
        readout=st.sampled_from(READOUTS),
        dimensions=COUNT,
        attributes=st.lists(
            st.builds(Attribute, name=LABEL, values=st.lists(LABEL, max_size=3).map(tuple)),
            max_size=3,
        ).map(tuple),
        training=st.none()
        | st.builds(
            Training,
            labels_sha256=TEXT,
            images_sha256=TEXT,
            images=st.dictionaries(TEXT, COUNT, max_size=3),
            recipe=TEXT,
            settings=st.dictionaries(TEXT, st.none() | value, max_size=4),
            seed=COUNT,
            epochs=COUNT,
        ),
        run_sha256=optional_text,
        precision=st.sampled_from(PRECISIONS),
        parity=st.none()
        | st.builds(
            Parity,
            images=COUNT,
            max_abs_difference=SHARE,
            min_cosine=SHARE,
            top10_overlap=SHARE,
        ),
        quality=st.lists(
            st.builds(
                AttributeQuality,
                name=TEXT,
                images=COUNT,
                accuracy=SHARE,
                majority=SHARE,
                calibration_error=SHARE,
                temperature=SHARE,
            ),
            max_size=2,
        ).map(tuple),
        quantisation=st.none()
        | st.builds(
            Quantisation,
            layers=COUNT,
            fp32_layers=COUNT,
            reduce_range=st.booleans(),
            calibration_images=COUNT,
            images=COUNT,
            map10_fp32=SHARE,
            map10_int8=SHARE,
            loss_low=SHARE,
            loss_high=SHARE,
            max_loss=SHARE,
            fp32_ms=SHARE,
            int8_ms=SHARE,
            processor=TEXT,
        ),
    )


def example() -> dict[str, Any]:
    """Return the JSON of a plain manifest."""
    manifest = Manifest(
        format_version=1,
        created_with="boost-edge",
        backbone="resnet18",
        taps=("layer3",),
        weights=Weights(name="none", source="random", sha256=None, licence=None),
        image=ImageSpec(size=224, resize="crop"),
        features=256,
        readout="raw",
        dimensions=256,
        attributes=(Attribute(name="type", values=("a", "b")),),
        training=None,
        run_sha256=None,
        precision="fp32",
        parity=None,
        quality=(),
    )
    raw: dict[str, Any] = json.loads(manifest.to_json())
    return raw


@settings(max_examples=25, deadline=None)
@given(manifest=manifests())
def test_round_trip(manifest: Manifest) -> None:
    """What is written is read again, value by value, and written the same."""
    text = manifest.to_json()
    again = Manifest.from_json(text, source="model.onnx")
    assert again == manifest
    assert again.to_json() == text


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.5])
def test_other_versions_are_refused(version: object) -> None:
    """A format version that is not known is refused by its number, whatever else is there."""
    raw = {**example(), "format_version": version, "invented_later": 1}
    with pytest.raises(ModelFileError, match=r"model\.onnx: manifest format .* is not known"):
        Manifest.from_json(json.dumps(raw), source="model.onnx")


@pytest.mark.parametrize("key", sorted(example()))
def test_no_key_may_be_absent(key: str) -> None:
    """Every key is needed."""
    raw = example()
    del raw[key]
    expected = "format None is not known" if key == "format_version" else f"keys: {key}"
    with pytest.raises(ModelFileError, match=expected):
        Manifest.from_json(json.dumps(raw), source="model.onnx")


def test_what_came_later_may_be_absent() -> None:
    """Files from before models in 8 bits are read, and earlier versions read those without it."""
    raw = example()
    assert "quantisation" not in raw
    assert Manifest.from_json(json.dumps(raw), source="model.onnx").quantisation is None
    assert "decode" not in raw["image"]
    assert Manifest.from_json(json.dumps(raw), source="model.onnx").image.decode is None
    raw["image"]["decode"] = "reduced"
    assert Manifest.from_json(json.dumps(raw), source="model.onnx").image.decode == "reduced"
    raw["image"]["decode"] = "eighth"
    with pytest.raises(ModelFileError, match="decode"):
        Manifest.from_json(json.dumps(raw), source="model.onnx")
    del raw["image"]["decode"]
    raw["quantisation"] = None
    assert Manifest.from_json(json.dumps(raw), source="model.onnx").quantisation is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("colour",), 1),
        (("quantisation",), {}),
        (("image", "colour"), 1),
        (("image", "size"), "224"),
        (("image", "size"), True),
        (("image", "resize"), "stretch"),
        (("readout",), "best"),
        (("precision",), "fp8"),
        (("taps",), "layer3"),
        (("taps",), [3]),
        (("attributes",), {"type": 1}),
        (("attributes",), [{"name": "\ud800", "values": ["a"]}]),
        (("attributes",), [{"name": "type", "values": ["a", "b\0"]}]),
        (("training",), 5),
        (("weights",), None),
        (("weights",), []),
    ],
)
def test_what_does_not_fit_is_refused(path: tuple[str, ...], value: object) -> None:
    """An unknown key or a value of the wrong kind is an error in one line, never ignored."""
    raw = example()
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ModelFileError, match=r"model\.onnx: its manifest is damaged") as error:
        Manifest.from_json(json.dumps(raw), source="model.onnx")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"text"', "\x00"])
def test_no_manifest_at_all(text: str) -> None:
    """Text that is no JSON object is refused."""
    with pytest.raises(ModelFileError, match=r"model\.onnx"):
        Manifest.from_json(text, source="model.onnx")
