"""The `keepmap` command: parse, call, and turn errors into one line and an exit code."""

import sys
from collections.abc import Sequence

from keepmap import __version__
from keepmap.commands.guard import guarded

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Returns 0, 2 after an error of the user's (one line on stderr), 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    return guarded(lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in ("--version", "-V"):
        print(f"keepmap {__version__}")
    else:
        _run(arguments)
    return 0


def _run(arguments: Sequence[str]) -> None:
    # Everything heavy is imported after the arguments were understood: help and errors answer at once.
    from keepmap.cli.options import (
        Attention,
        Collect,
        Compare,
        Compressors,
        Evaluate,
        Methods,
        SampleData,
        Study,
        Train,
    )
    from keepmap.cli.parsing import parse

    match parse(arguments):
        case Compare() as options:
            from keepmap.commands.compare import compare_compression_methods
            from keepmap.quiet import quiet_transformers

            quiet_transformers()
            compare_compression_methods(
                data_path=options.data_path,
                text_field=options.text_field,
                model_name=options.model_name,
                kvzap_scorer_model=options.kvzap_scorer_model,
                kvzap_model_type=options.kvzap_model_type,
                methods=options.methods,
                max_samples=options.max_samples,
                max_length=options.max_length,
                chunk_size=options.chunk_size,
                thresholds=options.thresholds,
                density=options.density,
                sliding_window_size=options.sliding_window_size,
                n_sink=options.n_sink,
                h2o_local_window_size=options.h2o_local_window_size,
                include_observed_attention=options.include_observed_attention,
                seed=options.seed,
                dtype=options.dtype,
                device=options.device,
                num_gpus=options.num_gpus,
                workers=options.workers,
                output_dir=options.output_dir,
                visualize_first_sample=not options.no_visualize,
                format=options.format,
            )
        case SampleData() as options:
            from keepmap.kv.data.sample import write_sample_data

            path = write_sample_data(options.out, n_samples=options.n_samples, seed=options.seed)
            print(f"Wrote {options.n_samples} texts to {path}")
        case Methods():
            from keepmap.printing.comparison import methods_table

            print("\n".join(methods_table()))
        case Collect() as options:
            from keepmap.commands.collect import collect

            collect(
                environment=options.environment,
                source=options.source,
                learners=options.learners,
                episodes=options.episodes,
                seed=options.seed,
                split=options.split,
                split_seed=options.split_seed,
                size=options.size,
                horizon=options.horizon,
                settings=options.set,
                out=options.out,
            )
        case Train() as options:
            from keepmap.commands.train import train

            train(options.config, options.set, options.tensorboard)
        case Evaluate() as options:
            from keepmap.commands.evaluate import evaluate_agents

            evaluate_agents(
                checkpoint=options.checkpoint,
                goals=options.goals,
                episodes=options.episodes,
                copies=options.copies,
                seed=options.seed,
                compressor=options.compressor,
                settings=options.set,
                output_dir=options.output_dir,
                format=options.format,
            )
        case Attention() as options:
            from keepmap.commands.attention import visualize_attention
            from keepmap.quiet import quiet_transformers

            if options.model_name is not None:
                quiet_transformers()
            visualize_attention(
                checkpoint=options.checkpoint,
                model_name=options.model_name,
                data_path=options.data_path,
                text_field=options.text_field,
                samples=options.samples,
                layers=options.layers,
                goal=options.goal,
                episodes=options.episodes,
                trajectory=options.trajectory,
                max_length=options.max_length,
                verify=options.verify,
                seed=options.seed,
                cmap=options.cmap,
                dtype=options.dtype,
                device=options.device,
                output_dir=options.output_dir,
                format=options.format,
            )
        case Compressors() as options:
            from keepmap.commands.compressors import show_compressors

            show_compressors(
                goal=options.goal,
                n_transit=options.n_transit,
                target_length=options.target_length,
                seed=options.seed,
                output_dir=options.output_dir,
                format=options.format,
            )
        case Study() as options:
            from keepmap.commands.study import study_compressors

            study_compressors(
                checkpoint=options.checkpoint,
                compressors=options.compressors,
                budgets=options.budgets,
                seeds=options.seeds,
                updates=options.updates,
                from_scratch=options.from_scratch,
                copies=options.copies,
                config=options.config,
                settings=options.set,
                workers=options.workers,
                output_dir=options.output_dir,
                format=options.format,
            )
