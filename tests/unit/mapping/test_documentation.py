"""The how-to works as it is printed: its tables load, its examples hold, its Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tieline.mapping import MappingFailed, MappingSet, check, compile_table, load_table
from tieline.mapping.problems import ProblemsFound

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "write-a-mapping.md").read_text(encoding="utf-8")
FILES = re.findall(r"`mappings/(\w+\.yaml)`:\n\n```yaml\n(.*?)```", PAGE, re.DOTALL)
MESSAGES = re.findall(r"^mappings/order.yaml:.*$", PAGE, re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MappingSet:
    (tmp_path / "mappings").mkdir()
    for name, text in FILES:
        (tmp_path / "mappings" / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return MappingSet.load(Path("mappings"))


def test_the_python_of_the_how_to_runs(project: MappingSet, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(project.tables) == 1
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "write-a-mapping.md", "exec"), {})
    assert "lines[0].net.amount = 1200.00" in capsys.readouterr().out


def test_the_messages_of_the_how_to_are_the_real_ones(project: MappingSet) -> None:
    """Places and words as they are printed on the page."""
    table = FILES[0][1].replace("lookup: terms", "lookup: term").replace("sum(lines", "sum(lins")
    faulty = load_table(table, "mappings/order.yaml")
    schema = {"type": "object", "properties": {"lines": {"type": "array"}}, "additionalProperties": False}
    told = [str(p) for p in check(faulty, schema, value_maps=project.value_maps)]
    assert [line for line in told if "'term'" in line or "'lins'" in line] == MESSAGES
    with pytest.raises(ProblemsFound, match="unknown value map 'term'"):
        compile_table(faulty, value_maps=project.value_maps)
    mapping = project.mapping("canonical.order -> erp.salesOrder")
    source = {**mapping.table.examples[0].given, "payment_terms": "Net 31", "total": "much"}
    with pytest.raises(MappingFailed) as failed:
        mapping.run(source, refs={("customer", "salesforce-001"): "12"})
    assert str(failed.value) in PAGE
