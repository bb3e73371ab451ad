"""Comparisons on real data: cohorts × strategies × seeds × budgets, on one machine or many."""
