-- Pages that belong together: many cases that wake one person at one moment are one text.

alter table notices add column storm_id uuid, add column storm_size int not null default 0;
comment on column notices.storm_id is 'The storm it belongs to, as escalation told it; null for a page alone.';
comment on column notices.storm_size is 'How many pages of that storm its person gets: once the last is heard, all leave as one.';
create index notices_storm on notices (storm_id) where storm_id is not null;
create index notices_paged on notices (number_index, send_at) where audience = 'staff';
