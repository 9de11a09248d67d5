"""Escalation owns cases: their stories, milestones, clocks and ladders.

It hears incidents (open a case or attach to the open one), patients (the wrapped key under which words are kept), restitutions (an offer
meets the action milestone), notices (an acknowledgement by text, a typed text that was delivered) and the directory. It alone says, on
`amends.cases.v1`, that a case is opened, acknowledged, escalated, resolved or closed. Words never leave it on a topic.
"""
