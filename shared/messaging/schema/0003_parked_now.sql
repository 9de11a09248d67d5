-- What lies parked is listed and counted without what was parked once.

create index parked_now on parked (parked_id) where redriven_at is null;
