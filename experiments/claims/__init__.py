"""Claims of papers, each tried here by one small experiment.

python -m experiments.claims.<name> --workdir=runs/claims

The folder is one for all: claims share warm starts and runs in it.
"""
