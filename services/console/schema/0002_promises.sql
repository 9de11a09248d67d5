-- What the patient was promised, on the case's page and on the patient's.

alter table queue_rows add column promises jsonb not null default '[]';
comment on column queue_rows.promises is 'What the patient was promised, oldest first, as the newest event of the case tells it.';
