"""Every plot, one module for each notebook: arrays and tables in, a figure out. Colours and panels are in ``_base``."""
