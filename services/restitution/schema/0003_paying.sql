-- The auditor of timers goes over what is being paid, in the order of the timers' subjects, however much is paid.

create index restitutions_paying on restitutions ((restitution_id::text)) where payout_state in ('due', 'paying');
