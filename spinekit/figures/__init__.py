"""Every plot of the course: functions take studies, tables or arrays and return a matplotlib Figure.

``anatomy``, ``matching``, ``localization`` and ``grading`` each serve the notebooks of that name; ``phantom`` shows
patients that were never scanned. ``tables`` puts a sentence where a table would be empty.
"""
