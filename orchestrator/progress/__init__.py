"""What a person sees of a run: live progress, the accuracy matrix, the metrics.

A reporter takes the driver's events: `terminal_reporter` draws on a terminal, `plain_reporter` writes lines for a
log. `number_format` is how numbers are written wherever a person reads them.
"""
