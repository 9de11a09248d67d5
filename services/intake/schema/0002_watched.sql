-- The auditor of timers goes over what is watched, in the order of the orders' ids, however many are done with.

create index orders_watched on orders (order_id) where watched_until is not null;
