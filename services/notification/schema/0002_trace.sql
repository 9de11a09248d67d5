-- What a provider says of a text belongs to the trace the text left in.

alter table notices add column traceparent text;
comment on column notices.traceparent is 'The W3C traceparent the text was handed over under; delivery reports and look-ups go on in that trace.';
create index notices_uncertain on notices (notice_id) where status = 'uncertain';
