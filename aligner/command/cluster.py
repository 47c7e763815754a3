"""Recordings aligned by the workers of a Dask cluster, which see the same files.

The scheduler gives what a lost worker was doing to another one. Nothing is recorded here: whoever takes the rows keeps
the journal, as for workers on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from aligner import plugins
from aligner.command.journal import Row
from aligner.command.plan import Job, Plan
from aligner.errors import InputError, SettingError

_WAITS = 10.0  # seconds for a scheduler to answer
_AHEAD = 1000  # recordings that a scheduler knows of at a time

Process = Callable[[Plan, Job], Row]


def rows(plan: Plan, jobs: Sequence[Job], address: str, process: Process) -> Iterator[tuple[Job, Row]]:
    """Results as they come.

    Parameters
    ----------
    plan : Plan
        Without jobs: it travels with every recording.
    jobs : sequence of Job
    address : str
        Of a scheduler, such as tcp://10.0.0.5:8786.
    process : callable
        What a worker does with a job.

    Raises
    ------
    SettingError
        Nobody answers at the address, or workers are not set up as this machine is.
    """
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise SettingError(
            "--cluster needs Dask: pip install 'cross-attention-aligner[cluster]', here and where the workers run"
        ) from None
    try:
        client: Any = Client(address, timeout=_WAITS, set_as_default=False)
    except (OSError, ValueError) as error:  # a timeout is an OSError, a scheme that nobody knows a ValueError
        raise SettingError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}): start one with dask scheduler, and "
            "workers with dask worker"
        ) from None
    with client:
        waiting = iter(jobs)
        modules = tuple(plugins.loaded())
        names: dict[str, Job] = {}

        def submitted(count: int) -> list[Any]:
            taken = list(islice(waiting, count))
            futures = [client.submit(_work, process, plan, job, os.getcwd(), modules, pure=False) for job in taken]
            names.update((future.key, job) for future, job in zip(futures, taken, strict=True))
            return futures

        coming = as_completed(submitted(_AHEAD), loop=client.loop)
        for future in coming:
            job = names.pop(future.key)
            try:
                row = future.result()
            except KilledWorker:
                row = Row(
                    str(job.audio), "failed", message=f"{job.audio}: every worker that took it died (out of memory?)"
                )
            except ImportError as error:
                raise SettingError(f"a worker at {address} lacks what this machine has: {error}") from None
            future.release()
            coming.update(submitted(1))
            yield job, row


def _work(process: Process, plan: Plan, job: Job, folder: str, modules: Sequence[str]) -> Row:
    """Runs on a worker, in the folder where the command was given, so that paths mean the same."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise InputError(
            f"a worker cannot enter {folder} ({error.strerror}): workers need the files under the same paths"
        ) from None
    plugins.load(modules)
    return process(plan, job)
