"""Plots with matplotlib, and the numbers behind them."""
