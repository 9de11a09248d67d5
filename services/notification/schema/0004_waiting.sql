-- The auditor of timers goes over what waits to leave, in the order of the timers' subjects, however much has left.

create index notices_waiting_subject on notices ((notice_id::text)) where status in ('queued', 'held');
