-- What is said of a patient again is known again without opening anything.

alter table patients add column heard bytea;
comment on column patients.heard is 'Keyed hash, under the patient''s own key, of what was last said about them, where saying it again later changes nothing but the times in said; null where nobody noted it.';
