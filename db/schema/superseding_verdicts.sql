-- Which verdicts supersede others: few do, and every figure asks for them.

CREATE INDEX verdicts_superseding ON verdicts (supersedes) WHERE supersedes IS NOT NULL;
