"""What evicting costs on a real model, at densities from 0.05 to 0.8: the table and the figure of docs/real-model.md.

Each density is a run of `keepmap compare` in a folder of its own, with the same protection for every method. A density
whose folder has the results of the same command is not run again, so that a sweep that was stopped goes on.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import keepmap
from report import REAL_MODEL, Report, write_part
from timing import machine

PICTURES = REAL_MODEL.parent / "images"
DENSITIES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
LEFT_OUT = ("random_validation",)


def command(options: argparse.Namespace, density: float) -> list[str]:
    """The words of one density's comparison."""
    return [
        *(sys.executable, "-m", "keepmap", "compare", "--model_name", options.model_name),
        *("--data_path", options.data_path, "--max_length", str(options.max_length), "--density", f"{density:g}"),
        *("--methods", *options.methods, "--workers", str(options.workers), "--no_visualize", "--quiet"),
        *("--output_dir", str(folder(options, density))),
    ]


def folder(options: argparse.Namespace, density: float) -> Path:
    """Where one density's results are."""
    return Path(options.output_dir) / f"density-{density:g}"


def sweep(options: argparse.Namespace) -> list[keepmap.Comparison]:
    """A comparison for each density; what is there already is not made again, and another run's is refused."""
    comparisons = []
    for density in options.densities:
        print(f"density {density:g}", file=sys.stderr, flush=True)
        done = subprocess.run(command(options, density), check=False, stdout=subprocess.DEVNULL)
        if done.returncode:  # it has said why
            raise SystemExit(done.returncode)
        comparisons.append(keepmap.read_comparison(folder(options, density)))
    return comparisons


def rows(comparisons: Sequence[keepmap.Comparison]) -> list[list[str]]:
    """A line for each method and density: cost with its interval, agreement, and the memory that was held."""
    return [
        [
            f"{row.density:g}",
            row.method,
            f"{row.nll_delta:+.4f}",
            "" if row.nll_delta_low is None else f"{row.nll_delta_low:+.4f} .. {row.nll_delta_high:+.4f}",
            f"{row.kl:.4f}",
            f"{row.top1_agreement:.1%}",
            f"{row.density_compressible:.2%}",
            f"{row.footprint:.2%}",
        ]
        for comparison in comparisons
        for row in comparison.methods
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_name", default="smollm2", help="as keepmap compare takes it")
    parser.add_argument("--data_path", required=True, help="as keepmap compare takes it")
    parser.add_argument("--max_length", type=int, default=2048, help="tokens of each text")
    parser.add_argument("--densities", type=float, nargs="+", default=DENSITIES)
    parser.add_argument("--methods", nargs="+", default=[name for name in keepmap.methods() if name not in LEFT_OUT])
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--output_dir", default="real_model_results", help="a folder for each density goes there")
    parser.add_argument("--write", action="store_true", help="write the table and the figure of docs/real-model.md")
    options = parser.parse_args(arguments)
    options.methods = [name for name in options.methods if name != "baseline"]
    comparisons = sweep(options)
    baseline = comparisons[0].baseline
    report = Report(f"What evicting costs on {options.model_name}")
    report.say(*machine())
    report.say(
        "",
        f"{baseline.n_samples} texts, {baseline.total_tokens:,} predicted tokens; "
        f"full cache: NLL {baseline.avg_nll:.4f}, perplexity {baseline.perplexity:.2f}. "
        "Every method protects the same window, and all but KVzap(no_sink) the same sinks.",
    )
    head = ["density", "method", "ΔNLL", f"95 % interval (n={baseline.n_samples})", "KL", "top-1", "kept", "footprint"]
    report.table("Every density", head, rows(comparisons))
    (ax,) = keepmap.draw.cost_by_footprint(comparisons)
    place = PICTURES if options.write else Path(options.output_dir)
    for path in keepmap.draw.save_figure(ax, place, "cost_by_footprint", "png"):
        print(f"\nSaved {path}", flush=True)
    if options.write:
        write_part(report, "real_model.py", sys.argv[1:] if arguments is None else arguments, REAL_MODEL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
