"""The run folder of a study: what makes it the same one, and what is left to do of it."""

from collections.abc import Sequence
from pathlib import Path

from keepmap.agents.study.job import BY_STUDY, RESULT, StudyJob, finished
from keepmap.agents.study.results import BASELINE
from keepmap.agents.study.timings import action_times_path
from keepmap.agents.training.run import CHECKPOINTS, LOG
from keepmap.agents.training.state import MAY_CHANGE
from keepmap.core.joining.plugins import plugins
from keepmap.core.runs.folder import RunFolder, read_run_file
from keepmap.core.runs.hashes import hash_of_files
from keepmap.core.runs.identity import Identity
from keepmap.core.versions import versions
from keepmap.errors import InputError

__all__ = ["StudyPlace"]

OF_A_RUN = {"compressor", "train_seed", "init"}
"""Keys of the configuration in which the runs of a study differ."""


class StudyPlace:
    """A study in its folder. One with more compressors, budgets or seeds is the same study: it uses the runs there are.

    As a context: the folder is given back at the end, whatever happens.

    Attributes:
        folder: where it works. jobs: its runs, each in a folder of its own below that.
    """

    def __init__(self, folder: Path, jobs: Sequence[StudyJob], *, overwrite: bool) -> None:
        self.folder, self.jobs, self._overwrite = folder, jobs, overwrite
        runs = [job.folder.relative_to(folder).as_posix() for job in jobs]
        parts = (RESULT, action_times_path(jobs[0]).name, LOG, *CHECKPOINTS)
        patterns = [f"{run}/{part}" for run in runs for part in parts]
        self._units = [f"{run}/{RESULT}" for run in runs]
        self._place = RunFolder(folder, _identity(jobs), overwrite=overwrite, patterns=patterns)

    def __enter__(self) -> "StudyPlace":
        return self

    def __exit__(self, *error: object) -> None:
        self._place.__exit__(*error)

    def check(self) -> None:
        """Refuse the folder of another study before any work; nothing is written.

        Raises:
            InputError: it holds another one, and `overwrite` was not given; or a process is at work there.
        """
        self._place.check()
        self.left()

    def left(self) -> list[StudyJob]:
        """The runs that are not done yet.

        Raises:
            InputError: a run's folder holds the result of another one, or a damaged one.
        """
        return [job for job in self.jobs if finished(job) is None] if self._holds_it() else list(self.jobs)

    def begin(self, files: Sequence[str], others: Sequence[str]) -> None:
        """Take the folder.

        Args:
            files: what the study will write, beside its runs.
            others: what an older keepmap, which had no run files, may have written in their place.

        Raises:
            InputError: as `check`, or somebody else's files have these names, or the histories have changed.
            OutputError: the folder cannot be written.
        """
        earlier, holds_it = read_run_file(self.folder), self._holds_it()
        before = [name for name in others if (self.folder / name).exists()] if earlier is None else earlier.files
        if holds_it:
            self._place.adopt()
        # What is there stays until there is something in its place.
        kept = [name for name in (before if holds_it else ()) if name not in files]
        self._place.begin(self._units, [*files, *kept], **_histories(self.jobs))

    def finish(self, files: Sequence[str]) -> None:
        """Say that it is finished, and which files it has written; those of an earlier start that are none of them go.

        Raises:
            OutputError: one cannot be removed, or it cannot be said.
        """
        self._place.finish(files)

    def _holds_it(self) -> bool:
        """Whether the folder holds this study: its `run.json` says so, or where there is none, results of its runs."""
        if read_run_file(self.folder) is not None:
            return self._place.holds_it()
        try:
            return sum(finished(job) is not None for job in self.jobs) > 0  # each is looked at
        except InputError:
            if not self._overwrite:
                raise
            return False


def _identity(jobs: Sequence[StudyJob]) -> Identity:
    # The baseline's training has no compressor, and a key less that decides.
    config = next(job.config for job in jobs if job.config is not None and job.planned.compressor != BASELINE)
    options = {key: value for key, value in config.as_dict().items() if key not in MAY_CHANGE | OF_A_RUN}
    return Identity(
        verb="study",
        options={
            "from_scratch": config.init is None,
            "copies": jobs[0].copies,
            **{BY_STUDY.get(key, key): value for key, value in options.items()},
        },
        versions=versions("torch", "numpy"),
        hashes={
            "plugins": hash_of_files(plugins()),
            **{f"checkpoint of seed {job.planned.seed}": job.digest for job in jobs},
        },
    )


def _histories(jobs: Sequence[StudyJob]) -> dict[str, str]:
    """Of the histories that are there, a hash for each seed that trains on them."""
    paths = {job.planned.seed: job.config.histories_path() for job in jobs if job.config is not None}
    hashes = {path: hash_of_files([path]) for path in {*paths.values()} if path.is_file()}
    return {f"data of seed {seed}": hashes[path] for seed, path in paths.items() if path in hashes}
