"""What is right for a case. Pure functions `(case, fact, store, now) -> Decision(case, events, timers)`.

Rooms: `case` (the state, and one decision in the making), `plan` (severity and SLA plan by tables), `clock` (targets, breaches, pauses),
`warning` (what is told before), `rungs` (the ladder as data), `who` (whom its words mean now), `ladder` (who is paged next), `storms`
(pages that belong together), `take` (incidents), `commands` (what people do), `anew` (counted anew), `explain` (the clock in words).
Invariant: every event carries the case after it under a version of its own, so a listener keeps the highest and loses nothing.
"""
