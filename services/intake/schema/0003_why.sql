-- What is true of nearly every event is not written down for each.

comment on column events_received.why is 'Why it is no incident; null where it is one, and where events of its kind are none by themselves.';
