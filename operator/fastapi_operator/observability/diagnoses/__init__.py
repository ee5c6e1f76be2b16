"""The rules of diagnosis: each looks for one cause in the signals.

Thresholds are in ``tuning.figures``. The effect of each is in one unit, so that they can be
compared: how many requests, on average, wait for the cause or are lost by it.
"""
