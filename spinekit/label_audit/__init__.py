"""Suspected mistakes of the tables: what is missing, doubled, swapped, shifted or misplaced.

table_checks   facts about labels and points: what is missing, doubled, outside
coordinates    where the tables put each point, in mm or crude mm
student_t      a multivariate Student's t for rows with gaps
hypotheses     the list of mistakes, and how each is undone
likelihood     how likely a study's points are with each mistake undone
error_model    which mistake explains a study's points
report         suspected mistakes by decreasing probability
folder_report  what lies in a folder of studies
"""
