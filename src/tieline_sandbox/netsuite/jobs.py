"""Asynchronous requests: `Prefer: respond-async` queues them, and their answers are fetched later.

A job holds one task for each record of a batch (100 at most), or a single task. Tasks run one after another.
Sources: Oracle help "REST Web Services Request Processing" (chapter_161251386312) and its sections;
MuleSoft's connector reference on batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from starlette.responses import Response

from tieline_sandbox.kernel.world import World
from tieline_sandbox.netsuite.errors import NetSuiteError, bad_header, idempotency_conflict, no_such_record
from tieline_sandbox.netsuite.render import link
from tieline_sandbox.netsuite.store import Record

JOBS = "/services/rest/async/v1/job"
MAX_BATCH = 100
Work = Callable[[], Awaitable[Response]]


@dataclass
class Task:
    """One queued request: pending, processing, then succeeded or failed with the answer it would have had at once."""

    id: str
    work: Work
    progress: str = "pending"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    answer: Response | None = None

    def shown(self, url: str) -> Record:
        links = [link(url)]
        if self.answer is not None:
            links.insert(0, link(f"{url}/result", "related"))
        shown: Record = {"links": links, "completed": self.answer is not None, "id": self.id, "progress": self.progress}
        for name, moment in (("startTime", self.started_at), ("endTime", self.ended_at)):
            if moment is not None:
                shown[name] = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        return shown


@dataclass
class Job:
    id: str
    tasks: list[Task] = field(default_factory=list)

    @property
    def progress(self) -> str:
        states = {task.progress for task in self.tasks}
        if states <= {"succeeded", "failed"}:
            return "failed" if "failed" in states else "succeeded"
        return "pending" if states == {"pending"} else "processing"

    def shown(self, base: str) -> Record:
        url = f"{base}{JOBS}/{self.id}"
        return {
            "links": [link(url)],
            "completed": self.progress in ("succeeded", "failed"),
            "id": self.id,
            "progress": self.progress,
            "task": {"links": [link(f"{url}/task")]},
        }


class Jobs:
    """The queue. The same idempotency key is never queued twice."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: set[asyncio.Task[None]] = set()
        self.reset()

    def reset(self) -> None:
        for task in self._running:
            task.cancel()
        self._jobs: dict[str, Job] = {}
        self._keys: dict[str, str] = {}

    def submit(self, works: list[Work], key: str | None, delay_s: float) -> Job:
        """Queue the works as one job. Raises NetSuiteError IDEMPOTENCY_ERROR when the key was used."""
        if key is not None:
            self._claim(key, str(len(self._jobs) + 1))
        job = Job(str(len(self._jobs) + 1))
        job.tasks = [Task(str(number), work) for number, work in enumerate(works, start=1)]
        self._jobs[job.id] = job
        running = asyncio.create_task(self._run(job, delay_s))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return job

    def job(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise no_such_record()
        return self._jobs[job_id]

    def task(self, job_id: str, task_id: str) -> Task:
        found = next((task for task in self.job(job_id).tasks if task.id == task_id), None)
        if found is None:
            raise no_such_record()
        return found

    def all(self) -> list[Record]:
        return [
            {"id": job.id, "progress": job.progress, "tasks": [task.progress for task in job.tasks]}
            for job in self._jobs.values()
        ]

    def _claim(self, key: str, job_id: str) -> None:
        try:
            known = str(UUID(key))
        except ValueError as error:
            detail = "The idempotency key must be a universally unique identifier (RFC 4122)."
            raise bad_header("X-NetSuite-Idempotency-Key", detail) from error
        if known in self._keys:
            raise idempotency_conflict(f"{JOBS}/{self._keys[known]}")
        self._keys[known] = job_id

    async def _run(self, job: Job, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        for task in job.tasks:
            task.progress, task.started_at = "processing", self._world.now()
            await asyncio.sleep(delay_s)
            try:
                task.answer = await task.work()
                task.progress = "succeeded"
            except NetSuiteError as refusal:
                task.answer = refusal.response()
                task.progress = "failed"
            task.ended_at = self._world.now()
