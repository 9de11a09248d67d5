-- The loads are counted as they change; the version before counted cases by it.

drop index cases_load;
