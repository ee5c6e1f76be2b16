"""Which service is reconciled when: events, lists, the queue, workers and passes."""
