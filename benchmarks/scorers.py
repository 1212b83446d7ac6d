"""Does the scorer matter? Every method against the plainest at the same density and protection, with equivalence tests.

Each protection and density is a run of `keepmap compare` in a folder of its own; one whose folder has the results of
the same command is not run again, so that a sweep that was stopped goes on. Per text, a method's NLL less that of the
reference is one difference; the methods are equivalent where it is shown to lie within the margin on either side.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import keepmap
from keepmap.core.statistics.paired import Differences
from report import REAL_MODEL, Report, write_part
from timing import machine

PAGE = REAL_MODEL.parent / "scorers.md"
METHODS = ("random", "streaming_llm", "key_norm", "value_norm", "keydiff", "observed_attention", "h2o", "kvzap")
LEVEL = 0.025


def run(options: argparse.Namespace, protection: str, density: float) -> keepmap.Comparison:
    """The comparison at one protection and density; what is there already is not made again."""
    n_sink, window = protection.split(",")
    folder = Path(options.output_dir) / f"protection-{n_sink}-{window}" / f"density-{density:g}"
    words = [
        *(sys.executable, "-m", "keepmap", "compare", "--model_name", options.model_name),
        *("--data_path", options.data_path, "--max_length", str(options.max_length), "--density", f"{density:g}"),
        *("--n_sink", n_sink, "--sliding_window_size", window, "--methods", *options.methods),
        *("--no_visualize", "--quiet", "--output_dir", str(folder)),
        *(() if options.max_samples is None else ("--max_samples", str(options.max_samples))),
    ]
    print(f"protection {protection}, density {density:g}", file=sys.stderr, flush=True)
    done = subprocess.run(words, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:  # it has said why
        raise SystemExit(done.returncode)
    return keepmap.read_comparison(folder)


def differences(comparison: keepmap.Comparison, method: str, reference: str) -> Differences:
    """Of each text: what it costs under the method more than under the reference, in nats."""
    by_method = {
        key: {result.sample: result for result in comparison.samples if result.method == key}
        for key in (method, reference)
    }
    texts = sorted(by_method[method])
    sums = [by_method[method][text].nll - by_method[reference][text].nll for text in texts]
    weights = [by_method[method][text].n_predicted for text in texts]
    return Differences(np.array(sums)[:, None], np.array(weights, dtype=float))


def verdict(difference: Differences, margin: float) -> str:
    """What is shown about a method at 2.5 % on either side, each pair by itself."""
    within = max(float(difference.above(-margin)[0]), float(difference.below(margin)[0])) < LEVEL
    if float(difference.below(0.0)[0]) < LEVEL:
        return "better, by less than the margin" if within else "better"
    if float(difference.above(0.0)[0]) < LEVEL:
        return "worse, by less than the margin" if within else "worse"
    return "equivalent" if within else "open"


def rows(options: argparse.Namespace) -> list[list[str]]:
    """A line for each protection, density and method."""
    lines = []
    for protection in options.protections:
        for density in options.densities:
            comparison = run(options, protection, density)
            for row in comparison.methods:
                outcome = ["", "the reference"]
                if row.method_key != options.reference:
                    difference = differences(comparison, row.method_key, options.reference)
                    low, high = difference.intervals()
                    outcome = [f"{float(low[0]):+.4f} .. {float(high[0]):+.4f}", verdict(difference, options.margin)]
                lines.append([protection, f"{density:g}", row.method, f"{row.nll_delta:+.4f}", *outcome])
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_name", default="smollm2", help="as keepmap compare takes it")
    parser.add_argument("--data_path", required=True, help="as keepmap compare takes it; three texts or more")
    parser.add_argument("--max_samples", type=int, help="as keepmap compare takes it")
    parser.add_argument("--max_length", type=int, default=1024, help="tokens of each text")
    parser.add_argument("--densities", type=float, nargs="+", default=(0.1, 0.5))
    parser.add_argument("--protections", nargs="+", default=("4,128", "0,0", "64,512"), help="SINKS,WINDOW, several")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--reference", default="streaming_llm", help="what the others are tested against")
    parser.add_argument("--margin", type=float, default=0.01, help="nats per token that are held to be nothing")
    parser.add_argument("--output_dir", default="scorers_results", help="a folder for each run goes there")
    parser.add_argument("--write", action="store_true", help="write docs/scorers.md")
    options = parser.parse_args(arguments)
    if options.reference not in options.methods:
        parser.error(f"expected --reference to be among --methods, got {options.reference}")
    lines = rows(options)
    report = Report(f"Does the scorer matter? {options.model_name}")
    report.say(*machine())
    report.say("", f"Against `{options.reference}`, margin {options.margin:g} nats per token, each pair by itself.")
    head = ["sinks, window", "density", "method", "ΔNLL", "less the reference's, 95 %", "verdict"]
    report.table("Every protection and density", head, lines)
    if options.write:
        write_part(report, "scorers.py", sys.argv[1:] if arguments is None else arguments, PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
