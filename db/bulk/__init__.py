"""Commands of people on many rows: which rows they select, and the turns in which they are carried out."""
