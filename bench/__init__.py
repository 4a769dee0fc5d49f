"""Measure what boosting gains and what it saves."""
