"""Plots by matplotlib, and the numbers behind them."""
