-- Roles for a PostgreSQL of your own (15 to 18), run once by its administrator:
--   psql -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql
--   psql -c '\password amends_owner'
-- `amends migrate` runs as amends_owner and makes one schema per service; each service then connects as its own role,
-- which may use its own schema and no other. It also gives each role the password that its DSN names: that needs the right to change
-- roles and, from PostgreSQL 16 on, these roles as its own to administer. Take both away and set the six passwords by hand where
-- your house wants it so.
create role amends_owner login createrole;
create role amends_directory login;
create role amends_intake login;
create role amends_escalation login;
create role amends_restitution login;
create role amends_notification login;
create role amends_console login;
grant amends_directory, amends_intake, amends_escalation, amends_restitution, amends_notification, amends_console
  to amends_owner with admin option;
create database amends owner amends_owner template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C';
revoke all on database amends from public;
grant connect on database amends
  to amends_owner, amends_directory, amends_intake, amends_escalation, amends_restitution, amends_notification, amends_console;
