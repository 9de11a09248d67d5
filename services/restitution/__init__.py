"""Restitution: what is given back to a patient, who approved it, and that it was paid exactly once.

Owns restitutions, trips already decided, the ledger, budgets and payouts. Hears cases (facts, and the confirmed story), notices and the
directory; says `amends.restitutions.v1`. Of a case it keeps what it needs in a copy of its own.
Invariants: a visit is paid at most once; a decision is paid at most once and never above its authority; nobody approves their own;
the two legs of every ledger entry sum to zero; nothing is offered before the story is confirmed.
"""
