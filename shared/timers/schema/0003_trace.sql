-- A deadline belongs to the trace of what set it.

alter table timers add column traceparent text;
comment on column timers.traceparent is 'The W3C traceparent of the request or event that set the timer last; what it does goes on in that trace.';
create index timers_parked on timers (parked_reason) where parked_reason is not null;
