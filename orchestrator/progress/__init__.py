"""How a run is shown: live progress, the accuracy matrix, the metrics.

A reporter receives the events of the driver: `terminal_reporter` draws on a terminal, `plain_reporter` writes lines for
a log. `number_format` formats numbers wherever a person reads them. Whatever has something to show imports from here;
this folder imports results and events, and trains nothing.
"""
