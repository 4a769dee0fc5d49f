"""``bench report``: all results of a folder as one page, in HTML and in Markdown.

Each section is a function from the results to blocks (`boost_edge.bench.report_blocks`), which both
forms are made from. Nothing is measured here; what little is computed, the last section says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from boost_edge.bench.report_ablation import ablation_section
from boost_edge.bench.report_alternatives import alternatives_section
from boost_edge.bench.report_blocks import Section
from boost_edge.bench.report_choosing import choosing_section
from boost_edge.bench.report_evidence import Evidence, read_evidence
from boost_edge.bench.report_headline import headline_section
from boost_edge.bench.report_honesty import honesty_section
from boost_edge.bench.report_html import to_html
from boost_edge.bench.report_labels import labels_section
from boost_edge.bench.report_markdown import to_markdown
from boost_edge.bench.report_models import models_section
from boost_edge.bench.report_pictures import chosen_pictures, standalone
from boost_edge.bench.report_provenance import provenance_section
from boost_edge.bench.report_quality import agreement_section, gains_section, quality_section
from boost_edge.bench.report_search import crossover_section, search_section
from boost_edge.bench.report_speed import cost_section, stages_section
from boost_edge.bench.report_svg import need_matplotlib
from boost_edge.bench.report_tradeoff import tradeoff_section
from boost_edge.runtime.errors import BoostEdgeError
from boost_edge.runtime.replace import replacing

__all__ = ["FORMATS", "make_sections", "write_report"]

FORMATS = {"html": ".html", "md": ".md"}
"""By name, the ending of its file."""

_TITLE = "boost-edge: the evidence"
_LEAD = (
    "Does a small network, boosted with a few thousand labelled images, beat a bigger one, by how "
    "much, what does it save, and where does it lose? Every sentence leads to the file it is read "
    "from."
)


def make_sections(evidence: Evidence) -> tuple[Section, ...]:
    """Return the report's sections."""
    # Most who measure have one model, and labels of all their images: that is no gap.
    makers = (
        headline_section,
        quality_section,
        gains_section,
        tradeoff_section,
        honesty_section,
        labels_section,
        *((choosing_section,) if evidence.of("choosing") else ()),
        ablation_section,
        agreement_section,
        *((models_section,) if evidence.of("models") else ()),
        search_section,
        crossover_section,
        stages_section,
        cost_section,
        *((alternatives_section,) if evidence.of("alternatives") else ()),
        provenance_section,
    )
    return tuple(make(evidence) for make in makers)


def write_report(
    folder: Path,
    out: Path,
    formats: Sequence[str],
    *,
    examples: Section | None = None,
    pictures: Path | None = None,
    names: Sequence[str] = (),
) -> list[Path]:
    """Render the results in a folder as ``out``, whose ending each format replaces by its own.

    ``examples`` (`boost_edge.bench.report_examples`) come before what says where numbers are from.
    ``pictures`` is a folder for the page's pictures as files of their own: of ``names``, or all.

    Raises
    ------
    MissingExtraError
        When matplotlib is not installed.
    UsageError
        When the folder has no results, or one that cannot be read, or no picture has a name.
    BoostEdgeError
        When a file cannot be written.
    """
    need_matplotlib()
    sections = make_sections(read_evidence(folder, seen_from=out.parent))
    if examples is not None:
        sections = (*sections[:-1], examples, sections[-1])
    renderers = {"html": to_html, "md": to_markdown}
    files = {
        out.with_suffix(FORMATS[name]): renderers[name](sections, title=_TITLE, lead=_LEAD)
        for name in formats
    }
    if pictures is not None:
        for name, figure in chosen_pictures(sections, names).items():
            files[pictures / f"{name}.svg"] = standalone(figure)
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BoostEdgeError(f"{path}: cannot be written: {error.strerror or error}") from error
    return list(files)
