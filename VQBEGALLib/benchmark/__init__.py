"""Comparisons on real data: cohorts × strategies × seeds × budgets, on one machine or many."""

from VQBEGALLib.benchmark.plan import Arm, Cohort, Plan, Robustness, Run, parse_plan, read_plan
from VQBEGALLib.benchmark.schedule import run_benchmark

__all__ = ["Arm", "Cohort", "Plan", "Robustness", "Run", "parse_plan", "read_plan", "run_benchmark"]
