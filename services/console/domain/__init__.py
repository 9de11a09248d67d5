"""How events become what people read: `queue` (one row per case), `timeline` (a sentence per event), `patient` (the patient's page),
`phrases` (codes in plain English), `when` (instants and spans in words). Pure."""
