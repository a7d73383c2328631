"""Documents that can be checked are: diagrams against the tables, links against the files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.session.states import AUDIO, SESSION, TEXT, diagram
from gateway.settings import Settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TABLES = {"SESSION": SESSION, "TEXT": TEXT, "AUDIO": AUDIO}


@pytest.mark.parametrize("name", TABLES)
def test_diagrams_are_those_of_the_tables(name: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    found = re.search(
        rf"<!-- generated: {name} -->\n```mermaid\n(.*?)\n```\n<!-- end -->", text, re.S
    )
    assert found is not None
    assert found[1] == diagram(TABLES[name])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_settings_that_are_named_exist(document: Path) -> None:
    settings = Settings()
    pattern = r"`(server|limits|audio|pacing|text|engine|log|wires|voices)\.(?!py`)([a-z_.]+)`"
    for section, name in re.findall(pattern, document.read_text()):
        value = getattr(settings, section)
        for part in name.split("."):
            assert part in type(value).model_fields, f"{section}.{name}"
            value = getattr(value, part)
