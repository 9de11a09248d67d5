-- A case is planned anew by the facts it was planned by, asked of the tables in force by then.

alter table case_incidents add column facts jsonb;
comment on column case_incidents.facts is 'What a case is planned by: type, dispute, repeats, catalyst, channel, payer. Null for those kept before it was.';
