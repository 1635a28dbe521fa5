"""The papers' ablation tables as sweeps: train, compare, judge orderings."""
