-- Timers lie by their subject: those of a case are set, moved and cancelled together, and are found by it without an index of its own. The
-- auditor of the version before goes over them by kind. Nobody reads or writes timers while the key is built.

alter table timers drop constraint timers_pkey, add primary key (subject, kind, name, generation);
drop index timers_subject;
