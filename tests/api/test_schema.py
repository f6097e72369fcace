"""Document and answers agree: schemathesis goes over every operation of a hub with data (`make api-fuzz`: for long)."""

from __future__ import annotations

from pathlib import Path

from tests.api.fuzz import fuzz, with_data
from tests.support.company import company


async def test_every_operation_answers_as_the_document_says(tmp_path: Path) -> None:
    """Requests that fit and that do not: no 5xx, no answer that is not described, nothing wrong that is accepted."""
    async with company(tmp_path / "project") as c:
        await with_data(c)
        done = await fuzz(c, tmp_path, "--phases", "examples,fuzzing", "--max-examples", "3", "--seed", "5")
    assert done.returncode == 0, done.stdout + done.stderr
