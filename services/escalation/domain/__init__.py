"""What is right for a case. Pure functions `(case, fact, store, now) -> Decision(case, events, timers)`.

Rooms: `case` (the state, and one decision in the making), `plan` (severity and SLA plan by tables), `clock` (targets, breaches, pauses),
`warning` (what is told before), `ladder` (whose task it is, who is paged next), `take` (incidents), `commands` (what people do), `explain`
(the clock in words).
Invariant: every event carries the case after it under a version of its own, so a listener keeps the highest and loses nothing.
"""
