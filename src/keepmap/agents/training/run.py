"""The run folder of a training: which run it holds, in its `run.json` or by its checkpoints, and who works there."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from keepmap.agents.acting.agent import load_agent
from keepmap.agents.checkpoints import FACTS, MODEL, TRAINING, newest_checkpoint, read_checkpoint
from keepmap.agents.config import Config
from keepmap.agents.training.log import read_log
from keepmap.agents.training.state import MAY_CHANGE, refuse_another, remove_before
from keepmap.core.joining.plugins import plugins
from keepmap.core.runs.folder import RunFolder, read_run_file
from keepmap.core.runs.hashes import hash_of_files, hash_of_tensors
from keepmap.core.runs.identity import Identity
from keepmap.core.versions import versions
from keepmap.errors import InputError, KeepmapError, ModelError

__all__ = ["CHECKPOINTS", "LOG", "TrainingRun"]

LOG = "log.jsonl"
CHECKPOINTS = tuple(f"ckpt-[0-9]*/{name}" for name in (FACTS, MODEL, TRAINING))
"""Patterns of the files of checkpoints, in the folder of a run."""
BOARD = "events.out.tfevents.*"


class TrainingRun:
    """A training in its folder. One from before there was a `run.json` goes on by its checkpoints alone.

    Attributes:
        config: of the training. folder: where it works.
    """

    def __init__(self, config: Config, *, overwrite: bool) -> None:
        self.config, self.folder, self._overwrite = config, config.run_folder(), overwrite
        self._place = RunFolder(
            self.folder,
            self._identity(),
            overwrite=overwrite,
            option="log_dir",
            patterns=[*CHECKPOINTS, BOARD],
            steps=config.train_timesteps,
        )

    def check(self) -> None:
        """Refuse the folder of another run before any work; nothing is written.

        Raises:
            InputError: it holds another run, and `overwrite` was not given; a checkpoint is a symbolic link;
                or a process is at work there.
        """
        self._place.check()
        self._refuse_links()
        self._holds_it()

    def is_finished(self) -> bool:
        """Whether the last checkpoint of this run is there."""
        newest = newest_checkpoint(self.folder)
        return newest is not None and newest.name == f"ckpt-{self.config.train_timesteps}" and self._holds_it()

    @property
    def began_at(self) -> int:
        """The update that it goes on from: that of the newest checkpoint of this run, 0 where there is none."""
        newest = newest_checkpoint(self.folder)
        return int(newest.name.removeprefix("ckpt-")) if newest is not None and self._holds_it() else 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, nobody else works in the folder, and it says which run it holds; at the end, that it is finished.

        Raises:
            InputError: as `check`, or the histories are others than those that it began with.
            OutputError: the folder cannot be written.
        """
        histories = self.config.histories_path()
        known = {"data": hash_of_files([histories])} if histories.is_file() else {}
        with self._place as place:
            if self._holds_it():
                place.adopt()
            place.begin((), [LOG], **known)
            yield
            # A start that was killed may have left the last checkpoint but one.
            remove_before(self.folder, self.began_at)
            place.finish()

    def _refuse_links(self) -> None:
        """A checkpoint that is a link would be replaced by the next one, and what it points to is somebody else's."""
        for path in sorted(self.folder.glob("ckpt-[0-9]*")):
            if path.is_symlink():
                raise InputError(
                    f"{path} is a symbolic link, and no checkpoint is written through one; remove it, or give another "
                    "log_dir"
                )

    def _holds_it(self) -> bool:
        """Whether the folder holds this run: its `run.json` says so, or where there is none, what else is there.

        Raises:
            InputError: there is no `run.json`, and the newest checkpoint is another run's; without `overwrite`.
        """
        if read_run_file(self.folder) is not None:
            return self._place.holds_it()
        newest = newest_checkpoint(self.folder)
        if newest is None:
            return bool(read_log(self.folder / LOG))
        try:
            refuse_another(self.config, read_checkpoint(newest))
        except KeepmapError:
            if not self._overwrite:
                raise
            return False
        return True

    def _identity(self) -> Identity:
        options = {name: value for name, value in self.config.as_dict().items() if name not in MAY_CHANGE}
        hashes = {"plugins": hash_of_files(plugins())}
        if self.config.init is not None:
            # A run that has begun goes on without the checkpoint that it started from.
            with suppress(*([] if newest_checkpoint(self.folder) is None else [ModelError])):
                hashes["checkpoint in init"] = hash_of_tensors(load_agent(self.config.init).model.state_dict())
        return Identity(
            verb="train",
            options=options | {"init": self.config.init is not None},
            versions=versions("torch", "numpy"),
            hashes=hashes,
        )
