"""The reference pages of the documentation, written from the code when the site is built.

Each module gives the Markdown of one or more pages. What the code says is not repeated here, so no page is out of date.
"""
