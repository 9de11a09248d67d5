"""The console: what people look at.

Owns projections (the queue, a case's timeline, restitutions, notices, patients, links) and sessions, nothing else; its projections can be
dropped and built again by replay. Hears every topic but incidents, which the cases that take them up tell of; says nothing. What a person
does here is asked of the owning service over HTTP, with a signed assertion of that person: the console has no power of its own. Words
(complaints, stories, texts) and payout codes are never kept here; they are fetched for the person who looks.
"""
