"""`ice-check`: says whether STUN and TURN work from here, how well, and if not, why.

Probes (`probe_*`) measure and write down what they saw as values (`results`); `judge` turns
those into findings, each a verdict of the table in `verdicts`; `report_*` write them out.
"""
