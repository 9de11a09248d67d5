-- Roles for a PostgreSQL of your own (15 to 18), run once by its administrator:
--   psql -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql
-- `amends migrate` runs as amends_owner and makes one schema per service; each service then connects as its own role,
-- which may use its own schema and no other. Passwords are set afterwards: \password amends_intake
create role amends_owner login;
create role amends_directory login;
create role amends_intake login;
create role amends_escalation login;
create role amends_restitution login;
create role amends_notification login;
create role amends_console login;
create database amends owner amends_owner template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C';
revoke all on database amends from public;
grant connect on database amends
  to amends_owner, amends_directory, amends_intake, amends_escalation, amends_restitution, amends_notification, amends_console;
