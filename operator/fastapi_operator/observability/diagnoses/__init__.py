"""The rules of ``doctor``: each function looks for one cause in the signals.

Thresholds are in ``bounds``. The effects of all rules have one unit, so that they can be compared:
the mean number of requests that wait for the cause or fail because of it.
"""
