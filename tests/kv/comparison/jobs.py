"""Jobs and sessions that tests of comparisons share: of a small model on a small file."""

from pathlib import Path

from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.identity import Identity
from keepmap.kv.comparison.plan import plan_methods
from keepmap.kv.comparison.session import Job
from keepmap.kv.modes import Mode

RUN = "ab12"


def place(folder: Path, overwrite: bool = False, **options: object) -> RunFolder:
    """The folder of a run with these options."""
    identity = Identity(verb="compare", options=options, versions={}, hashes={})
    return RunFolder(folder, identity, overwrite=overwrite)


def job(
    model_folder: Path,
    data_file: Path,
    output_dir: Path,
    methods: str = "streaming_llm",
    **options: object,
) -> Job:
    plan = plan_methods(methods, window=16, h2o_local_window_size=32, **options)
    return Job(
        data_path=str(data_file),
        text_field="text",
        max_samples=None,
        max_length=None,
        chat_template=False,
        strict=False,
        model_name=str(model_folder),
        dtype="auto",
        kvzap_scorer_model=None,
        kvzap_model_type="mlp",
        plan=plan,
        mode=Mode(),
        seed=0,
        output_dir=output_dir,
        run=RUN,
    )
