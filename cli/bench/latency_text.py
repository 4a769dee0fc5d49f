"""What ``boost-edge bench latency`` measured, as tables."""

from __future__ import annotations

from typing import Any

from boost_edge.cli.render import megabytes, table, wrapped

__all__ = ["latency_text"]


def latency_text(result: dict[str, Any]) -> list[str]:
    """Show a result of ``bench.latency`` as tables."""
    from boost_edge.bench.report_words import FEWEST_FOR_P99

    reference = result["reference"]
    times = (
        f"times in ms; ratio: how many times as long as {reference['system']} "
        f"({reference['runtime']}) with as many threads, and its 95% interval over blocks; of "
        f"fewer than {FEWEST_FOR_P99} calls there is no p99"
    )
    rows = [row for row in result["rows"] if "unavailable" not in row]
    absent = [
        f"{row['system']}, {row['runtime']}: {row['unavailable']}"
        for row in result["rows"]
        if "unavailable" in row
    ]
    parts = [
        wrapped(times, indent=""),
        _times("network, batch 1", [row for row in rows if row["stage"] == "infer"], "runtime"),
        _throughput([row for row in rows if row["batch"] > 1]),
        _times("stages", [row for row in rows if row["stage"] != "infer"], "stage"),
        _sizes(result),
        _scenarios(result),
        [line for each in dict.fromkeys(absent) for line in wrapped(each, indent="")],
    ]
    return [line for part in parts if part for line in [*part, ""]][:-1]


def _times(title: str, rows: list[dict[str, Any]], column: str) -> list[str]:
    from boost_edge.bench.report_words import FEWEST_FOR_P99

    cells = [
        [
            row["system"],
            row[column],
            str(row["threads"]),
            *(_ms(row[f"p{share}_ms"]) for share in (50, 90)),
            _ms(row["p99_ms"]) if row["calls"] >= FEWEST_FOR_P99 else "",
            _ratio(row["ratio"]),
        ]
        for row in rows
        if row["batch"] == 1
    ]
    header = [title, column, "threads", "p50", "p90", "p99", "ratio"]
    return table(header, cells, right=(2, 3, 4, 5), squeeze=0) if cells else []


def _throughput(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        [
            row["system"],
            row["runtime"] if row["stage"] == "infer" else "from files",
            str(row["threads"]),
            str(row["batch"]),
            f"{row['images_per_second']:.1f}",
            _ratio(row["ratio"]),
        ]
        for row in rows
    ]
    header = ["offline", "runtime", "threads", "batch", "images/s", "ratio"]
    return table(header, cells, right=(2, 3, 4), squeeze=0) if cells else []


def _sizes(result: dict[str, Any]) -> list[str]:
    starts = result["cold_starts"]
    cells: list[list[str]] = []
    for row in result["systems"]:
        peak = row["peak_memory_bytes"].get("query")
        start = starts.get(f"query {row['system']}")
        cells.append(
            [
                row["system"],
                row["precision"],
                str(row["image_size"]),
                megabytes(row["model_bytes"]),
                "" if peak is None else megabytes(peak),
                "" if start is None else _ms(start["p50_ms"]),
            ]
        )
    lines = table(
        ["system", "precision", "px", "file", "peak memory of query", "cold start of query, ms"],
        cells,
        right=(2, 3, 4, 5),
        squeeze=0,
    )
    if "python-imports" in starts:
        imports, bare = (starts[name]["p50_ms"] for name in ("python-imports", "python"))
        lines.append(f"(importing the same libraries {_ms(imports)} ms, bare Python {_ms(bare)})")
    return lines


def _scenarios(result: dict[str, Any]) -> list[str]:
    cells = [
        [row["system"], row["scenario"], str(row["threads"]), _scenario_figure(row)]
        for row in result["scenarios"]
    ]
    header = ["MLPerf-style, no MLPerf result", "scenario", "threads", "result"]
    return table(header, cells, right=(2,)) if cells else []


def _scenario_figure(row: dict[str, Any]) -> str:
    if "unavailable" in row:
        return str(row["unavailable"])
    match row["scenario"]:
        case "single-stream":
            return f"90% within {_ms(row['p90_ms'])} ms"
        case "offline":
            return f"{row['images_per_second']:.1f} images/s"
        case _:
            return f"{row['queries_per_second']:.2f} queries/s, 99% within {row['bound_ms']:g} ms"


def _ms(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _ratio(ratio: dict[str, float] | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio['estimate']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
