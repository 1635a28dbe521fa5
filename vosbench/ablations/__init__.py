"""The papers' ablation tables as sweeps: trainings, tests, orderings."""
