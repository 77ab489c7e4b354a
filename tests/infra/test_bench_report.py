"""What `make bench` writes names every figure, and each target that was missed with its cause."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.local.bench import __main__ as bench
from infra.local.bench.figures import compared
from infra.local.bench.report import UNKNOWN, Report, Section

MET = compared("upload", "ms", "sharp", [(1, 2)], 1)
MISSED = compared("clip second", "ms", "x264", [(3, 2)], 1.2, cause="The scaler takes the rest.")
ODD = compared("read", "ms", "bare", [(3, 1)], 2)
BEGAN = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)


def report(*sections: Section) -> Report:
    return Report(sections, BEGAN)


def test_markdown_has_a_table_a_section_and_the_notes_below_it() -> None:
    text = report(Section("Images", [MET], 20, notes="| encoder |"), Section("Clips", [MISSED], 12)).markdown()
    assert text.startswith("Measured on 2026-11-28 in 32 s, on ")
    images, clips = text.index("### Images"), text.index("### Clips")
    assert images < text.index("| upload ") < text.index("| encoder |") < clips < text.index("| clip second ")


def test_each_target_missed_is_listed_with_its_cause_or_says_that_none_is_known() -> None:
    listed = report(Section("All", [MET, MISSED, ODD], 1)).markdown().partition("### Targets missed")[2]
    assert "- **clip second**: 1.50 ×, beside x264, wanted ≤ 1.2 ×. The scaler takes the rest." in listed
    assert f"- **read**: 3.00 ×, beside bare, wanted ≤ 2 ×. {UNKNOWN}" in listed
    assert "upload" not in listed


def test_what_misses_the_same_target_for_the_same_cause_is_one_line() -> None:
    other = replace(MISSED, name="clip of an hour")
    [line] = report(Section("All", [MISSED, MET, other], 1)).markdown().partition("missed")[2].strip().splitlines()
    assert line.startswith("- **clip second**: 1.50 ×; **clip of an hour**: 1.50 ×, beside x264")


def test_nothing_missed_is_said() -> None:
    assert report(Section("All", [MET], 1)).markdown().endswith("### Targets missed\n\nNone.\n")


def test_json_has_the_same_figures(tmp_path: Path) -> None:
    files = report(Section("Clips", [MISSED], 12.34)).write(tmp_path / "build")
    assert [file.name for file in files] == ["bench.md", "bench.json"]
    data = json.loads(files[1].read_text())
    [section] = data["sections"]
    assert (data["began"], data["seconds"], section["name"]) == ("2026-11-28T20:00:00+00:00", 12.3, "Clips")
    [figure] = section["figures"]
    assert (figure["ratio"], figure["met"], figure["spread"]) == (1.5, False, None)
    assert figure["cause"] == "The scaler takes the rest."


def test_a_section_that_does_not_exist_is_refused_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        bench.main(["images", "teleporting"])
    assert "no such section: teleporting" in capsys.readouterr().err
