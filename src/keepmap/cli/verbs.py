"""The table of verbs: what `keepmap VERB` calls, and with which options."""

import os.path
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from keepmap.cli import options
from keepmap.cli.asking import Sweep, Tasks
from keepmap.cli.checking import CheckMethod
from keepmap.cli.generating import Generate
from keepmap.cli.guard import Option
from keepmap.cli.reporting import Report, Runs
from keepmap.core.files import require_folder

__all__ = ["VERBS", "Verb"]


RENAMED = {"set": "settings", "no_visualize": "visualize_first_sample"}
"""Option -> parameter, where they differ."""
INVERTED = {"no_visualize"}
DEEPER = {
    "sliding_window_size": "window",
    "model_name": "model",
    "checkpoint": "path",
    "prompt_file": "prompt",
    "question_file": "question",
}
"""Option -> parameter of the functions that the verb's own one calls, whose messages name it."""
NO_PARAMETER = {"plugin"}
"""What the command line does by itself, before it calls the function."""


@dataclass(frozen=True)
class Verb:
    """One verb: the record of its options, and the function that they are the parameters of, as `module:name`.

    Attributes:
        folder: the option that names the folder of its results, where it has one.
    """

    record: type
    target: str
    folder: str | None = None

    def options(self) -> Iterator[Option]:
        """Those of the options that are parameters of the function."""
        for field in fields(self.record):
            if field.name not in NO_PARAMETER:
                parameter = RENAMED.get(field.name, field.name)
                yield Option(field.name, parameter, field.default is False, field.name in INVERTED)

    def named(self) -> Iterator[Option]:
        """The options, and once more those that messages know by another parameter, too."""
        for option in self.options():
            yield option
            if option.name in DEEPER:
                yield Option(option.name, DEEPER[option.name])

    def check(self, record: Any) -> None:
        """Refuse at once, before torch is imported, what cannot be the folder of results, and a model of no size.

        Raises:
            InputError, OutputError: the folder is no path, or of no folder.
            ModelError: the config in a model's or an agent's folder names more or wider layers, or experts, than go
                into memory.
        """
        if self.folder is not None and (place := getattr(record, self.folder)) is not None:
            from keepmap.core.arguments import as_path  # loads numpy, which help does without

            require_folder(as_path(self.folder, place), f"`{self.folder}`")
        for named, files in (
            ("model_name", ("config.json",)),
            ("kvzap_scorer_model", ("config.json",)),
            ("checkpoint", ("checkpoint.json", "ckpt-*/checkpoint.json")),
        ):
            value = getattr(record, named, None) or ()
            for folder in filter(os.path.isdir, (value,) if isinstance(value, str) else value):
                for file in (path for pattern in files for path in Path(folder).glob(pattern) if path.is_file()):
                    from keepmap.core.outside.counts import config_counts, require_counts

                    require_counts(config_counts(file, folder), folder)

    def function(self) -> Callable[..., object]:
        """The function, whose module is imported now."""
        module, _, name = self.target.partition(":")
        function: Callable[..., object] = getattr(import_module(module), name)
        return function

    def arguments(self, record: Any) -> dict[str, object]:
        """What the function is called with, from a record that the parser filled."""
        values = {option: getattr(record, option.name) for option in self.options()}
        return {option.parameter: not value if option.inverted else value for option, value in values.items()}


VERBS = {
    "compare": Verb(options.Compare, "keepmap.commands.compare:compare_compression_methods", "output_dir"),
    "sample-data": Verb(options.SampleData, "keepmap.commands.setup.sample_data:sample_data"),
    "train-surrogate": Verb(options.TrainSurrogate, "keepmap.commands.training.surrogate:train_surrogate", "out"),
    "generate": Verb(Generate, "keepmap.commands.generate:generate_text", "output_dir"),
    "tasks": Verb(Tasks, "keepmap.commands.asking:ask_tasks", "output_dir"),
    "sweep": Verb(Sweep, "keepmap.commands.asking:sweep_tasks", "output_dir"),
    "methods": Verb(options.Methods, "keepmap.commands.methods:show_methods"),
    "check-method": Verb(CheckMethod, "keepmap.commands.check_method:check_method"),
    "collect": Verb(options.Collect, "keepmap.commands.collect:collect"),
    "train": Verb(options.Train, "keepmap.commands.training.agent:train"),
    "evaluate": Verb(options.Evaluate, "keepmap.commands.evaluate:evaluate_agents", "output_dir"),
    "attention": Verb(options.Attention, "keepmap.commands.attention:visualize_attention", "output_dir"),
    "compressors": Verb(options.Compressors, "keepmap.commands.compressors:show_compressors", "output_dir"),
    "report": Verb(Report, "keepmap.commands.pages.report:report_runs"),
    "runs": Verb(Runs, "keepmap.commands.runs:show_runs"),
    "study": Verb(options.Study, "keepmap.commands.study:study_compressors", "output_dir"),
}
