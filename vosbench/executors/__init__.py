"""Execution of jobs: processes of this machine, Ray, Slurm."""
