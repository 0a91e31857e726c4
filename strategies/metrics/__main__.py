"""`python -m strategies.metrics` prints the Markdown table of all metrics."""

from strategies.metrics.markdown_table import metrics_table

if __name__ == "__main__":
    print(metrics_table())
