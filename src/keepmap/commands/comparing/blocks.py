"""The blocks of a comparison: one for each method, and the table of all of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from keepmap.commands.comparing.pictures import draw_comparison, draw_method
from keepmap.core.files import write_text
from keepmap.kv.comparison import Comparison, MethodPlan, MethodResult, Run
from keepmap.printing.comparison import (
    advice_lines,
    comparison_table,
    evaluation_block,
    result_lines,
    validation_lines,
)

BLOCKS = "methods.txt"
"""The file of the blocks, where they are not printed."""


def print_lines(lines: Sequence[str]) -> None:
    """Print each at once, also where stdout is a pipe."""
    for line in lines:
        print(line, flush=True)


class Blocks:
    """What a comparison prints when it is done: a block for each method, and the table of all of them."""

    def __init__(self, comparison: Comparison, run: Run, formats: Sequence[str]) -> None:
        self._comparison, self._run, self._formats = comparison, run, formats

    def table(self) -> None:
        """Print it, and what was checked."""
        print_lines(comparison_table(self._comparison, self._run.seconds_by_method()))
        print_lines(validation_lines(self._comparison))

    def blocks(self, say: Callable[[Sequence[str]], None]) -> None:
        """Draw each method in the order in which they ran; its figures and what was drawn go to `say`."""
        for row in (self._comparison.baseline_no_chunking, self._comparison.baseline):
            say(evaluation_block(row.method))
            if row is self._comparison.baseline_no_chunking:
                say(["Note: Processing entire sequence in one forward pass (no compression artifacts)"])
            say(result_lines(row, compressed=False))
            if self._formats:
                say(["", f"  No scores to visualize for {row.method}"])
        rows = {row.method_key: row for row in self._comparison.methods}
        for plan in self._plans:
            say([*evaluation_block(plan.label), *result_lines(rows[plan.key], compressed=True)])
            say(self._advice(plan, rows[plan.key]))
            if self._formats:
                keep_map = self._comparison.keep_maps[plan.key]
                say(draw_method(keep_map, plan.label, self._run.job.output_dir, self._formats))

    def drawn(self) -> list[str]:
        """Draw what joined figures show of them all; lines that say where."""
        return draw_comparison(self._comparison, self._run.job.output_dir, self._formats)

    def write(self) -> tuple[Path, list[str]]:
        """Write the blocks into a file; its path, and the blocks.

        Raises:
            OutputError: it cannot be written.
        """
        path, lines = self._run.job.output_dir / BLOCKS, list[str]()
        self.blocks(lines.extend)
        write_text(path, "\n".join(lines) + "\n")
        return path, lines

    def advice(self) -> list[str]:
        """A line for each method that selected nothing."""
        rows = {row.method_key: row for row in self._comparison.methods}
        advice = [
            f"{plan.label}: {line.strip()}" for plan in self._plans for line in self._advice(plan, rows[plan.key])
        ]
        return ["", *advice] if advice else []

    @property
    def _plans(self) -> tuple[MethodPlan, ...]:
        assert self._run.facts is not None
        return self._run.facts.plans

    def _advice(self, plan: MethodPlan, row: MethodResult) -> list[str]:
        samples = (sample for sample in self._comparison.samples if sample.method == plan.key)
        return advice_lines(row, plan, sum(sample.entries.n_compressible for sample in samples))
