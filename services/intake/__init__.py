"""Intake: what the stores' systems and people report, and what of it is an incident.

Owns: events received, orders watched, incidents and complaint texts, patients. Hears: `amends.ingress.v1` (POS events), cases (which case
an incident went to), notices, and the directory's three topics. Says: `amends.incidents.v1` (one reported upset each) and
`amends.patients.v1` (contact data, as ciphertext). Invariant: an event acknowledged once is stored once, by (source, id), whatever door it
came through; words and contact data rest as ciphertext only.
"""
