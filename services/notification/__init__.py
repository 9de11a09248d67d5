"""Notification owns notices, conversations, consents and patient links.

Hears cases, restitutions, patients and the directory; says what became of each notice and what an answer meant on
`amends.notices.v1`, without words and without numbers. It is the only service that talks to the SMS provider.
A text leaves at most once: intent first, then the call, then the result; what is unclear is looked up, never sent again.
Bodies and numbers rest as ciphertext; the secret of a patient link stands only in its text.
"""
