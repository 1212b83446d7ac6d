"""Every method on every text: plan, sessions, workers, results, rows, files."""

from keepmap.kv.comparison.files import FILES, PACKAGES, label_stem, sample_folder
from keepmap.kv.comparison.plan import BASELINE, STREAMING, VALIDATION, MethodPlan, plan_methods, plan_mode
from keepmap.kv.comparison.reading import read_comparison
from keepmap.kv.comparison.results import Comparison, MethodResult
from keepmap.kv.comparison.run import Run, n_results
from keepmap.kv.comparison.session import Facts, Job, Passed
from keepmap.kv.comparison.workers import Died, Ready, choose_devices, death_place

__all__ = [
    "BASELINE",
    "FILES",
    "PACKAGES",
    "STREAMING",
    "VALIDATION",
    "Comparison",
    "Died",
    "Facts",
    "Job",
    "MethodPlan",
    "MethodResult",
    "Passed",
    "Ready",
    "Run",
    "choose_devices",
    "death_place",
    "label_stem",
    "n_results",
    "plan_methods",
    "plan_mode",
    "read_comparison",
    "sample_folder",
]
