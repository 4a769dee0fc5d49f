"""Tiny results of every measurement, as the commands write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boost_edge.bench.cost import measure_cost
from boost_edge.bench.prices import own_price
from boost_edge.bench.results import make_result

__all__ = ["TINY"]


def gain(mean: float, half: float = 0.5) -> dict[str, Any]:
    """Return an interval of ``half`` to both sides."""
    return {
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
        "confidence": 0.95,
        "resamples": 10,
        "queries": 1234,
    }


def measured(kind: str, backbone: str, taps: list[str], **content: Any) -> dict[str, Any]:
    """Return a result of something measured with a backbone."""
    weights = {"name": "w", "source": "file:w.safetensors"}
    what = {"backbone": backbone, "taps": taps, "weights": weights, "note": None}
    return make_result(kind, {"labels_sha256": "a" * 64, "seeds": 2, **what, **content})


def quality(backbone: str, taps: list[str], raw: float, boosted: float) -> dict[str, Any]:
    """Return a result of two rows and three seeds, whose gains are two points apart.

    As earlier versions wrote it: a gain does not say what it is by seed.
    """
    head = {"resize": "crop", "map10_std": 0.25, "bytes_per_image": 1024}
    return measured(
        "quality",
        backbone,
        taps,
        seeds=3,
        image_size=224,
        rows=[
            {
                **head, "recipe": "none", "readout": "raw", "map10": raw,
                "map10_by_seed": [raw - 1, raw, raw + 1],
            },
            {
                **head,
                "recipe": "boost",
                "readout": "match",
                "map10": boosted,
                "map10_by_seed": [boosted - 3, boosted, boosted + 3],
                "bytes_per_image": 808,
                "gain": gain(boosted - raw),
                "relative_gain": boosted / raw - 1,
            },
        ],
    )  # fmt: skip


def unavailable() -> dict[str, Any]:
    """Return a result of weights that could not be had."""
    result = quality("vit_b_16", [], 1.0, 2.0)
    why = "cannot fetch v.pth (<no & network>)"
    result["rows"] = [
        {"resize": "crop", "recipe": "none", "readout": "raw", "unavailable": why,
         "paper": {"map10": 12.08}},
    ]  # fmt: skip
    return result


def versus() -> dict[str, Any]:
    """Return boosted ResNet-18 against raw ViT-Tiny."""
    return make_result(
        "versus",
        {
            "metric": "map10",
            "seeds": 3,
            "first": {"file": "vit.json", "row": "crop/none/raw", "map10": {"mean": 16.5}},
            "second": {
                "file": "resnet.json", "row": "crop/boost/match", "map10": {"mean": 33.25},
            },
            "gain": {**gain(16.75), "by_seed": [14.75, 16.75, 18.75]},
            "relative_gain": 16.75 / 16.5,
            "beats": "second",
        },
    )  # fmt: skip


def honesty() -> dict[str, Any]:
    """Return one test that gains, two that lose, and two of which it cannot be told.

    In the last of them the two seeds disagree.
    """
    rows: list[dict[str, Any]] = []
    for test, metric, raw, change, apart in (
        ("seen", "map10", 17.0, 12.0, 1.0),
        ("unseen_groups", "map10", 14.0, -4.125, 1.0),
        ("copies:crop", "mrr", 0.99, -0.4625, 0.25),
        ("without:colour", "map10", 17.0, 0.25, 0.125),
        ("without:type", "map10", 17.0, 1.5, 1.75),
    ):
        head = {"test": test, "metric": metric}
        before = {"mean": raw, "by_seed": [raw, raw]}
        after = {"mean": raw + change, "by_seed": [raw + change - apart, raw + change + apart]}
        rows.append({**head, "readout": "raw", metric: before})
        moved = gain(change, 0.5 if metric == "map10" else 0.0125)
        rows.append({**head, "readout": "match", metric: after, "gain": moved})
    hurts = [row for row in rows if "gain" in row and row["gain"]["high"] < 0]
    return measured("honesty", "resnet18", ["layer3"], recipe="boost", rows=rows, hurts=hurts)


def curve() -> dict[str, Any]:
    """Return three numbers of labels, two shares of wrong ones."""

    def row(key: str, at: float, mean: float) -> dict[str, Any]:
        made = {**gain(mean - 16), "by_seed": [mean - 17, mean - 15]}
        return {key: at, "readout": "match", "map10": {"mean": mean}, "gain": made}

    baseline = {"file": "vit.json", "row": "crop/none/raw"}
    passes = {"readout": "match", "baseline": baseline, "map10": 16.5}
    return measured(
        "curve", "resnet18", ["layer3"], recipe="boost", raw={"mean": 16.0}, hurts=[],
        rows=[row("labels", *each) for each in ((100, 14.0), (1000, 25.0), (3000, 31.0))],
        noise=[row("noise", *each) for each in ((0.0, 31.0), (0.2, 22.0))],
        passes=[
            {**passes, "labels": 206.2, "low": 181.5, "high": None, "by_seed": [150.4, None]},
        ],
    )  # fmt: skip


def choosing() -> dict[str, Any]:
    """Return what choosing labels gave, in two steps that begin alike."""

    def row(labels: int, way: str, mean: float) -> dict[str, Any]:
        shares = {
            name: {"mean": mean / 100 + place / 10, "std": None, "by_seed": [0.5]}
            for place, name in enumerate(("colour", "type"))
        }
        made = {
            "labels": labels,
            "way": way,
            "map10": {"mean": mean, "std": 1.0, "by_seed": [mean - 1, mean + 1]},
            "gain_over_raw": gain(mean - 20),
            "accuracy": shares,
            "agreement10": shares,
        }
        if way == "chosen":
            made |= {
                "gain": gain(2.5),
                "agreement_gain": {"colour": gain(0.01, 0.005), "type": gain(0.034, 0.005)},
            }
        return made

    return measured(
        "choosing",
        "resnet18",
        ["layer3"],
        attributes=["colour", "type"],
        readout="match",
        doubts_of=["type"],
        pool=7000,
        test=900,
        images=7900,
        raw=row(0, "raw", 20.0),
        rows=[
            row(100, "chance", 25.0),
            row(100, "chosen", 25.0),
            row(200, "chance", 27.0),
            row(200, "chosen", 29.5),
        ],
    )


def ablation() -> dict[str, Any]:
    """Return a recipe as it is, and a choice that is better, one that is worse."""
    head = {"readout": "match", "dimensions": 202}
    return measured(
        "ablation", "resnet18", ["layer3"], recipe="boost", judged_on="a quarter", hurts=[],
        rows=[
            {**head, "factor": "recipe", "value": "boost", "map10": {"mean": 30.0}},
            {**head, "factor": "width", "value": 4096, "map10": {"mean": 31.0}, "gain": gain(1.0)},
            {**head, "factor": "dropout", "value": 0.0, "map10": {"mean": 27.0}, "gain": gain(-3)},
            {**head, "factor": "blend", "value": 0.5, "map10": {"mean": 31.0},
             "gain": {**gain(1.0), "by_seed": [-0.5, 0.5, 3.0]}},
            {**head, "factor": "blend", "value": 0.65, "map10": {"mean": 30.0},
             "gain": {"mean": 0.0, "low": 0.0, "high": 0.0, "by_seed": [0.0, 0.0, 0.0]}},
        ],
    )  # fmt: skip


def agreement() -> dict[str, Any]:
    """Return two galleries."""
    head = {"images": 400, "interval": [0.6, 0.7], "chance": 0.045, "gain_interval": [0.03, 0.09]}
    return make_result(
        "agreement",
        {
            "labels_sha256": "a" * 64, "attribute": "type", "queries": 200, "hits": 10,
            "rows": [
                {**head, "readout": "raw", "dimensions": 256, "agreement": 0.645,
                 "gain_over_first": 0},
                {**head, "readout": "match", "dimensions": 202, "agreement": 0.705,
                 "gain_over_first": 0.06},
            ],
        },
    )  # fmt: skip


def latency() -> dict[str, Any]:
    """Return four systems, all stages, one runtime that is absent."""
    names = {
        "resnet18+boost": 44.0,
        "resnet18@layer3:4x4+boost": 35.0,
        "vit_tiny_patch16_224": 38.0,
        "vit_b_16": 470.0,
    }
    rows: list[dict[str, Any]] = []
    systems: list[dict[str, Any]] = []
    for name, infer in names.items():
        stages = {
            "decode": 9.0,
            "preprocess": 2.0,
            "infer": infer,
            "search": 3.0,
            "query": infer + 14,
        }
        for stage, ms in stages.items():
            ratio = {"estimate": infer / 44, "low": infer / 45, "high": infer / 43}
            rows.append(
                {
                    "system": name, "runtime": "onnxruntime", "threads": 1, "stage": stage,
                    "batch": 1, "p50_ms": ms, "p90_ms": ms + 1, "p99_ms": ms + 2, "mean_ms": ms,
                    "calls": 99 if name == "vit_b_16" else 100,
                    "images_per_second": 1e3 / ms, "joules_per_image": None, "ratio": ratio,
                }
            )  # fmt: skip
        rows.append(
            {"system": name, "runtime": "openvino", "threads": 1, "stage": "infer", "batch": 1,
             "unavailable": "openvino is not installed"}
        )  # fmt: skip
        boosted = name.endswith("+boost")
        systems.append(
            {
                "system": name,
                "backbone": name.removesuffix("+boost").partition("@")[0],
                "taps": ["encoder_layer_11"]
                if name.startswith("vit")
                else ["layer3:4x4"]
                if "@" in name
                else ["layer4"],
                "readout": "match" if boosted else "raw",
                "dimensions": 258 if boosted else 768,
                "weights": "none",
                "random_weights": True,
                "precision": "fp32",
                "image_size": 224,
                "model_sha256": f"{len(systems)}" * 64,
                "model_bytes": 46_000_000,
                "peak_memory_bytes": {"query": 200_000_000, "infer-torch": "not measured: why"},
            }
        )
    return make_result(
        "latency",
        {
            "protocol": {"threads": [1], "blocks": 10, "offline_blocks": 3},
            "reference": {"system": "resnet18+boost", "runtime": "onnxruntime"},
            "load_average_before": [0.1, 0.2, 0.3],
            "energy": "not exposed",
            "systems": systems,
            "rows": rows,
            "cold_starts": {f"query {name}": {"p50_ms": 700.0} for name in names},
        },
    )


def models() -> dict[str, Any]:
    """Return two model files: raw features, and one that labels, from another table."""
    head = {
        "sha256": "b" * 64, "bytes": 2_500_000, "precision": "fp32", "backbone": "resnet18",
        "taps": ["layer4"], "weights": {"name": "none", "source": "w"}, "image_size": 80,
        "resize": "crop", "recipe": "boost", "training_images": 300,
    }  # fmt: skip
    judged = {
        "images": 600, "not_known": 3, "accuracy": 0.875, "majority": 0.25,
        "calibration_error": 0.0625, "shown": 0.5, "shown_accuracy": None,
        "shown_unlike": {"views": 0.125},
    }  # fmt: skip
    return make_result(
        "models",
        {
            "labels_sha256": "a" * 64, "attributes": ["type", "colour"], "name_column": "name",
            "images": {"train": 300, "val": 100, "test": 600}, "missing": 0,
            "protocol": {"groups": 7, "per_group": 5, "groups_available": 9}, "seeds": 2,
            "samples": ["c", "d"], "distinct_queries": 50, "chance_map10": 3.0, "shown_from": 0.5,
            "unlike": {"views": 40},
            "rows": [
                {**head, "model": "raw.onnx", "readout": "raw", "dimensions": 512,
                 "bytes_per_image": 2048, "trained_on_this_table": True,
                 "map10": {"mean": 20.0, "std": 1.0}, "ndcg10": {"mean": 0.5}},
                {**head, "model": "new.onnx", "readout": "match", "dimensions": 100,
                 "bytes_per_image": 400, "trained_on_this_table": False,
                 "map10": {"mean": 30.0, "std": None}, "ndcg10": {"mean": 0.625},
                 "gain": {**gain(10.0), "by_seed": [9.0, 11.0]}, "relative_gain": 0.5,
                 "attributes": {"type": judged}},
            ],
        },
    )  # fmt: skip


def search() -> dict[str, Any]:
    """Return one engine, one filter, one size."""
    times = {"p50_ms": 1.5, "p99_ms": 4.5}
    return make_result(
        "search",
        {
            "data": {"kind": "clustered", "rows": 1_000_000, "dimensions": 256, "seed": 0},
            "queries": 500, "k": 10, "target_recall": 0.99,
            "engines": [
                {
                    "engine": "ours", "width": 64, "reaches_target": False,
                    "search": {"recall": 0.9876, **times},
                    "build": {
                        "threads": 1, "wall_seconds": 600.0, "cpu_seconds": 600.0, "bytes": 1.25e9,
                    },
                    "open": {"open_ms": 40.0, "first_search_ms": 2.0, "peak_bytes": 5e8},
                }
            ],
            "filters": [
                {"one_in": 100, "follows_clusters": True, "recall": 1.0, "lowest_recall": 1.0,
                 "first_ms": 88.0, "searches": 100, **times},
                {"one_in": 10, "follows_clusters": True, "recall": 1.0, "lowest_recall": 1.0,
                 "first_ms": 88.0, "searches": 80, **times},
            ],
        },
    )  # fmt: skip


def crossover() -> dict[str, Any]:
    """Return one size, where the graph is the slower one but for a new process."""
    scan = {"p50_ms": 0.5, "filtered_p50_ms": 0.25, "first_ms": 60.0, "peak_bytes": 150_000_000}
    graph = {"p50_ms": 0.75, "filtered_p50_ms": 4.0, "first_ms": 45.0, "peak_bytes": 90_000_000}
    return make_result(
        "crossover",
        {
            "plan": {"dimensions": [500], "megabytes": [5]}, "k": 10, "one_in": 4,
            "exact_bytes": 2**20, "exact_images": 20_000,
            "points": [
                {"dimensions": 500, "rows": 2500, "bytes": 5_000_000, "exact": False,
                 "graph_build_seconds": 1.0, "scan": scan, "graph": graph},
            ],
        },
    )  # fmt: skip


TINY: Mapping[str, dict[str, Any]] = {
    "quality/resnet.json": quality("resnet18", ["layer3:4x4"], 17.5, 33.25),
    "quality/vit.json": quality("vit_tiny_patch16_224", ["encoder_layer_11"], 16.5, 30.0),
    "quality/vit_b.json": unavailable(),
    "quality/resnet-versus-vit.json": versus(),
    "honesty/resnet.json": honesty(),
    "curve/resnet.json": curve(),
    "ablation/resnet.json": ablation(),
    "agreement.json": agreement(),
    "models.json": models(),
    "choosing.json": choosing(),
    "latency.json": latency(),
    "cost.json": measure_cost(latency(), price=own_price(0.5)),
    "search.json": search(),
    "crossover.json": crossover(),
}
"""By name below the folder of results."""
