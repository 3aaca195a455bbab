"""A scanner's export in, 25 grades of each study out, with what they rest on.

result         what is kept of a graded study: grades, images behind them, measurements, findings, the weights' card
"""
