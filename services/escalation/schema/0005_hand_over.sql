-- What an open case waits for besides its step: the next change of shifts, so that the auditor of timers can tell that nothing will wake it.

alter table cases add column hand_over_at timestamptz;
comment on column cases.hand_over_at is 'When the roster changes next, as it stood when that was looked up last; null where nobody waits for it.';
