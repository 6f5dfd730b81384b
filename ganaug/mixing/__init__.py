"""Synthetic samples into training data: fill adds, swap replaces."""
